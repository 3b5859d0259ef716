// Threefry 2 x 32 with 20 rounds (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2,
// 3"): a hash of two words under a key of two. JAX's random numbers are hashes of counts.

#ifndef GRIDSCAPE_THREEFRY_H_
#define GRIDSCAPE_THREEFRY_H_

#include "simd.h"
#include "threefry_kernels.h"

namespace gridscape {
namespace GRIDSCAPE_TARGET {

struct TwoWords {
  Words first, second;
};

// Four rounds, then the key's words `a` and `b`, and the number of this group.
template <int R1, int R2, int R3, int R4>
GRIDSCAPE_INLINE void mix(TwoWords& x, uint32_t a, uint32_t b, uint32_t number) {
  const auto round = [&](auto distance) {
    constexpr int by = distance;
    x.first += x.second;
    x.second = (x.second << by | x.second >> (32 - by)) ^ x.first;
  };
  round(std::integral_constant<int, R1>{});
  round(std::integral_constant<int, R2>{});
  round(std::integral_constant<int, R3>{});
  round(std::integral_constant<int, R4>{});
  x.first += a;
  x.second += b + number;
}

GRIDSCAPE_INLINE TwoWords hashed(const uint32_t* key, Words first, Words second) {
  const uint32_t a = key[0], b = key[1], c = a ^ b ^ 0x1BD11BDA;
  TwoWords x = {first + a, second + b};
  mix<13, 15, 26, 6>(x, b, c, 1);
  mix<17, 29, 16, 24>(x, c, a, 2);
  mix<13, 15, 26, 6>(x, a, b, 3);
  mix<17, 29, 16, 24>(x, b, c, 4);
  mix<13, 15, 26, 6>(x, c, a, 5);
  return x;
}

// Calls use(k, count) for vectors of numbers from k on, of the last of which only `count` are
// asked.
template <typename Use>
GRIDSCAPE_INLINE void for_words(int64_t count, Use&& use) {
  for (int64_t k = 0; k < count; k += kLanes) {
    use(k, count - k < kLanes ? count - k : int64_t{kLanes});
  }
}

inline void threefry_bits(const uint32_t* key, int64_t count, uint32_t* bits) {
  Words lane;
  for (int k = 0; k < kLanes; ++k) lane[k] = k;
  for_words(count, [&](int64_t k, int64_t some) {
    // The lanes of a vector share their upper word: kLanes divides 2^32.
    const Words upper = static_cast<uint32_t>(k >> 32) + Words{};
    const TwoWords x = hashed(key, upper, lane + static_cast<uint32_t>(k));
    const Words joined = x.first ^ x.second;
    std::memcpy(bits + k, &joined, some * sizeof(uint32_t));
  });
}

inline void threefry_pairs(const uint32_t* key, const uint32_t* counts, int64_t count,
                           uint32_t* pairs) {
  for_words(count, [&](int64_t k, int64_t some) {
    Words of = {};
    std::memcpy(&of, counts + k, some * sizeof(uint32_t));
    const TwoWords x = hashed(key, Words{}, of);
    for (int64_t lane = 0; lane < some; ++lane) {
      pairs[2 * (k + lane)] = x.first[lane];
      pairs[2 * (k + lane) + 1] = x.second[lane];
    }
  });
}

}  // namespace GRIDSCAPE_TARGET
}  // namespace gridscape

#endif  // GRIDSCAPE_THREEFRY_H_
