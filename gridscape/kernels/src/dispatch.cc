#include "dispatch.h"

#include <atomic>
#include <cstring>
#include <string>
#include <vector>

#include "xla/ffi/api/c_api.h"

namespace gridscape {

#define GRIDSCAPE_DECLARE(target)                                                                  \
  namespace target {                                                                               \
  extern const RecurrentKernels kRecurrent;                                                        \
  extern const RecurrentKernels kRecurrentBfloat16;                                                \
  extern const FeedforwardKernels kFeedforward;                                                    \
  extern const OptimizerKernels kOptimizers;                                                       \
  extern const PerceptronKernels kPerceptron;                                                      \
  extern const SequenceKernels kSequence;                                                          \
  extern const ThreefryKernels kThreefry;                                                          \
  }                                                                                                \
  static const Kernels k_##target = {                                                              \
      #target,           &target::kRecurrent,  &target::kRecurrentBfloat16, &target::kFeedforward, \
      nullptr,           &target::kOptimizers, &target::kPerceptron,        &target::kSequence,    \
      &target::kThreefry};

#if defined(GRIDSCAPE_X86)
GRIDSCAPE_DECLARE(avx512)
GRIDSCAPE_DECLARE(avx2)
#endif
#if defined(GRIDSCAPE_AVX512BF16)
// Instructions for products of bfloat16, and nothing else, beyond those of AVX-512.
namespace avx512bf16 {
extern const RecurrentKernels kRecurrentBfloat16;
extern const FeedforwardKernels kFeedforwardBfloat16;
}  // namespace avx512bf16
static const Kernels k_avx512bf16 = {"avx512bf16",
                                     &avx512::kRecurrent,
                                     &avx512bf16::kRecurrentBfloat16,
                                     &avx512::kFeedforward,
                                     &avx512bf16::kFeedforwardBfloat16,
                                     &avx512::kOptimizers,
                                     &avx512::kPerceptron,
                                     &avx512::kSequence,
                                     &avx512::kThreefry};
#endif
GRIDSCAPE_DECLARE(baseline)

namespace {

// Those that this processor can run, the best first.
std::vector<const Kernels*> available() {
  std::vector<const Kernels*> found;
#if defined(GRIDSCAPE_X86)
  __builtin_cpu_init();
  const bool has_fma = __builtin_cpu_supports("fma");
  const bool has_avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                          __builtin_cpu_supports("avx512bw") &&
                          __builtin_cpu_supports("avx512vl") && has_fma;
#if defined(GRIDSCAPE_AVX512BF16)
  if (has_avx512 && __builtin_cpu_supports("avx512bf16")) found.push_back(&k_avx512bf16);
#endif
  if (has_avx512) found.push_back(&k_avx512);
  if (__builtin_cpu_supports("avx2") && has_fma) found.push_back(&k_avx2);
#endif
  found.push_back(&k_baseline);
  return found;
}

std::atomic<const Kernels*> in_use{available().front()};

}  // namespace

const Kernels& chosen() { return *in_use.load(); }

}  // namespace gridscape

// ---- what Python asks for ----

extern "C" {

// Names of the instruction sets that this processor can run, the best first, with commas between.
const char* gridscape_targets() {
  static const std::string names = [] {
    std::string joined;
    for (const auto* kernels : gridscape::available()) {
      joined += (joined.empty() ? "" : ",") + std::string(kernels->name);
    }
    return joined;
  }();
  return names.c_str();
}

// The version of XLA's foreign function interface that this was compiled against.
void gridscape_interface(int32_t* major, int32_t* minor) {
  *major = XLA_FFI_API_MAJOR;
  *minor = XLA_FFI_API_MINOR;
}

// A digest of the sources that this was compiled from.
const char* gridscape_sources() { return GRIDSCAPE_SOURCES; }

const char* gridscape_target() { return gridscape::chosen().name; }

// Whether there is such an instruction set here, which is then used.
bool gridscape_use(const char* name) {
  for (const auto* kernels : gridscape::available()) {
    if (std::strcmp(kernels->name, name) == 0) {
      gridscape::in_use = kernels;
      return true;
    }
  }
  return false;
}
}
