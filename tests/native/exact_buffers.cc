// Runs every kernel on buffers of exactly the size it asks for, with NaN where it should write.
//
// Built with sanitizers, a step outside a buffer ends the program; a result that is NaN was read
// before it was written. JAX cannot show either: its buffers share large blocks of memory.

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <sstream>
#include <string>
#include <vector>

#include "dispatch.h"

extern "C" const char* gridscape_targets();
extern "C" bool gridscape_use(const char* name);

using namespace gridscape;

namespace {

using Floats = std::vector<float>;

// What lies in a buffer before a kernel writes there: NaN, then 0. It must not matter.
float poison;
uint64_t seen;  // a digest of all results

uint32_t state;

// Small numbers, never the same twice in a row.
Floats numbers(int64_t count) {
  Floats made(count);
  for (float& x : made) {
    state = state * 1664525u + 1013904223u;
    x = static_cast<float>(state >> 8) / (1 << 24) - 0.5f;
  }
  return made;
}

Floats poisoned(int64_t count) { return Floats(count, poison); }

void expect_finite(const Floats& found, const char* what, const std::string& where) {
  for (size_t k = 0; k < found.size(); ++k) {
    if (!std::isfinite(found[k])) {
      std::fprintf(stderr, "%s of %s: entry %zu was never written\n", what, where.c_str(), k);
      std::exit(1);
    }
    uint32_t bits;
    std::memcpy(&bits, &found[k], sizeof(bits));
    seen = (seen ^ bits) * 1099511628211u;
  }
}

template <typename... Numbers>
std::string label(const char* name, Numbers... numbers) {
  std::ostringstream text;
  text << name;
  ((text << " " << numbers), ...);
  return text.str();
}

// ---- recurrent layers ----

std::vector<int64_t> weight_sizes(CellKind cell, int64_t D, int64_t H) {
  switch (cell) {
    case CellKind::kRnn:
      return {(D + H) * H, H};
    case CellKind::kLstm:
      return {(D + H) * 4 * H, 4 * H};
    case CellKind::kGru:
      return {(D + H) * 2 * H, 2 * H, (D + H) * H, H};
    default:
      return {D * 3 * H, 3 * H, H * 3 * H, H};
  }
}

void run_recurrent(const RecurrentKernels& kernels, CellKind cell, const RecurrentSizes& n) {
  const bool is_bfloat16 = &kernels == chosen().recurrent_bfloat16;
  const auto where = label("cell", static_cast<int>(cell), "T B D H", n.steps, n.batch, n.features,
                           n.hidden, n.every, is_bfloat16 ? "bfloat16" : "float32");
  std::vector<Floats> weights, dweights;
  std::vector<const float*> read;
  std::vector<float*> written;
  for (int64_t size : weight_sizes(cell, n.features, n.hidden)) {
    weights.push_back(numbers(size));
    dweights.push_back(poisoned(size));
  }
  for (size_t w = 0; w < weights.size(); ++w) {
    read.push_back(weights[w].data());
    written.push_back(dweights[w].data());
  }
  const Floats inputs = numbers(n.batch * n.steps * n.features);
  const int64_t output_size = n.batch * n.hidden * (n.every ? n.steps : 1);
  Floats outputs[2];
  for (bool keeps : {false, true}) {
    const RecurrentWorkspace need = kernels.workspace(cell, n, keeps);
    Floats output = poisoned(output_size), rows = poisoned(need.rows), kept = poisoned(need.kept);
    Floats workspace = poisoned(need.forward);
    kernels.forward(cell, n, read.data(), inputs.data(), keeps, output.data(), rows.data(),
                    kept.data(), workspace.data());
    expect_finite(output, "states", where);
    outputs[keeps] = output;
    if (!keeps) continue;
    const Floats doutput = numbers(output_size);
    Floats dgates = poisoned(need.dgates), dinputs = poisoned(inputs.size());
    Floats backward_workspace = poisoned(need.backward), inputs_workspace = poisoned(need.inputs);
    kernels.backward(cell, n, read.data(), rows.data(), kept.data(), doutput.data(), written.data(),
                     dgates.data(), backward_workspace.data());
    kernels.inputs(cell, n, read.data(), dgates.data(), dinputs.data(), inputs_workspace.data());
    for (const Floats& gradient : dweights) expect_finite(gradient, "weight gradient", where);
    expect_finite(dinputs, "input gradient", where);
  }
  if (outputs[0] != outputs[1]) {
    std::fprintf(stderr, "%s: other states where nothing is kept\n", where.c_str());
    std::exit(1);
  }
}

// ---- feed-forward layers ----

const char* precision(const FeedforwardKernels& kernels) {
  return &kernels == chosen().feedforward ? "float32" : "bfloat16";
}

void run_dense(const FeedforwardKernels& kernels, const DenseSizes& n, Activation activation) {
  const auto where = label("dense", n.batch, n.inputs, n.outputs, static_cast<int>(activation),
                           precision(kernels));
  const DenseWorkspace need = kernels.dense_workspace(n);
  const Floats x = numbers(n.batch * n.inputs), kernel = numbers(n.inputs * n.outputs);
  const Floats bias = numbers(n.outputs), dy = numbers(n.batch * n.outputs);
  Floats y = poisoned(dy.size()), dkernel = poisoned(kernel.size()), dbias = poisoned(bias.size());
  Floats dz = activation == Activation::kLinear ? dy : poisoned(dy.size());
  Floats dx = poisoned(x.size());
  Floats forward = poisoned(need.forward), weights = poisoned(need.weights);
  Floats inputs = poisoned(need.inputs);
  kernels.dense_forward(n, activation, x.data(), kernel.data(), bias.data(), y.data(),
                        forward.data());
  kernels.dense_weights(n, activation, x.data(), y.data(), dy.data(), dkernel.data(), dbias.data(),
                        dz.data(), weights.data());
  kernels.dense_inputs(n, kernel.data(), dz.data(), dx.data(), inputs.data());
  expect_finite(y, "outputs", where);
  expect_finite(dkernel, "weight gradient", where);
  expect_finite(dbias, "bias gradient", where);
  expect_finite(dx, "input gradient", where);
}

void run_conv(const FeedforwardKernels& kernels, const ConvSizes& n) {
  const auto where = label("conv", n.batch, n.height, n.width, n.channels, n.filters, n.rows,
                           n.columns, n.pooled, precision(kernels));
  const int64_t height = n.pooled ? (n.height + 1) / 2 : n.height;
  const int64_t width = n.pooled ? (n.width + 1) / 2 : n.width;
  const Floats images = numbers(n.batch * n.height * n.width * n.channels);
  const Floats kernel = numbers(n.rows * n.columns * n.channels * n.filters);
  const Floats bias = numbers(n.filters), dy = numbers(n.batch * height * width * n.filters);
  for (bool keeps : {false, true}) {
    const ConvWorkspace need = kernels.conv_workspace(n, keeps);
    Floats y = poisoned(dy.size()), switches = poisoned(need.switches);
    Floats forward = poisoned(need.forward);
    kernels.conv_forward(n, images.data(), kernel.data(), bias.data(), y.data(),
                         keeps ? switches.data() : nullptr, forward.data());
    expect_finite(y, "outputs", where);
    if (!keeps) continue;
    Floats dkernel = poisoned(kernel.size()), dbias = poisoned(bias.size());
    Floats dimages = poisoned(images.size());
    Floats weights = poisoned(need.weights), inputs = poisoned(need.inputs);
    kernels.conv_weights(n, images.data(), switches.data(), dy.data(), dkernel.data(), dbias.data(),
                         weights.data());
    kernels.conv_inputs(n, kernel.data(), switches.data(), dy.data(), dimages.data(),
                        inputs.data());
    expect_finite(dkernel, "weight gradient", where);
    expect_finite(dbias, "bias gradient", where);
    expect_finite(dimages, "input gradient", where);
  }
}

// ---- perceptrons ----

void run_perceptron(const PerceptronSizes& n, bool biased) {
  const PerceptronKernels& kernels = *chosen().perceptron;
  const auto where = label("perceptron", n.batch, n.n_layers, n.inputs(), n.outputs(), biased);
  const int64_t examples = n.batch + 3;
  const Floats inputs = numbers(examples * n.inputs());
  const Floats targets = numbers(examples * n.outputs());
  std::vector<int32_t> rows(n.batch);
  for (int64_t b = 0; b < n.batch; ++b) rows[b] = static_cast<int32_t>((5 * b + 2) % examples);
  std::vector<Floats> params, grads;
  for (int64_t k = 0; k < n.n_layers; ++k) {
    for (int64_t size : {n.widths[k] * n.widths[k + 1], n.widths[k + 1]}) {
      params.push_back(numbers(size));
      grads.push_back(poisoned(size));
    }
  }
  std::vector<PerceptronLayer> layers;
  for (size_t k = 0; k < params.size(); k += 2) {
    layers.push_back({params[k].data(), biased ? params[k + 1].data() : nullptr, grads[k].data(),
                      biased ? grads[k + 1].data() : nullptr});
  }
  for (bool gathers : {false, true}) {
    Floats workspace = poisoned(kernels.workspace(n)), outputs = poisoned(n.batch * n.outputs());
    kernels.take(n, inputs.data(), targets.data(), gathers ? rows.data() : nullptr,
                 workspace.data());
    const Floats loss = {kernels.gradient(n, layers.data(), outputs.data(), workspace.data())};
    expect_finite(loss, "loss", where);
    expect_finite(outputs, "outputs", where);
    for (size_t k = 0; k < grads.size(); k += biased ? 1 : 2) {
      expect_finite(grads[k], "gradient", where);
    }
  }
}

// ---- recurrent networks ----

void run_sequence(const SequenceSizes& n, bool has_lengths) {
  const SequenceKernels& kernels = *chosen().sequence;
  const RecurrentSizes& layer = n.layer;
  const auto where =
      label("sequence", static_cast<int>(n.cell), layer.steps, layer.batch, layer.features,
            layer.hidden, layer.every, n.outputs, static_cast<int>(n.loss), has_lengths);
  if (!kernels.has(n)) {
    std::fprintf(stderr, "no %s\n", where.c_str());
    std::exit(1);
  }
  const int64_t B = layer.batch;
  const Floats inputs = numbers(B * layer.steps * layer.features);
  std::vector<int32_t> targets(B * n.targets(), 0), lengths(B);
  for (int64_t b = 0; b < B; ++b) lengths[b] = 1 + b % n.answers();
  const int64_t n_kinds = n.loss == SequenceLossKind::kCrossEntropy ? n.outputs : 2;
  for (size_t k = 0; k < targets.size(); ++k) targets[k] = k % n_kinds;
  // The lowest bit counts, else the loss is infinite.
  const bool is_of_steps = n.loss == SequenceLossKind::kStepEntropy;
  for (int64_t b = 0; is_of_steps && b < B; ++b) targets[b * n.answers()] = 1;
  const auto sizes = weight_sizes(n.cell, layer.features, layer.hidden);
  const Floats weight = numbers(sizes[0]), own_bias = numbers(sizes[1]);
  const Floats kernel = numbers(layer.hidden * n.outputs), bias = numbers(n.outputs);
  Floats of_weight = poisoned(sizes[0]), of_own_bias = poisoned(sizes[1]);
  Floats of_kernel = poisoned(kernel.size()), of_bias = poisoned(bias.size());
  Floats outputs = poisoned(B * n.answers() * n.outputs);
  Floats workspace = poisoned(kernels.workspace(n));
  const SequenceWeights<const float> net = {
      {weight.data(), own_bias.data()}, kernel.data(), bias.data()};
  const SequenceWeights<float> gradients = {
      {of_weight.data(), of_own_bias.data()}, of_kernel.data(), of_bias.data()};
  const SequenceBatch batch = {inputs.data(), targets.data(),
                               has_lengths ? lengths.data() : nullptr};
  const Floats loss = {
      kernels.gradient(n, net, batch, gradients, outputs.data(), workspace.data())};
  expect_finite(loss, "loss", where);
  expect_finite(outputs, "outputs", where);
  for (const Floats& gradient : {of_weight, of_own_bias, of_kernel, of_bias}) {
    expect_finite(gradient, "gradient", where);
  }
  std::vector<int32_t> order(B);
  for (int64_t b = 0; b < B; ++b) order[b] = B - 1 - b;
  Floats alone = poisoned(outputs.size()), space = poisoned(kernels.outputs_workspace(n));
  kernels.outputs(n, net, inputs.data(), layer.every ? batch.lengths : nullptr, order.data(),
                  alone.data(), space.data());
  expect_finite(alone, "outputs alone", where);
}

// ---- optimizers ----

void run_step(RuleKind rule, int64_t size) {
  const auto where = label("rule", static_cast<int>(rule), size);
  Floats params = numbers(size), grads = numbers(size), first = Floats(size, 0.1f);
  Floats second = Floats(size, 0.1f);
  const RuleNumbers numbers_of = {0.1f, 0.01f, 0.9f, 0.9f, 0.9f, 0.999f, 1e-8f, 0.01f};
  const Leaf leaf = {size, true, params.data(), grads.data(), {first.data(), second.data()}};
  const Finite found = chosen().optimizers->step(rule, numbers_of, {10.0f, 1000.0f}, leaf);
  if (!found.grads || !found.params) {
    std::fprintf(stderr, "%s: not finite\n", where.c_str());
    std::exit(1);
  }
  expect_finite(params, "parameters", where);
}

// ---- random numbers ----

// Any bits are numbers here: what was never written shows in the digests of two fillings.
void run_threefry(int64_t count) {
  const std::vector<uint32_t> key = {7u, 11u}, counts(count, 5u);
  uint32_t filling;
  std::memcpy(&filling, &poison, sizeof(filling));
  std::vector<uint32_t> bits(count, filling), pairs(2 * count, filling);
  chosen().threefry->bits(key.data(), count, bits.data());
  chosen().threefry->pairs(key.data(), counts.data(), count, pairs.data());
  for (const auto& words : {bits, pairs}) {
    for (uint32_t word : words) seen = (seen ^ word) * 1099511628211u;
  }
}

void run_feedforward(const FeedforwardKernels& kernels) {
  const DenseSizes dense[] = {{1, 1, 1},     {3, 5, 10},   {30, 97, 32},  {30, 130, 64},
                              {7, 33, 17},   {65, 20, 65}, {5, 1030, 48}, {16, 16, 16},
                              {33, 49, 130}, {64, 70, 300}};
  for (const DenseSizes& n : dense) {
    for (int kind = 0; kind < 4; ++kind) run_dense(kernels, n, static_cast<Activation>(kind));
  }
  for (bool pooled : {false, true}) {
    for (const ConvSizes& n :
         {ConvSizes{1, 1, 1, 1, 1, 1, 1, pooled}, ConvSizes{2, 5, 7, 1, 3, 5, 5, pooled},
          ConvSizes{3, 8, 8, 3, 32, 3, 3, pooled}, ConvSizes{2, 9, 6, 17, 20, 5, 5, pooled},
          ConvSizes{1, 14, 14, 32, 64, 5, 5, pooled}, ConvSizes{2, 4, 5, 2, 70, 2, 4, pooled}}) {
      run_conv(kernels, n);
    }
  }
}

void run_all() {
  const RecurrentSizes recurrent[] = {
      {1, 1, 1, 1, true},    {2, 3, 1, 2, false},   {3, 40, 2, 5, true},   {2, 33, 9, 15, true},
      {3, 17, 3, 16, false}, {2, 7, 31, 17, true},  {2, 13, 16, 64, true}, {3, 6, 65, 65, false},
      {1, 130, 5, 33, true}, {2, 19, 70, 130, true}};
  for (int cell = 0; cell < 4; ++cell) {
    for (const RecurrentSizes& n : recurrent) {
      run_recurrent(*chosen().recurrent, static_cast<CellKind>(cell), n);
      run_recurrent(*chosen().recurrent_bfloat16, static_cast<CellKind>(cell), n);
    }
  }
  for (const auto* kernels : {chosen().feedforward, chosen().feedforward_bfloat16}) {
    if (kernels) run_feedforward(*kernels);
  }
  constexpr auto kTanh = Activation::kTanh, kRelu = Activation::kRelu;
  constexpr auto kLinear = Activation::kLinear;
  for (bool biased : {false, true}) {
    const auto sum = LossKind::kSquaredError, mean = LossKind::kMeanSquaredError;
    run_perceptron({1, 1, {1, 1}, {kLinear}, sum}, biased);
    run_perceptron({33, 2, {5, 7, 3}, {kTanh, kLinear}, mean}, biased);
    run_perceptron({130, 3, {16, 17, 19, 1}, {kRelu, kLinear, kTanh}, sum}, biased);
    run_perceptron({64, 2, {3, 40, 18}, {kLinear, kRelu}, mean}, biased);
  }
  for (const CellKind cell : {CellKind::kRnn, CellKind::kLstm}) {
    const auto of_class = SequenceLossKind::kCrossEntropy;
    for (bool has_lengths : {false, true}) {
      run_sequence({cell, {3, 17, 2, 5, true}, 7, of_class}, has_lengths);
      run_sequence({cell, {5, 64, 9, 15, true}, 1, of_class}, has_lengths);
      for (int loss = 1; loss < 5; ++loss) {
        const auto kind = static_cast<SequenceLossKind>(loss);
        run_sequence({cell, {4, 33, 2, 10, true}, 1, kind}, has_lengths);
      }
    }
    run_sequence({cell, {1, 16, 1, 1, false}, 3, of_class}, false);
  }
  for (int rule = 0; rule < 9; ++rule) {
    for (int64_t size : {1, 15, 16, 17, 63, 64, 65, 1000}) {
      run_step(static_cast<RuleKind>(rule), size);
    }
  }
  for (int64_t count : {0, 1, 15, 16, 17, 1000}) run_threefry(count);
}

uint64_t results_with(float filling) {
  poison = filling, state = 1, seen = 14695981039346656037u;
  run_all();
  return seen;
}

}  // namespace

int main() {
  std::istringstream targets(gridscape_targets());
  for (std::string target; std::getline(targets, target, ',');) {
    if (!gridscape_use(target.c_str())) return 1;
    if (results_with(std::numeric_limits<float>::quiet_NaN()) != results_with(0)) {
      std::fprintf(stderr, "%s: what lay in a buffer before changes results\n", target.c_str());
      return 1;
    }
    std::printf("%s: every kernel stays in its buffers\n", target.c_str());
  }
  return 0;
}
