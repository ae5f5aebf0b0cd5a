// Scratch memory handed out piece by piece. With no memory behind it, it only counts.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace {

constexpr size_t kAlign = 64;

struct Arena {
  char* base;
  size_t used;

  template <typename T>
  T* take(size_t count) {
    const size_t at = used;
    used += (count * sizeof(T) + kAlign - 1) / kAlign * kAlign;
    return base ? reinterpret_cast<T*>(base + at) : nullptr;
  }
};

// Rows are padded to whole vectors of the widest register, for doubles and for floats.
inline int padded(int count, int lanes) { return (count + lanes - 1) / lanes * lanes; }
inline int padded_doubles(int count) { return padded(count, 8); }
inline int padded_floats(int count) { return padded(count, 16); }

}  // namespace
