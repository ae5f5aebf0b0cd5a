// Scratch memory handed out piece by piece. With no memory behind it, it only counts. Under the
// address sanitizer, what lies between two pieces is out of bounds.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "scalar.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define JAXCPP_GAP 64
#else
#define JAXCPP_GAP 0
#endif

namespace {

constexpr size_t kAlign = 64;

struct Arena {
  char* base;
  size_t used;
  size_t align = kAlign;

  template <typename T>
  JAXCPP_DEVICE T* take(size_t count) {
    const size_t at = used;
    used += (count * sizeof(T) + JAXCPP_GAP + align - 1) / align * align;
    if (!base) return nullptr;
#if defined(__SANITIZE_ADDRESS__)
    __asan_unpoison_memory_region(base + at, count * sizeof(T));
    __asan_poison_memory_region(base + at + count * sizeof(T), used - at - count * sizeof(T));
#endif
    return reinterpret_cast<T*>(base + at);
  }
};

// Rows are padded to whole vectors of the widest register, for doubles and for floats.
inline int padded(int count, int lanes) { return (count + lanes - 1) / lanes * lanes; }
inline int padded_doubles(int count) { return padded(count, 8); }
inline int padded_floats(int count) { return padded(count, 16); }

}  // namespace
