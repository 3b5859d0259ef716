// The call that trains a perceptron: many updates of one trial, on one core.

#include "whole_calls.h"

namespace gridscape {
namespace {

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

// Operands and results as in whole_calls.h; of the network inputs (N, I), targets (N, K) -> outputs
// (U, B, K) or (0), workspace. widths: from the inputs to the outputs.
ffi::Error perceptron_train(ffi::RemainingArgs args, ffi::RemainingRets rets, int64_t rule,
                            int64_t loss, bool keeps, ffi::Span<const int64_t> widths,
                            ffi::Span<const int64_t> activations) {
  const int64_t n_layers = activations.size();
  if (n_layers < 1 || n_layers > kMostLayers ||
      static_cast<int64_t>(widths.size()) != n_layers + 1) {
    return refused("no perceptron of this kind");
  }
  Whole trial(args, rets, rule, 2);
  if (!trial.fits) return refused("operands of other shapes or types");
  const Batches& batches = trial.batches;
  PerceptronSizes n = {batches.batch(), n_layers, {}, {}, static_cast<LossKind>(loss)};
  for (int64_t k = 0; k <= n_layers; ++k) n.widths[k] = widths[k];
  for (int64_t k = 0; k < n_layers; ++k) n.activations[k] = static_cast<Activation>(activations[k]);

  Buffers& buffers = trial.buffers;
  const float* inputs = buffers.operand(trial.own, batches.examples * n.inputs());
  const float* targets = buffers.operand(trial.own + 1, batches.examples * n.outputs());
  const int64_t n_kept = keeps ? n.batch * n.outputs() : 0;
  float* outputs = buffers.result(trial.result, batches.updates * n_kept);
  const PerceptronKernels& kernels = *chosen().perceptron;
  float* workspace = buffers.result(trial.result + 1, kernels.workspace(n));
  if (!buffers.fit() || !fit(trial.leaves, n)) {
    return refused("operands of other shapes or types");
  }

  const auto layers = layers_of(trial.leaves, n_layers);
  if (!batches.size) kernels.take(n, inputs, targets, nullptr, workspace);
  return trial.train([&](int64_t at) {
    if (batches.size) kernels.take(n, inputs, targets, batches.at(at), workspace);
    return kernels.gradient(n, layers.data(), keeps ? outputs + at * n_kept : nullptr, workspace);
  });
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
