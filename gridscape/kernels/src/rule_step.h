// A step of an update rule on all arrays of a trial, as calls from JAX hold them.

#ifndef GRIDSCAPE_RULE_STEP_H_
#define GRIDSCAPE_RULE_STEP_H_

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "calls.h"
#include "dispatch.h"

namespace gridscape {

constexpr int64_t kNumbers = sizeof(RuleNumbers) / sizeof(float);

inline int n_moments(RuleKind rule) {
#define GRIDSCAPE_MOMENTS(kind, name, moments) moments,
  constexpr int kMoments[] = {GRIDSCAPE_RULES(GRIDSCAPE_MOMENTS)};
#undef GRIDSCAPE_MOMENTS
  return kMoments[static_cast<int64_t>(rule)];
}

inline bool counts(RuleKind rule) { return n_moments(rule) == 2; }

// The buffers of a call. Each holds the arrays of all trials, one after the other: here, unlike in
// other calls, none is shared, since results take the place of operands.
class Buffers {
 public:
  Buffers(ffi::RemainingArgs args, ffi::RemainingRets rets) : args_(args), rets_(rets) {
    auto first = rets_.get<ffi::AnyBuffer>(0);  // a scalar of each trial: its shape is that of all
    if (!first.has_value()) return;
    lead_ = (*first)->dimensions().size();
    trials_ = static_cast<int64_t>((*first)->element_count());
    fits_ = true;
  }

  // Those of one trial, whatever its results are.
  static Buffers of_one(ffi::RemainingArgs args, ffi::RemainingRets rets) {
    Buffers found(args, rets);
    found.trials_ = 1;
    found.lead_ = 0;
    return found;
  }

  int64_t trials() const { return trials_; }
  bool fit() const { return fits_; }

  template <class T = float>
  T* operand(size_t index, int64_t own_size) {
    auto found = args_.get<ffi::AnyBuffer>(index);
    return found.has_value() ? checked<T>(*found, own_size) : missing<T>();
  }

  template <class T = float>
  T* result(size_t index, int64_t own_size) {
    auto found = rets_.get<ffi::AnyBuffer>(index);
    return found.has_value() ? checked<T>(**found, own_size) : missing<T>();
  }

  // A result that begins as the operand of the same place, which XLA gives the same memory.
  template <class T = float>
  T* in_place(size_t index, int64_t own_size) {
    const T* before = operand<T>(index, own_size);
    T* after = result<T>(index, own_size);
    if (fits_ && before != after) std::memcpy(after, before, sizeof(T) * trials_ * own_size);
    return after;
  }

  // Size and whether penalties are for it, of the array at this place.
  Leaf leaf(size_t index) {
    auto found = rets_.get<ffi::AnyBuffer>(index);
    if (!found.has_value() || (*found)->dimensions().size() < lead_ || trials_ == 0) {
      fits_ = false;
      return {};
    }
    const auto own_size = static_cast<int64_t>((*found)->element_count()) / trials_;
    return {own_size, (*found)->dimensions().size() - lead_ >= 2, nullptr, nullptr, {}};
  }

 private:
  template <class T>
  T* checked(ffi::AnyBuffer found, int64_t own_size) {
    const auto type = std::is_same<T, float>::value ? ffi::F32 : ffi::S32;
    fits_ &= found.element_type() == type;
    fits_ &= static_cast<int64_t>(found.element_count()) == trials_ * own_size;
    return static_cast<T*>(found.untyped_data());
  }

  template <class T>
  T* missing() {
    fits_ = false;
    return nullptr;
  }

  ffi::RemainingArgs args_;
  ffi::RemainingRets rets_;
  int64_t trials_ = 0;
  size_t lead_ = 0;
  bool fits_ = false;
};

// The leaves of the first trial.
inline std::vector<Leaf> leaves_of(Buffers& buffers, RuleKind rule, size_t first, size_t n_leaves) {
  std::vector<Leaf> leaves;
  leaves.reserve(n_leaves);
  for (size_t k = 0; k < n_leaves; ++k) {
    Leaf leaf = buffers.leaf(first + k);
    leaf.params = buffers.in_place(first + k, leaf.size);
    leaf.grads = buffers.in_place(first + n_leaves + k, leaf.size);
    for (int m = 0; m < n_moments(rule); ++m) {
      leaf.moments[m] = buffers.in_place(first + (2 + m) * n_leaves + k, leaf.size);
    }
    leaves.push_back(leaf);
  }
  return leaves;
}

inline Leaf of_trial(Leaf leaf, int64_t trial) {
  const int64_t at = trial * leaf.size;
  leaf.params += at;
  leaf.grads += at;
  for (float*& moment : leaf.moments) moment = moment ? moment + at : moment;
  return leaf;
}

// In float64: where b2 is near 1, float32 would leave few digits of 1 - b2^t.
inline Corrections corrections_at(int32_t update, const RuleNumbers& numbers) {
  const auto inverse = [&](double b) { return static_cast<float>(1 / (1 - std::pow(b, update))); };
  return {inverse(numbers.b1), inverse(numbers.b2)};
}

// One trial, whose leaf k has numbers[k * stride]. What is not finite first counts, of loss,
// gradients, parameters in this order; then the parameters are those from before.
inline Bad step(RuleKind rule, const RuleNumbers* numbers, size_t stride, float loss,
                int32_t* count, const std::vector<Leaf>& leaves, int64_t trial) {
  if (!std::isfinite(loss)) return kLoss;
  Corrections corrections = {};
  if (count) {
    *count += *count < std::numeric_limits<int32_t>::max();
    corrections = corrections_at(*count, *numbers);
  }
  const OptimizerKernels& kernels = *chosen().optimizers;
  Finite all = {true, true};
  for (size_t k = 0; k < leaves.size(); ++k) {
    const Leaf leaf = of_trial(leaves[k], trial);
    const Finite found = kernels.step(rule, numbers[k * stride], corrections, leaf);
    all.grads &= found.grads;
    all.params &= found.params;
  }
  if (all.grads && all.params) return kNone;
  for (const Leaf& each : leaves) {
    const Leaf leaf = of_trial(each, trial);
    std::memcpy(leaf.params, leaf.grads, sizeof(float) * leaf.size);
  }
  return all.grads ? kParameters : kGradient;
}

}  // namespace gridscape

#endif  // GRIDSCAPE_RULE_STEP_H_
