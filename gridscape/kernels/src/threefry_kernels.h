// Random numbers of one instruction set, as a table: all that its compiled code shows.

#ifndef GRIDSCAPE_THREEFRY_KERNELS_H_
#define GRIDSCAPE_THREEFRY_KERNELS_H_

#include <cstdint>

namespace gridscape {

struct ThreefryKernels {
  // bits[k] = both words of the hash of k under a key of two words, joined by exclusive or.
  void (*bits)(const uint32_t* key, int64_t count, uint32_t* bits);
  // pairs[2 k], pairs[2 k + 1] = the words of the hash of counts[k].
  void (*pairs)(const uint32_t* key, const uint32_t* counts, int64_t count, uint32_t* pairs);
};

}  // namespace gridscape

#endif  // GRIDSCAPE_THREEFRY_KERNELS_H_
