// Update rules for one instruction set: compiled once for each, GRIDSCAPE_TARGET is its name.

#include "optimizers.h"

namespace gridscape {
namespace GRIDSCAPE_TARGET {
namespace {

Finite run_step(RuleKind rule, const RuleNumbers& numbers, const Corrections& corrections,
                const Leaf& leaf) {
  switch (rule) {
    case RuleKind::kSgd:
      return step<Sgd>(numbers, corrections, leaf);
    case RuleKind::kMomentum:
      return step<Momentum<false>>(numbers, corrections, leaf);
    case RuleKind::kNesterov:
      return step<Momentum<true>>(numbers, corrections, leaf);
    case RuleKind::kAdagrad:
      return step<Adagrad>(numbers, corrections, leaf);
    case RuleKind::kAdagradPytorch:
      return step<AdagradPytorch>(numbers, corrections, leaf);
    case RuleKind::kRmsprop:
      return step<Rmsprop<true>>(numbers, corrections, leaf);
    case RuleKind::kRmspropPytorch:
      return step<Rmsprop<false>>(numbers, corrections, leaf);
    case RuleKind::kAdam:
      return step<Adam<false>>(numbers, corrections, leaf);
    case RuleKind::kAdamw:
      return step<Adam<true>>(numbers, corrections, leaf);
  }
  return {false, false};
}

}  // namespace

extern const OptimizerKernels kOptimizers;
const OptimizerKernels kOptimizers = {run_step};

}  // namespace GRIDSCAPE_TARGET
}  // namespace gridscape
