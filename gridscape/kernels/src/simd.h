// Vectors of floats, and the functions of numbers that layers need.
//
// Written with the vector extensions that GCC and Clang share: one source serves every instruction
// set, and each is compiled with flags of its own (see setup.py). Nothing here may be compiled
// once for several targets, so all of it lies in a namespace named after the target.

#ifndef GRIDSCAPE_SIMD_H_
#define GRIDSCAPE_SIMD_H_

#include <cstdint>
#include <cstring>
#include <type_traits>

#if defined(__AVX512F__)
#include <immintrin.h>
#define GRIDSCAPE_LANES 16
#define GRIDSCAPE_TILE_ROWS 6  // 24 of 32 registers hold sums
#elif defined(__AVX__)
#define GRIDSCAPE_LANES 8
#define GRIDSCAPE_TILE_ROWS 3  // 12 of 16
#elif defined(__aarch64__)
#define GRIDSCAPE_LANES 4
#define GRIDSCAPE_TILE_ROWS 6  // 24 of 32
#else
#define GRIDSCAPE_LANES 4
#define GRIDSCAPE_TILE_ROWS 3  // 12 of 16
#endif

#define GRIDSCAPE_INLINE inline __attribute__((always_inline))

namespace gridscape {
namespace GRIDSCAPE_TARGET {

// Columns come in blocks of so many on every target, so that what one target keeps another reads.
constexpr int64_t kBlock = 16;
constexpr int kLanes = GRIDSCAPE_LANES;
constexpr int kTileRows = GRIDSCAPE_TILE_ROWS;

typedef float Vector __attribute__((vector_size(kLanes * 4)));
typedef int32_t Whole __attribute__((vector_size(kLanes * 4)));
typedef uint32_t Words __attribute__((vector_size(kLanes * 4)));
typedef float Unaligned __attribute__((vector_size(kLanes * 4), aligned(4), may_alias));

GRIDSCAPE_INLINE Vector load(const float* from) {
  return *reinterpret_cast<const Unaligned*>(from);
}

GRIDSCAPE_INLINE void store(float* to, Vector value) { *reinterpret_cast<Unaligned*>(to) = value; }

GRIDSCAPE_INLINE Vector splat(float value) { return value - Vector{}; }

// The first `count` of a vector, the others 0. Narrow layers do little else: AVX-512 has masks.
#if defined(__AVX512F__)
GRIDSCAPE_INLINE __mmask16 first(int64_t count) {
  return count >= kLanes ? 0xffff : count <= 0 ? 0 : (1u << count) - 1;
}

GRIDSCAPE_INLINE Vector load_first(const float* from, int64_t count) {
  return _mm512_maskz_loadu_ps(first(count), from);
}

GRIDSCAPE_INLINE void store_first(float* to, Vector value, int64_t count) {
  _mm512_mask_storeu_ps(to, first(count), value);
}
#else
GRIDSCAPE_INLINE Vector load_first(const float* from, int64_t count) {
  if (count >= kLanes) return load(from);
  float part[kLanes] = {};
  for (int64_t k = 0; k < count; ++k) part[k] = from[k];
  return load(part);
}

GRIDSCAPE_INLINE void store_first(float* to, Vector value, int64_t count) {
  if (count >= kLanes) return store(to, value);
  float part[kLanes];
  store(part, value);
  for (int64_t k = 0; k < count; ++k) to[k] = part[k];
}
#endif

GRIDSCAPE_INLINE Whole bits_of(Vector value) { return (Whole)value; }
GRIDSCAPE_INLINE Vector from_bits(Whole bits) { return (Vector)bits; }

// ---- bfloat16: the upper half of a float ----

typedef uint16_t Half __attribute__((may_alias));
typedef uint16_t Halves __attribute__((vector_size(kLanes * 2)));

constexpr uint32_t kUpper = 0xffff0000;

// The nearest bfloat16, ties to even, in the upper half of a word; NaN stays NaN.
GRIDSCAPE_INLINE Words nearest(Vector x) {
  const Words bits = (Words)x;
  const Words carried = bits + 0x7fff + ((bits >> 16) & 1);
  return (x == x ? carried : bits | 0x400000) & kUpper;
}

// Two numbers that follow each other in k share a word, the first in its lower half.
GRIDSCAPE_INLINE Vector pairs(Vector first, Vector second) {
#if defined(__AVX512BF16__)
  typedef uint16_t All __attribute__((vector_size(64)));
  const All order = {0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
                     8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  const __m512i both = (__m512i)_mm512_cvtne2ps_pbh(second, first);
  return (Vector)_mm512_permutexvar_epi16((__m512i)order, both);
#else
  return (Vector)(nearest(first) >> 16 | nearest(second));
#endif
}

GRIDSCAPE_INLINE Halves load_halves(const Half* from) {
  Halves found;
  std::memcpy(&found, from, sizeof(found));
  return found;
}

GRIDSCAPE_INLINE Halves rounded(Vector x) {
#if defined(__AVX512BF16__)
  return (Halves)_mm512_cvtneps_pbh(x);
#else
  return __builtin_convertvector(nearest(x) >> 16, Halves);
#endif
}

GRIDSCAPE_INLINE void store_halves(Half* to, Halves value) {
  std::memcpy(to, &value, sizeof(value));
}

GRIDSCAPE_INLINE void store_halves_first(Half* to, Halves value, int64_t count) {
#if defined(__AVX512F__)
  _mm256_mask_storeu_epi16(to, first(count), (__m256i)value);
#else
  if (count >= kLanes) return store_halves(to, value);
  for (int64_t k = 0; k < count; ++k) to[k] = value[k];
#endif
}

// sum + the products of pairs of bfloat16.
GRIDSCAPE_INLINE Vector add_pairs(Vector sum, Vector a, Vector b) {
#if defined(__AVX512BF16__)
  return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b);
#else
  sum += (Vector)((Words)a << 16) * (Vector)((Words)b << 16);
  return sum + (Vector)((Words)a & kUpper) * (Vector)((Words)b & kUpper);
#endif
}

// ---- functions ----

// exp(y) = power * (1 + series), for y in [-87, 0] or NaN.
//
// y = n ln 2 + r with |r| <= ln(2) / 2: power is 2^n, series exp(r) - 1 by its Taylor series to r^7
// (the rest is below 6e-9 of it).
struct Exponential {
  Vector power, series;

  GRIDSCAPE_INLINE explicit Exponential(Vector y) {
    const Vector shift = splat(12582912.0f);  // 1.5 * 2^23: adding it rounds to whole numbers
    const Vector shifted = y * splat(1.44269504f) + shift;
    const Vector n = shifted - shift;
    // ln 2 in two parts, the first with so few digits that n times it is exact.
    const Vector r = (y - n * splat(0.693359375f)) - n * splat(-2.12194440e-4f);
    series = splat(1.0f / 5040);
    series = series * r + splat(1.0f / 720);
    series = series * r + splat(1.0f / 120);
    series = series * r + splat(1.0f / 24);
    series = series * r + splat(1.0f / 6);
    series = series * r + splat(0.5f);
    series = series * (r * r) + r;
    const Whole exponent = bits_of(shifted) - bits_of(shift) + 127;
    power = from_bits(exponent << 23);
  }
};

// exp(y) - 1 for y in [-40, 0] or NaN, to 2 units in the last place: nothing cancels near 0.
GRIDSCAPE_INLINE Vector expm1_negative(Vector y) {
  const Exponential e(y);
  return e.power * e.series + (e.power - splat(1.0f));
}

// exp(y) for y <= 0 or NaN, to 2 units in the last place; below exp(-87) it stays that.
GRIDSCAPE_INLINE Vector exp_negative(Vector y) {
  const Exponential e(y < splat(-87.0f) ? splat(-87.0f) : y);  // false for NaN
  return e.power * e.series + e.power;
}

// tanh, to 3 units in the last place; NaN stays NaN.
GRIDSCAPE_INLINE Vector tanh(Vector x) {
  const Whole magnitude_bits = bits_of(x) & 0x7fffffff, sign = bits_of(x) ^ magnitude_bits;
  const Vector magnitude = from_bits(magnitude_bits);
  Vector y = magnitude * splat(-2.0f);
  y = y < splat(-40.0f) ? splat(-40.0f) : y;  // false for NaN
  const Vector e = expm1_negative(y);
  const Vector quotient = e / (splat(-2.0f) - e);
  return from_bits((bits_of(quotient) & 0x7fffffff) | sign);
}

GRIDSCAPE_INLINE Vector sigmoid(Vector x) {
  return splat(0.5f) + splat(0.5f) * tanh(x * splat(0.5f));
}

}  // namespace GRIDSCAPE_TARGET
}  // namespace gridscape

#endif  // GRIDSCAPE_SIMD_H_
