// What __builtin_cpu_supports reads of an x86 processor, in place of Zig's own, which tells nothing
// (ziglang 0.17.1). The numbers of features are those that GCC and Clang agree on.

#include <cpuid.h>

enum { kAvx2 = 10, kFma = 14, kAvx512f = 15, kAvx512vl = 20, kAvx512bw = 21, kAvx512dq = 22 };
enum { kAvx512bf16 = 36 - 32 };  // of the second word

struct Model {
  unsigned vendor, type, subtype, features[1];
};

__attribute__((visibility("hidden"))) struct Model __cpu_model;
__attribute__((visibility("hidden"))) unsigned __cpu_features2[4];

static unsigned saved_by_system(void) {
  unsigned low, high;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

__attribute__((visibility("hidden"), constructor(101))) int __cpu_indicator_init(void) {
  unsigned a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c >> 27 & 1)) return 0;
  const unsigned saved = saved_by_system();
  const int has_ymm = (saved & 0x06) == 0x06, has_zmm = (saved & 0xe6) == 0xe6;
  unsigned found = 0;
  if (has_ymm && (c >> 12 & 1)) found |= 1u << kFma;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) {
    const unsigned subleaves = a;
    if (has_ymm && (b >> 5 & 1)) found |= 1u << kAvx2;
    if (has_zmm) {
      if (b >> 16 & 1) found |= 1u << kAvx512f;
      if (b >> 17 & 1) found |= 1u << kAvx512dq;
      if (b >> 30 & 1) found |= 1u << kAvx512bw;
      if (b >> 31 & 1) found |= 1u << kAvx512vl;
      if (subleaves && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 5 & 1)) {
        __cpu_features2[0] |= 1u << kAvx512bf16;
      }
    }
  }
  __cpu_model.features[0] = found;
  return 0;
}
