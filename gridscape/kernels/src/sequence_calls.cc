// The calls of small recurrent networks, of one trial and on one core: many updates, or outputs.

#include "whole_calls.h"

namespace gridscape {
namespace {

// A network, and the leaves that it is made of: terms says of kernel and bias of the cell how many
// are added up to each. Behind them come kernel and bias of the linear layer.
struct Network {
  SequenceSizes n;
  std::vector<int64_t> terms;

  // Sizes of kernel and bias of the cell.
  std::array<int64_t, 2> weights() const {
    const int64_t columns = (n.cell == CellKind::kRnn ? 1 : 4) * n.layer.hidden;
    return {(n.layer.features + n.layer.hidden) * columns, columns};
  }

  bool fits(const std::vector<Leaf>& leaves) const {
    const auto sizes = weights();
    if (terms.size() != sizes.size()) return false;
    std::vector<int64_t> wanted;
    for (size_t w = 0; w < sizes.size(); ++w) {
      if (terms[w] < 1 || terms[w] > 2) return false;
      wanted.insert(wanted.end(), terms[w], sizes[w]);
    }
    wanted.insert(wanted.end(), {n.layer.hidden * n.outputs, n.outputs});
    return std::equal(leaves.begin(), leaves.end(), wanted.begin(), wanted.end(),
                      [](const Leaf& leaf, int64_t size) { return leaf.size == size; });
  }

  int64_t of_inputs() const { return n.layer.steps * n.layer.features; }

  // A batch that was gathered and its answers, the weights of the cell, and what the kernels need.
  int64_t workspace() const {
    const int64_t of_example = of_inputs() + n.targets() + 1 + n.answers() * n.outputs;
    return n.layer.batch * of_example + weights()[0] + weights()[1] +
           chosen().sequence->workspace(n);
  }

  // The same for the outputs alone.
  int64_t outputs_workspace() const {
    return weights()[0] + weights()[1] + chosen().sequence->outputs_workspace(n);
  }
};

// Whether these are rows that follow each other.
bool follow(const int32_t* rows, int64_t count) {
  for (int64_t k = 1; k < count; ++k) {
    if (rows[k] != rows[0] + k) return false;
  }
  return true;
}

// The first `used` of the columns of rows of a table: where they lie if they follow each other,
// else copied.
template <typename Number>
const Number* take(Number* to, const Number* table, const int32_t* rows, int64_t count,
                   int64_t columns, int64_t used) {
  if (used == columns && (!rows || follow(rows, count))) {
    return rows ? table + rows[0] * columns : table;
  }
  for (int64_t b = 0; b < count; ++b) {
    const Number* from = table + (rows ? rows[b] : b) * columns;
    std::memcpy(to + b * used, from, used * sizeof(Number));
  }
  return to;
}

// The network as it reads a batch: no step is done that counts in none of its examples. Which bit
// is the lowest is asked of all steps.
SequenceSizes up_to_last(const SequenceSizes& n, const int32_t* lengths) {
  SequenceSizes found = n;
  if (!lengths || !n.layer.every || n.loss == SequenceLossKind::kStepEntropy) return found;
  const int64_t last = *std::max_element(lengths, lengths + n.layer.batch);
  found.layer.steps = std::clamp(last, int64_t{1}, n.layer.steps);
  return found;
}

// Answers (batch, fewer, outputs) as (batch, answers, outputs), zeros behind them.
void spread(const SequenceSizes& n, const float* from, int64_t fewer, float* to) {
  const int64_t all = n.answers() * n.outputs, some = fewer * n.outputs;
  for (int64_t b = 0; b < n.layer.batch; ++b) {
    std::copy(from + b * some, from + (b + 1) * some, to + b * all);
    std::fill(to + b * all + some, to + (b + 1) * all, 0.0f);
  }
}

// A weight of the cell: its leaf, or the sum of two.
const float* sum(const Leaf* leaves, int64_t terms, float* to) {
  if (terms == 1) return leaves[0].params;
  for (int64_t k = 0; k < leaves[0].size; ++k) to[k] = leaves[0].params[k] + leaves[1].params[k];
  return to;
}

// The bias of an LSTM with `forget` added in the forget gate, the third of four.
const float* with_forget(const float* bias, int64_t hidden, float forget, float* to) {
  if (to != bias) std::memcpy(to, bias, 4 * hidden * sizeof(float));
  for (int64_t k = 2 * hidden; k < 3 * hidden; ++k) to[k] += forget;
  return to;
}

// The weights that the leaves make; space: for kernel and bias of the cell.
SequenceWeights<const float> weights_of(const Network& net, const std::vector<Leaf>& leaves,
                                        float forget, float* space) {
  float *kernel = space, *bias = kernel + net.weights()[0];
  const Leaf *of_bias = leaves.data() + net.terms[0], *readout = of_bias + net.terms[1];
  SequenceWeights<const float> found = {
      {sum(leaves.data(), net.terms[0], kernel), sum(of_bias, net.terms[1], bias)},
      readout[0].params,
      readout[1].params};
  if (net.n.cell == CellKind::kLstm) {
    found.weights[1] = with_forget(found.weights[1], net.n.layer.hidden, forget, bias);
  }
  return found;
}

// The mean loss of a batch; all gradients by it go to those of the leaves.
float gradient(const Network& net, const SequenceSizes& n, const std::vector<Leaf>& leaves,
               float forget, const SequenceBatch& batch, float* outputs, float* space) {
  const auto sizes = net.weights();
  const Leaf *of_bias = leaves.data() + net.terms[0], *readout = of_bias + net.terms[1];
  const SequenceWeights<float> gradients = {
      {leaves[0].grads, of_bias->grads}, readout[0].grads, readout[1].grads};
  const float loss = chosen().sequence->gradient(n, weights_of(net, leaves, forget, space), batch,
                                                 gradients, outputs, space + sizes[0] + sizes[1]);
  for (const auto& [first, terms] :
       {std::pair{leaves.data(), net.terms[0]}, {of_bias, net.terms[1]}}) {
    // The gradient by a sum is that by each of its terms.
    if (terms == 2) std::memcpy(first[1].grads, first[0].grads, first->size * sizeof(float));
  }
  return loss;
}

// Operands and results as in whole_calls.h; of the network inputs (N, T, D), targets (N, K),
// lengths (N) or (0), forget () -> outputs (U, B, S, C) or (0), workspace.
ffi::Error sequence_train(ffi::RemainingArgs args, ffi::RemainingRets rets, int64_t rule,
                          int64_t loss, bool keeps, bool cuts, int64_t cell, int64_t hidden,
                          bool every, int64_t n_outputs, ffi::Span<const int64_t> terms) {
  Whole trial(args, rets, rule, 4);
  if (!trial.fits) return refused("operands of other shapes or types");
  const Batches& batches = trial.batches;
  const auto of_inputs = shape<3>(args, trial.own);
  const int64_t B = batches.batch();
  const Network net = {{static_cast<CellKind>(cell),
                        {of_inputs[1], B, of_inputs[2], hidden, every},
                        n_outputs,
                        static_cast<SequenceLossKind>(loss)},
                       {terms.begin(), terms.end()}};
  const SequenceSizes& n = net.n;
  const bool is_class = n.loss == SequenceLossKind::kCrossEntropy;
  if (!chosen().sequence->has(n) || loss < 0 || loss > kLastSequenceLoss ||
      (!is_class && n_outputs != 1)) {
    return refused("no recurrent network of this kind");
  }
  const bool has_lengths = shape<1>(args, trial.own + 2)[0] > 0;
  Buffers& buffers = trial.buffers;
  const float* inputs = buffers.operand(trial.own, batches.examples * net.of_inputs());
  const auto* targets = buffers.operand<int32_t>(trial.own + 1, batches.examples * n.targets());
  const auto* lengths = buffers.operand<int32_t>(trial.own + 2, has_lengths * batches.examples);
  const float* forget = buffers.operand(trial.own + 3, 1);
  const int64_t n_kept = keeps ? B * n.answers() * n_outputs : 0;
  float* outputs = buffers.result(trial.result, batches.updates * n_kept);
  float* space = buffers.result(trial.result + 1, net.workspace());
  if (!buffers.fit() || !net.fits(trial.leaves)) {
    return refused("operands of other shapes or types");
  }
  const int64_t K = n.targets();
  auto* of_batch = reinterpret_cast<int32_t*>(space);
  float *gathered = space + B * (K + 1), *compact = gathered + B * net.of_inputs();
  float* rest = compact + B * n.answers() * n_outputs;
  return trial.train([&](int64_t at) {
    const int32_t* rows = batches.at(at);
    SequenceBatch batch = {};
    if (has_lengths) batch.lengths = take(of_batch + B * K, lengths, rows, B, 1, 1);
    const SequenceSizes now = cuts ? up_to_last(n, batch.lengths) : n;
    const int64_t used = now.layer.steps * now.layer.features;
    batch.targets = take(of_batch, targets, rows, B, K, now.targets());
    batch.inputs = take(gathered, inputs, rows, B, net.of_inputs(), used);
    float* kept = keeps ? outputs + at * n_kept : nullptr;
    const bool is_short = now.answers() < n.answers();
    const float found =
        gradient(net, now, trial.leaves, *forget, batch, kept && is_short ? compact : kept, rest);
    if (kept && is_short) spread(n, compact, now.answers(), kept);
    return found;
  });
}

// The indices of examples, the short ones first: blocks of them end early.
std::vector<int32_t> by_length(const int32_t* lengths, int64_t count, int64_t longest) {
  const auto length = [&](int64_t b) {
    return lengths ? std::clamp<int64_t>(lengths[b], 0, longest) : 0;
  };
  std::vector<int64_t> begin(longest + 2);
  for (int64_t b = 0; b < count; ++b) ++begin[length(b) + 1];
  for (int64_t k = 1; k <= longest; ++k) begin[k] += begin[k - 1];
  std::vector<int32_t> found(count);
  for (int64_t b = 0; b < count; ++b) found[begin[length(b)]++] = static_cast<int32_t>(b);
  return found;
}

// (*terms of the cell's kernel, of its bias, kernel, bias, forget (), inputs (B, T, D), lengths (B)
// or (0)) -> outputs (B, S, C), workspace. What follows the longest of a block's lengths is 0.
ffi::Error sequence_outputs(ffi::RemainingArgs args, ffi::RemainingRets rets, int64_t cell,
                            int64_t hidden, bool every, int64_t n_outputs,
                            ffi::Span<const int64_t> terms) {
  constexpr size_t kOwn = 3;  // operands behind the leaves
  if (args.size() < kOwn) return refused("too few operands");
  const size_t n_leaves = args.size() - kOwn;
  const auto of_inputs = shape<3>(args, n_leaves + 1);
  const Network net = {{static_cast<CellKind>(cell),
                        {of_inputs[1], of_inputs[0], of_inputs[2], hidden, every},
                        n_outputs,
                        SequenceLossKind::kCrossEntropy},
                       {terms.begin(), terms.end()}};
  const SequenceSizes& n = net.n;
  if (!chosen().sequence->has(n)) return refused("no recurrent network of this kind");
  const int64_t B = n.layer.batch;
  const bool has_lengths = shape<1>(args, n_leaves + 2)[0] > 0;
  if (has_lengths && !every)
    return refused("lengths of answers, but only the last one is asked for");
  Buffers buffers = Buffers::of_one(args, rets);
  std::vector<Leaf> leaves;
  for (size_t k = 0; k < n_leaves; ++k) {
    const auto size = static_cast<int64_t>(args.get<ffi::AnyBuffer>(k)->element_count());
    leaves.push_back({size, false, buffers.operand(k, size), nullptr, {}});
  }
  const float* forget = buffers.operand(n_leaves, 1);
  const float* inputs = buffers.operand(n_leaves + 1, B * net.of_inputs());
  const auto* lengths = buffers.operand<int32_t>(n_leaves + 2, has_lengths * B);
  float* outputs = buffers.result(0, B * n.answers() * n_outputs);
  float* space = buffers.result(1, net.outputs_workspace());
  if (!buffers.fit() || !net.fits(leaves)) return refused("operands of other shapes or types");
  if (!has_lengths) lengths = nullptr;
  const std::vector<int32_t> order = by_length(lengths, B, n.layer.steps);
  const auto sizes = net.weights();
  chosen().sequence->outputs(n, weights_of(net, leaves, *forget, space), inputs, lengths,
                             order.data(), outputs, space + sizes[0] + sizes[1]);
  return ffi::Error::Success();
}

}  // namespace
}  // namespace gridscape

namespace ffi = xla::ffi;

XLA_FFI_DEFINE_HANDLER_SYMBOL(gridscape_sequence_train, gridscape::sequence_train,
                              ffi::Ffi::Bind()
                                  .RemainingArgs()
                                  .RemainingRets()
                                  .Attr<int64_t>("rule")
                                  .Attr<int64_t>("loss")
                                  .Attr<bool>("keeps")
                                  .Attr<bool>("cuts")
                                  .Attr<int64_t>("cell")
                                  .Attr<int64_t>("hidden")
                                  .Attr<bool>("every")
                                  .Attr<int64_t>("n_outputs")
                                  .Attr<ffi::Span<const int64_t>>("terms"));

XLA_FFI_DEFINE_HANDLER_SYMBOL(gridscape_sequence_outputs, gridscape::sequence_outputs,
                              ffi::Ffi::Bind()
                                  .RemainingArgs()
                                  .RemainingRets()
                                  .Attr<int64_t>("cell")
                                  .Attr<int64_t>("hidden")
                                  .Attr<bool>("every")
                                  .Attr<int64_t>("n_outputs")
                                  .Attr<ffi::Span<const int64_t>>("terms"));

namespace {

gridscape::Network network(int64_t cell, int64_t steps, int64_t batch, int64_t features,
                           int64_t hidden, bool every, int64_t outputs, int64_t loss) {
  return {{static_cast<gridscape::CellKind>(cell),
           {steps, batch, features, hidden, every},
           outputs,
           static_cast<gridscape::SequenceLossKind>(loss)},
          {}};
}

}  // namespace

// Floats that a call of such sizes works in; 0 where there is no such network.
extern "C" int64_t gridscape_sequence_workspace(int64_t cell, int64_t steps, int64_t batch,
                                                int64_t features, int64_t hidden, bool every,
                                                int64_t outputs, int64_t loss) {
  const auto net = network(cell, steps, batch, features, hidden, every, outputs, loss);
  return gridscape::chosen().sequence->has(net.n) ? net.workspace() : 0;
}

extern "C" int64_t gridscape_sequence_outputs_workspace(int64_t cell, int64_t steps, int64_t batch,
                                                        int64_t features, int64_t hidden,
                                                        bool every, int64_t outputs) {
  const auto net = network(cell, steps, batch, features, hidden, every, outputs, 0);
  return gridscape::chosen().sequence->has(net.n) ? net.outputs_workspace() : 0;
}
