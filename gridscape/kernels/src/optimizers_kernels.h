// Update rules of one instruction set, as a table: all that its compiled code shows.

#ifndef GRIDSCAPE_OPTIMIZERS_KERNELS_H_
#define GRIDSCAPE_OPTIMIZERS_KERNELS_H_

#include <cstdint>

namespace gridscape {

// In the order of RULES in kernels/optimizers.py.
enum class RuleKind : int64_t {
  kSgd,
  kMomentum,
  kNesterov,
  kAdagrad,
  kAdagradPytorch,
  kRmsprop,
  kRmspropPytorch,
  kAdam,
  kAdamw,
};

// A trial's numbers, as NUMBERS in kernels/optimizers.py has them; a rule reads its own.
struct RuleNumbers {
  float learning_rate, l2, momentum, decay, b1, b2, eps, weight_decay;
};

// 1 / (1 - b1^t) and 1 / (1 - b2^t) at the update t of Adam.
struct Corrections {
  float mean, square;
};

// One array of the parameters and what goes with it, each of `size` floats. Penalties are for
// weights: arrays of two or more dimensions.
struct Leaf {
  int64_t size;
  bool is_weight;
  float* params;
  float* grads;
  float* moments[2];
};

struct Finite {
  bool grads, params;
};

struct OptimizerKernels {
  // New parameters and moments in place; in `grads` then stand the parameters from before.
  Finite (*step)(RuleKind, const RuleNumbers&, const Corrections&, const Leaf&);
};

}  // namespace gridscape

#endif  // GRIDSCAPE_OPTIMIZERS_KERNELS_H_
