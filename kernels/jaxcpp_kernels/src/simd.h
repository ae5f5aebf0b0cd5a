// Vectors of the widest register this file is compiled for, and the few functions needed on them.
//
// Included once for each instruction set (see core.cpp). Vector extensions of GCC and Clang,
// hardly an intrinsic, and nothing from the C++ library that a linker could share between the copies.
#pragma once

#include <stdint.h>
#include <string.h>

#include "scalar.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
#define JAXCPP_VECTOR_BYTES 64
#elif defined(__AVX2__)
#define JAXCPP_VECTOR_BYTES 32
#else
#define JAXCPP_VECTOR_BYTES 16
#endif

#define JAXCPP_INLINE inline __attribute__((always_inline))

namespace {

typedef double Doubles __attribute__((vector_size(JAXCPP_VECTOR_BYTES), may_alias));
typedef int64_t Longs __attribute__((vector_size(JAXCPP_VECTOR_BYTES), may_alias));
typedef uint64_t Bits __attribute__((vector_size(JAXCPP_VECTOR_BYTES), may_alias));
typedef int32_t Ints __attribute__((vector_size(JAXCPP_VECTOR_BYTES), may_alias));
typedef float Floats __attribute__((vector_size(JAXCPP_VECTOR_BYTES), may_alias));
typedef float HalfFloats __attribute__((vector_size(JAXCPP_VECTOR_BYTES / 2), may_alias));

constexpr int kDoubles = JAXCPP_VECTOR_BYTES / 8;
constexpr int kFloats = JAXCPP_VECTOR_BYTES / 4;

// Below this an exponential counts as zero; exp(-700) is the last that is far from denormal.
constexpr double kFloor = -700.0;

JAXCPP_INLINE Doubles spread(double value) { return value - Doubles{}; }
JAXCPP_INLINE Floats spread(float value) { return value - Floats{}; }
JAXCPP_INLINE Doubles load(const double* from) { return *reinterpret_cast<const Doubles*>(from); }
JAXCPP_INLINE Floats load(const float* from) { return *reinterpret_cast<const Floats*>(from); }
JAXCPP_INLINE void store(double* to, Doubles value) { *reinterpret_cast<Doubles*>(to) = value; }
JAXCPP_INLINE void store(float* to, Floats value) { *reinterpret_cast<Floats*>(to) = value; }
JAXCPP_INLINE Doubles smaller(Doubles a, Doubles b) { return a < b ? a : b; }
JAXCPP_INLINE Doubles larger(Doubles a, Doubles b) { return a > b ? a : b; }

// Eight (or four, or two) floats as doubles.
JAXCPP_INLINE Doubles widen(const float* from) {
  return __builtin_convertvector(*reinterpret_cast<const HalfFloats*>(from), Doubles);
}

template <typename Combine>
JAXCPP_INLINE double fold(Doubles value, Combine combine) {
#if JAXCPP_VECTOR_BYTES == 64
  typedef double Four __attribute__((vector_size(32), may_alias));
  Four halves[2];
  memcpy(halves, &value, sizeof value);
  const Four four = combine(halves[0], halves[1]);
#else
  const Doubles four = value;
#endif
#if JAXCPP_VECTOR_BYTES >= 32
  typedef double Two __attribute__((vector_size(16), may_alias));
  Two quarters[2];
  memcpy(quarters, &four, sizeof four);
  const Two two = combine(quarters[0], quarters[1]);
#else
  const Doubles two = four;
#endif
  return combine(two[0], two[1]);
}

JAXCPP_INLINE double sum_of(Doubles value) {
  return fold(value, [](auto a, auto b) __attribute__((always_inline)) { return a + b; });
}
JAXCPP_INLINE double least_of(Doubles value) {
  return fold(value, [](auto a, auto b) __attribute__((always_inline)) { return a < b ? a : b; });
}

JAXCPP_INLINE int64_t sum_of(Longs value) {
  int64_t sum = 0;
  for (int a = 0; a < kDoubles; ++a) sum += value[a];
  return sum;
}

// One bit for each element of a comparison.
JAXCPP_INLINE uint32_t mask_of(Longs compared) {
#if defined(__AVX512F__)
  return uint32_t(_mm512_movepi64_mask(__m512i(compared)));
#elif defined(__AVX2__)
  return uint32_t(_mm256_movemask_pd(__m256d(compared)));
#else
  return uint32_t(compared[0] & 1) | uint32_t(compared[1] & 1) << 1;
#endif
}

JAXCPP_INLINE uint32_t mask_of(Ints compared) {
#if defined(__AVX512F__)
  return uint32_t(_mm512_movepi32_mask(__m512i(compared)));
#elif defined(__AVX2__)
  return uint32_t(_mm256_movemask_ps(__m256(compared)));
#else
  uint32_t mask = 0;
  for (int a = 0; a < kFloats; ++a) mask |= uint32_t(compared[a] & 1) << a;
  return mask;
#endif
}

// exp(x) for x <= 0, to 1 ulp; 0 below kFloor and where x is no number.
// exp(r) = 1 + r + r^2 q(r), q the minimax polynomial on |r| <= log(2)/2 (error 1.3e-17).
JAXCPP_INLINE Doubles exp_of(Doubles x) {
  const Doubles shift = spread(0x1.8p52);
  const Longs keep = x > kFloor;
  x = keep ? x : spread(0.0);
  const Doubles rounded = x * 1.4426950408889634074 + shift;
  const Doubles k = rounded - shift;
  Doubles r = x - k * 6.93147180369123816490e-01;
  r = r - k * 1.90821492927058770002e-10;
  const Doubles r2 = r * r, r4 = r2 * r2;
  const Doubles q0 = 0x1.0000000000001p-1 + r * 0x1.5555555555556p-3;
  const Doubles q1 = 0x1.5555555553d63p-5 + r * 0x1.11111111109b3p-7;
  const Doubles q2 = 0x1.6c16c1788bd90p-10 + r * 0x1.a01a01a7c41d5p-13;
  const Doubles q3 = 0x1.a019b90d2ae7ap-16 + r * 0x1.71de0dae63bb3p-19;
  const Doubles q4 = 0x1.289185613a3d6p-22 + r * 0x1.af38a9b0ec855p-26;
  const Doubles q = (q0 + r2 * q1) + r4 * ((q2 + r2 * q3) + r4 * q4);
  const Doubles value = 1.0 + (r + r2 * q);
  // The low bits of `rounded` hold k; shifted into the exponent they are 2^k.
  const Bits power = (reinterpret_cast<const Bits&>(rounded) + 1023) << 52;
  return keep ? value * reinterpret_cast<const Doubles&>(power) : spread(0.0);
}

// log(x) for finite x >= 1, to 1 ulp (after fdlibm's e_log.c, Sun Microsystems 1993).
JAXCPP_INLINE Doubles log_of(Doubles x) {
  const int64_t half_root = 0x3fe6a09e667f3bcd;  // bits of sqrt(1/2)
  const Longs bits = reinterpret_cast<const Longs&>(x);
  const Longs k = (bits - half_root) >> 52;
  const Bits reduced = reinterpret_cast<const Bits&>(x) - (reinterpret_cast<const Bits&>(k) << 52);
  const Doubles f = reinterpret_cast<const Doubles&>(reduced) - 1.0;
  const Longs shifted = k + 0x4338000000000000;
  const Doubles power = reinterpret_cast<const Doubles&>(shifted) - 0x1.8p52;
  const Doubles s = f / (2.0 + f), z = s * s, w = z * z;
  const Doubles even = w * (3.999999999940941908e-01 + w * (2.222219843214978396e-01 + w * 1.531383769920937332e-01));
  const Doubles odd = z * (6.666666666666735130e-01 +
                           w * (2.857142874366239149e-01 + w * (1.818357216161805012e-01 + w * 1.479819860511658591e-01)));
  const Doubles half = 0.5 * f * f;
  return power * 6.93147180369123816490e-01 -
         ((half - (s * (half + even + odd) + power * 1.90821492927058770002e-10)) - f);
}

inline double exp_of(double x) { return exp_of(spread(x))[0]; }
inline double log_of(double x) { return log_of(spread(x))[0]; }

}  // namespace
