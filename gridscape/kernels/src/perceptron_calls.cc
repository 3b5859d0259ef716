// The call that trains a perceptron: many updates of one trial, on one core.

#include <algorithm>
#include <array>

#include "rule_step.h"

namespace gridscape {
namespace {

constexpr size_t kFirst = 3;   // operands before the count, or before the leaves
constexpr size_t kShared = 5;  // operands after the leaves

struct Batches {
  const int32_t* order;  // null: every batch is all examples
  int64_t updates, size, examples;

  const int32_t* at(int64_t update) const { return order ? order + update * size : nullptr; }
  bool has(int64_t update) const {
    const int32_t* rows = at(update);
    return !rows ||
           std::all_of(rows, rows + size, [&](int32_t row) { return row >= 0 && row < examples; });
  }
};

// The layers of a perceptron from its leaves, a kernel each, and a bias each or none.
std::vector<PerceptronLayer> layers_of(const std::vector<Leaf>& leaves, size_t n_layers) {
  const bool has_bias = leaves.size() > n_layers;
  std::vector<PerceptronLayer> layers;
  for (size_t k = 0; k < leaves.size(); k += 1 + has_bias) {
    const Leaf &kernel = leaves[k], bias = has_bias ? leaves[k + 1] : Leaf{};
    layers.push_back({kernel.params, bias.params, kernel.grads, bias.grads});
  }
  return layers;
}

// Whether these are the leaves of a perceptron of such sizes.
bool fit(const std::vector<Leaf>& leaves, const PerceptronSizes& n) {
  const size_t each = leaves.size() / n.n_layers;
  if (each < 1 || each > 2 || leaves.size() != each * n.n_layers) return false;
  for (int64_t k = 0; k < n.n_layers; ++k) {
    if (leaves[k * each].size != n.widths[k] * n.widths[k + 1]) return false;
    if (each == 2 && leaves[k * each + 1].size != n.widths[k + 1]) return false;
  }
  return true;
}

// What an array of two dimensions has of them; {} for any other.
std::array<int64_t, 2> shape(ffi::RemainingArgs args, size_t index) {
  auto found = args.get<ffi::AnyBuffer>(index);
  if (!found.has_value() || found->dimensions().size() != 2) return {};
  return {found->dimensions()[0], found->dimensions()[1]};
}

// (update, bad_update, bad_quantity, [count], *params, *grads, *moments, stop, numbers (leaves,
// ..), order (U, B), inputs (N, I), targets (N, K)) -> (update, bad_update, bad_quantity, [count],
// *params, *params from before, *moments, losses (U), outputs (U, B, K) or (0), workspace).
//
// Results take the place of the operands that they follow. order (U, 0): a batch is all examples.
// widths: from the inputs to the outputs. A loss that was not reached is NaN.
ffi::Error perceptron_train(ffi::RemainingArgs args, ffi::RemainingRets rets, int64_t kind,
                            int64_t loss, bool keeps, ffi::Span<const int64_t> widths,
                            ffi::Span<const int64_t> activations) {
  const auto rule = static_cast<RuleKind>(kind);
  const int64_t n_layers = activations.size();
  const size_t first = kFirst + counts(rule), n_groups = 2 + n_moments(rule);
  if (n_layers < 1 || n_layers > kMostLayers || args.size() < first + kShared + n_groups ||
      static_cast<int64_t>(widths.size()) != n_layers + 1) {
    return refused("no perceptron of this kind");
  }
  const size_t n_leaves = (args.size() - first - kShared) / n_groups;
  const size_t shared = first + n_groups * n_leaves;
  const auto of_order = shape(args, shared + 2), of_inputs = shape(args, shared + 3);
  Batches batches = {nullptr, of_order[0], of_order[1], of_inputs[0]};
  PerceptronSizes n = {batches.size ? batches.size : batches.examples,
                       n_layers,
                       {},
                       {},
                       static_cast<LossKind>(loss)};
  for (int64_t k = 0; k <= n_layers; ++k) n.widths[k] = widths[k];
  for (int64_t k = 0; k < n_layers; ++k) n.activations[k] = static_cast<Activation>(activations[k]);

  Buffers buffers(args, rets);
  auto* update = buffers.in_place<int32_t>(0, 1);
  auto* bad_update = buffers.in_place<int32_t>(1, 1);
  auto* bad_quantity = buffers.in_place<int32_t>(2, 1);
  int32_t* count = counts(rule) ? buffers.in_place<int32_t>(kFirst, 1) : nullptr;
  const auto leaves = leaves_of(buffers, rule, first, n_leaves);
  const auto* stop = buffers.operand<int32_t>(shared, 1);
  const float* numbers = buffers.operand(shared + 1, kNumbers * n_leaves);
  const auto* order = buffers.operand<int32_t>(shared + 2, batches.updates * batches.size);
  const float* inputs = buffers.operand(shared + 3, batches.examples * n.inputs());
  const float* targets = buffers.operand(shared + 4, batches.examples * n.outputs());
  float* losses = buffers.result(shared, batches.updates);
  const int64_t n_kept = keeps ? n.batch * n.outputs() : 0;
  float* outputs = buffers.result(shared + 1, batches.updates * n_kept);
  const PerceptronKernels& kernels = *chosen().perceptron;
  float* workspace = buffers.result(shared + 2, kernels.workspace(n));
  if (!buffers.fit() || args.size() != shared + kShared || !fit(leaves, n)) {
    return refused("operands of other shapes or types");
  }

  std::vector<RuleNumbers> of_leaves(n_leaves);
  std::memcpy(of_leaves.data(), numbers, n_leaves * sizeof(RuleNumbers));
  const auto layers = layers_of(leaves, n_layers);
  std::fill(losses, losses + batches.updates, std::numeric_limits<float>::quiet_NaN());
  if (batches.size) batches.order = order;
  if (!batches.order) kernels.take(n, inputs, targets, nullptr, workspace);
  for (int64_t at = 0; *update < *stop && *bad_update == 0; ++at) {
    if (at >= batches.updates || !batches.has(at)) return refused("an example that is not there");
    if (batches.order) kernels.take(n, inputs, targets, batches.at(at), workspace);
    losses[at] =
        kernels.gradient(n, layers.data(), keeps ? outputs + at * n_kept : nullptr, workspace);
    *bad_quantity = step(rule, of_leaves.data(), 1, losses[at], count, leaves, 0);
    *update += 1;
    *bad_update = *bad_quantity == kNone ? 0 : *update;
  }
  return ffi::Error::Success();
}

}  // namespace
}  // namespace gridscape

namespace ffi = xla::ffi;

XLA_FFI_DEFINE_HANDLER_SYMBOL(gridscape_perceptron_train, gridscape::perceptron_train,
                              ffi::Ffi::Bind()
                                  .RemainingArgs()
                                  .RemainingRets()
                                  .Attr<int64_t>("rule")
                                  .Attr<int64_t>("loss")
                                  .Attr<bool>("keeps")
                                  .Attr<ffi::Span<const int64_t>>("widths")
                                  .Attr<ffi::Span<const int64_t>>("activations"));

// Floats that a call of such sizes works in; widths: n_layers + 1.
extern "C" int64_t gridscape_perceptron_workspace(int64_t batch, int64_t n_layers,
                                                  const int64_t* widths) {
  gridscape::PerceptronSizes n = {batch, n_layers, {}, {}, {}};
  std::copy(widths, widths + n_layers + 1, n.widths);
  return gridscape::chosen().perceptron->workspace(n);
}
