// The call of an optimizer step: shapes are checked, then each trial runs the chosen kernels.

#include "rule_step.h"

namespace gridscape {
namespace {

constexpr size_t kFirst = 3;  // operands before the count, or before the leaves

// (update, numbers, loss, [count], *params, *grads, *moments) -> (update, bad_update, bad_quantity,
// [count], *params, *params from before, *moments). Results from the fourth on, and the first, take
// the place of the operands.
ffi::Error optimizer_step(ffi::ThreadPool pool, ffi::RemainingArgs args, ffi::RemainingRets rets,
                          int64_t kind) {
  const auto rule = static_cast<RuleKind>(kind);
  const size_t first = kFirst + counts(rule), n_groups = 2 + n_moments(rule);
  Buffers buffers(args, rets);
  auto* update = buffers.in_place<int32_t>(0, 1);
  const float* numbers = buffers.operand(1, kNumbers);
  const float* loss = buffers.operand(2, 1);
  auto* bad_update = buffers.result<int32_t>(1, 1);
  auto* bad_quantity = buffers.result<int32_t>(2, 1);
  int32_t* count = counts(rule) ? buffers.in_place<int32_t>(kFirst, 1) : nullptr;
  const size_t n_leaves = args.size() < first ? 0 : (args.size() - first) / n_groups;
  const auto leaves = leaves_of(buffers, rule, first, n_leaves);
  if (!buffers.fit() || args.size() != first + n_groups * n_leaves) {
    return refused("operands of other shapes or types");
  }
  for_trials(pool, buffers.trials(), [&](int64_t k) {
    RuleNumbers own;
    std::memcpy(&own, numbers + k * kNumbers, sizeof(own));
    bad_quantity[k] = step(rule, &own, 0, loss[k], count ? count + k : nullptr, leaves, k);
    update[k] += 1;
    bad_update[k] = bad_quantity[k] == kNone ? 0 : update[k];
  });
  return ffi::Error::Success();
}

}  // namespace
}  // namespace gridscape

namespace ffi = xla::ffi;

XLA_FFI_DEFINE_HANDLER_SYMBOL(
    gridscape_optimizer_step, gridscape::optimizer_step,
    ffi::Ffi::Bind().Ctx<ffi::ThreadPool>().RemainingArgs().RemainingRets().Attr<int64_t>("rule"));
