// What the calls have in common that train a trial as a whole: many updates, on one core.
//
// Operands: (update, bad_update, bad_quantity, [count], *params, *grads, *moments, stop, numbers
// (leaves, ..), order (U, B), ...), behind which stand those of the network. Results: (update,
// bad_update, bad_quantity, [count], *params, *params from before, *moments, losses (U), ...).
// Results take the place of the operands that they follow.

#ifndef GRIDSCAPE_WHOLE_CALLS_H_
#define GRIDSCAPE_WHOLE_CALLS_H_

#include <algorithm>
#include <array>

#include "rule_step.h"

namespace gridscape {

// Examples of each update; order (U, 0): a batch is all examples.
struct Batches {
  const int32_t* order;
  int64_t updates, size, examples;

  int64_t batch() const { return size ? size : examples; }
  // The rows of a batch, or null: the examples themselves.
  const int32_t* at(int64_t update) const { return size ? order + update * size : nullptr; }
  bool has(int64_t update) const {
    const int32_t* rows = at(update);
    return !rows ||
           std::all_of(rows, rows + size, [&](int32_t row) { return row >= 0 && row < examples; });
  }
};

// What an array of so many dimensions has of them; {} for any other.
template <size_t rank>
std::array<int64_t, rank> shape(ffi::RemainingArgs args, size_t index) {
  std::array<int64_t, rank> found = {};
  auto operand = args.get<ffi::AnyBuffer>(index);
  if (!operand.has_value() || operand->dimensions().size() != rank) return found;
  std::copy(operand->dimensions().begin(), operand->dimensions().end(), found.begin());
  return found;
}

// The trial, its rule and its batches.
class Whole {
 public:
  static constexpr size_t kFirst = 3;   // operands before the count, or before the leaves
  static constexpr size_t kShared = 3;  // operands after the leaves, before those of the network

  // n_own: operands of the network, whose first has an example a row.
  Whole(ffi::RemainingArgs args, ffi::RemainingRets rets, int64_t rule, size_t n_own)
      : buffers(args, rets), rule_(static_cast<RuleKind>(rule)) {
    const size_t first = kFirst + counts(rule_), n_groups = 2 + n_moments(rule_);
    if (args.size() < first + n_groups + kShared + n_own) return;
    const size_t in_groups = args.size() - first - kShared - n_own, n_leaves = in_groups / n_groups;
    if (n_leaves * n_groups != in_groups) return;
    const size_t shared = first + in_groups;
    own = shared + kShared;
    result = shared + 1;
    update_ = buffers.in_place<int32_t>(0, 1);
    bad_update_ = buffers.in_place<int32_t>(1, 1);
    bad_quantity_ = buffers.in_place<int32_t>(2, 1);
    count_ = counts(rule_) ? buffers.in_place<int32_t>(kFirst, 1) : nullptr;
    leaves = leaves_of(buffers, rule_, first, n_leaves);
    stop_ = buffers.operand<int32_t>(shared, 1);
    const float* numbers = buffers.operand(shared + 1, kNumbers * n_leaves);
    const auto of_order = shape<2>(args, shared + 2);
    auto inputs = args.get<ffi::AnyBuffer>(own);
    const bool has_rows = inputs.has_value() && inputs->dimensions().size() > 0;
    const int64_t examples = has_rows ? inputs->dimensions()[0] : 0;
    batches = {buffers.operand<int32_t>(shared + 2, of_order[0] * of_order[1]), of_order[0],
               of_order[1], examples};
    losses_ = buffers.result(shared, batches.updates);
    fits = buffers.fit();
    if (!fits) return;
    numbers_.resize(n_leaves);
    std::memcpy(numbers_.data(), numbers, n_leaves * sizeof(RuleNumbers));
  }

  // Trains until `stop` updates are done or something is not finite. gradient(at): the loss of
  // batch `at`, whose gradients it leaves in those of the leaves. A loss that was not reached is
  // NaN.
  template <typename Gradient>
  ffi::Error train(Gradient&& gradient) {
    std::fill(losses_, losses_ + batches.updates, std::numeric_limits<float>::quiet_NaN());
    for (int64_t at = 0; *update_ < *stop_ && *bad_update_ == 0; ++at) {
      if (at >= batches.updates || !batches.has(at)) return refused("an example that is not there");
      losses_[at] = gradient(at);
      *bad_quantity_ = step(rule_, numbers_.data(), 1, losses_[at], count_, leaves, 0);
      *update_ += 1;
      *bad_update_ = *bad_quantity_ == kNone ? 0 : *update_;
    }
    return ffi::Error::Success();
  }

  Buffers buffers;
  std::vector<Leaf> leaves;
  Batches batches = {};
  size_t own = 0, result = 0;  // the network's first operand, and its first result
  bool fits = false;

 private:
  RuleKind rule_;
  std::vector<RuleNumbers> numbers_;
  int32_t *update_ = nullptr, *bad_update_ = nullptr, *bad_quantity_ = nullptr, *count_ = nullptr;
  const int32_t* stop_ = nullptr;
  float* losses_ = nullptr;
};

}  // namespace gridscape

#endif  // GRIDSCAPE_WHOLE_CALLS_H_
