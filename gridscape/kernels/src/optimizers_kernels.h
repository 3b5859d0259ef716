// Update rules of one instruction set, as a table: all that its compiled code shows.

#ifndef GRIDSCAPE_OPTIMIZERS_KERNELS_H_
#define GRIDSCAPE_OPTIMIZERS_KERNELS_H_

#include <cstdint>

namespace gridscape {

// Each with its name in Python, and how many arrays it keeps for each of the parameters.
#define GRIDSCAPE_RULES(RULE)                 \
  RULE(kSgd, "sgd", 0)                        \
  RULE(kMomentum, "momentum", 1)              \
  RULE(kNesterov, "nesterov", 1)              \
  RULE(kAdagrad, "adagrad", 1)                \
  RULE(kAdagradPytorch, "adagrad-pytorch", 1) \
  RULE(kRmsprop, "rmsprop", 1)                \
  RULE(kRmspropPytorch, "rmsprop-pytorch", 1) \
  RULE(kAdam, "adam", 2)                      \
  RULE(kAdamw, "adamw", 2)

enum class RuleKind : int64_t {
#define GRIDSCAPE_KIND(kind, name, moments) kind,
  GRIDSCAPE_RULES(GRIDSCAPE_KIND)
#undef GRIDSCAPE_KIND
};

// A trial's numbers; a rule reads its own.
#define GRIDSCAPE_RULE_NUMBERS(FIELD) \
  FIELD(learning_rate)                \
  FIELD(l2) FIELD(momentum) FIELD(decay) FIELD(b1) FIELD(b2) FIELD(eps) FIELD(weight_decay)

struct RuleNumbers {
#define GRIDSCAPE_FIELD(name) float name;
  GRIDSCAPE_RULE_NUMBERS(GRIDSCAPE_FIELD)
#undef GRIDSCAPE_FIELD
};

// What was not finite in a step, with its name in Python.
#define GRIDSCAPE_BAD_QUANTITIES(QUANTITY) \
  QUANTITY(kNone, "")                      \
  QUANTITY(kLoss, "loss")                  \
  QUANTITY(kGradient, "gradient")          \
  QUANTITY(kParameters, "parameters")

enum Bad : int32_t {
#define GRIDSCAPE_QUANTITY(kind, name) kind,
  GRIDSCAPE_BAD_QUANTITIES(GRIDSCAPE_QUANTITY)
#undef GRIDSCAPE_QUANTITY
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
