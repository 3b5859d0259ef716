// A small recurrent network of one trial: its loss and all gradients in one call, or its outputs.
//
// The lanes of a vector are examples all the way: states go to the linear layer, its outputs to the
// loss and gradients back without leaving that layout.

#ifndef GRIDSCAPE_SEQUENCE_H_
#define GRIDSCAPE_SEQUENCE_H_

#include "recurrent_table.h"
#include "sequence_losses.h"

namespace gridscape {
namespace GRIDSCAPE_TARGET {

inline bool has_sequence(const SequenceSizes& n) {
  const bool is_one_product = n.cell == CellKind::kRnn || n.cell == CellKind::kLstm;
  return is_one_product && has_few_units(Few(n.layer));
}

// Hands out parts of a workspace whose vectors cross no line of the cache; of none it only counts.
class Arena {
 public:
  explicit Arena(float* begin) : begin_(begin) {
    if (begin_) begin_ += (-reinterpret_cast<uintptr_t>(begin_) / sizeof(float)) % kBlock;
  }
  void operator()(float*& part, int64_t count) {
    part = begin_ ? begin_ + taken_ : nullptr;
    taken_ += padded(count);
  }
  int64_t size() const { return taken_ + kBlock; }

 private:
  float* begin_;
  int64_t taken_ = 0;
};

// Where numbers lie, each [block of examples][answer][..][kBlock] but those of the layer.
struct SequenceWorkspace {
  float *states, *dstates, *y, *dy, *targets, *lengths, *share;
  float *rows, *kept, *dgates, *layer;
  int64_t size;

  SequenceWorkspace(const SequenceSizes& n, float* begin) {
    Arena take(begin);
    const int64_t examples = padded(n.layer.batch), all = examples * n.answers();
    const RecurrentWorkspace need = few_workspace(n.cell, Few(n.layer), true);
    take(states, all * n.layer.hidden);
    take(dstates, all * n.layer.hidden);
    take(y, all * n.outputs);
    take(dy, all * n.outputs);
    take(targets, examples * n.targets());
    take(lengths, examples);
    take(share, examples);
    take(rows, need.rows);
    take(kept, need.kept);
    take(dgates, need.dgates);
    take(layer, need.forward > need.backward ? need.forward : need.backward);
    size = take.size();
  }
};

// The same for the outputs alone, of a block at a time. inputs: [example][step][feature].
struct OutputsWorkspace {
  float *inputs, *y, *rows, *layer;
  int64_t size;

  OutputsWorkspace(const SequenceSizes& n, float* begin) {
    Arena take(begin);
    const Few layer_of(n.layer);
    take(inputs, kBlock * n.layer.steps * n.layer.features);
    take(y, kBlock * n.answers() * n.outputs);
    take(rows, few_rows(layer_of, false));
    take(layer, few_workspace(n.cell, layer_of, false).forward);
    size = take.size();
  }
};

inline int64_t sequence_workspace(const SequenceSizes& n) {
  return SequenceWorkspace(n, nullptr).size;
}

inline int64_t outputs_workspace(const SequenceSizes& n) {
  return OutputsWorkspace(n, nullptr).size;
}

// Whole numbers of kBlock examples as lanes; beyond the last example `beyond`.
GRIDSCAPE_INLINE void whole_to_lanes(float* to, const int32_t* from, int64_t columns, int64_t count,
                                     float beyond) {
  for (int64_t lane = 0; lane < kBlock; ++lane, from += columns) {
    for (int64_t c = 0; c < columns; ++c) to[c * kBlock + lane] = lane < count ? from[c] : beyond;
  }
}

// ---- the linear layer, of kBlock examples and one answer ----

inline void read_out(const SequenceSizes& n, const float* kernel, const float* bias,
                     const float* states, float* y) {
  for_groups<kTileRows>(n.outputs, [&](auto outputs, int64_t first) {
    constexpr int C = outputs;
    for (int lane = 0; lane < kBlock; lane += kLanes) {
      Vector sum[C];
      for (int c = 0; c < C; ++c) sum[c] = splat(bias[first + c]);
      for (int64_t h = 0; h < n.layer.hidden; ++h) {
        const Vector state = load(states + h * kBlock + lane);
#pragma GCC unroll 8
        for (int c = 0; c < C; ++c) sum[c] += splat(kernel[h * n.outputs + first + c]) * state;
      }
      for (int c = 0; c < C; ++c) store(y + (first + c) * kBlock + lane, sum[c]);
    }
  });
}

inline void pull_states(const SequenceSizes& n, const float* kernel, const float* dy,
                        float* dstates) {
  for (int64_t h = 0; h < n.layer.hidden; ++h) {
    for (int lane = 0; lane < kBlock; lane += kLanes) {
      Vector sum = {};
      for (int64_t c = 0; c < n.outputs; ++c) {
        sum += splat(kernel[h * n.outputs + c]) * load(dy + c * kBlock + lane);
      }
      store(dstates + h * kBlock + lane, sum);
    }
  }
}

// The gradients by kernel and bias: sums over all blocks, answers and lanes.
inline void pull_readout(const SequenceSizes& n, const SequenceWorkspace& space, float* dkernel,
                         float* dbias) {
  const int64_t H = n.layer.hidden, count = blocks_of(n.layer.batch) * n.answers();
  const auto sum = [&](auto&& term) {
    alignas(64) float sums[kBlock];
    for (int lane = 0; lane < kBlock; lane += kLanes) {
      Vector total = {};
      for (int64_t at = 0; at < count; ++at) total += term(at, lane);
      store(sums + lane, total);
    }
    return sum_lanes(sums);
  };
  for (int64_t c = 0; c < n.outputs; ++c) {
    const auto d = [&](int64_t at, int lane) {
      return load(space.dy + (at * n.outputs + c) * kBlock + lane);
    };
    dbias[c] = sum(d);
    for (int64_t h = 0; h < H; ++h) {
      dkernel[h * n.outputs + c] = sum([&](int64_t at, int lane) {
        return load(space.states + (at * H + h) * kBlock + lane) * d(at, lane);
      });
    }
  }
}

// ---- the loss ----

inline void take_answers(const SequenceSizes& n, const SequenceBatch& batch,
                         const SequenceWorkspace& space) {
  const int64_t K = n.targets();
  for (int64_t begin = 0; begin < n.layer.batch; begin += kBlock) {
    const int64_t count = smaller(kBlock, n.layer.batch - begin);
    float *lengths = space.lengths + begin, *share = space.share + begin;
    whole_to_lanes(space.targets + begin * K, batch.targets + begin * K, K, count, 0);
    if (batch.lengths) whole_to_lanes(lengths, batch.lengths + begin, 1, count, 1);
    for (int64_t lane = 0; lane < kBlock; ++lane) {
      if (!batch.lengths) lengths[lane] = n.answers();
      share[lane] = lane < count ? 1.0f / n.layer.batch : 0;
    }
  }
}

// The mean loss; gradients by the outputs.
inline float pull_loss(const SequenceSizes& n, const SequenceWorkspace& space) {
  double total = 0;
  for (int64_t begin = 0; begin < n.layer.batch; begin += kBlock) {
    const int64_t at = begin * n.answers() * n.outputs;
    alignas(64) float losses[kBlock];
    for (int lane = 0; lane < kBlock; lane += kLanes) {
      const Answers answers = {n.answers(),
                               n.outputs,
                               space.y + at + lane,
                               space.targets + begin * n.targets() + lane,
                               space.lengths + begin + lane,
                               space.share + begin + lane,
                               space.dy + at + lane};
      store(losses + lane, losses_of(n.loss, answers));
    }
    const int64_t count = smaller(kBlock, n.layer.batch - begin);
    for (int64_t lane = 0; lane < count; ++lane) total += losses[lane];
  }
  return static_cast<float>(total / n.layer.batch);
}

// ---- all ----

template <typename Cell, typename Weights>
float sequence_gradient_of(const SequenceSizes& n, const Weights& weights,
                           const typename Weights::Gradients& dweights,
                           const SequenceWeights<const float>& net, const SequenceBatch& batch,
                           const SequenceWeights<float>& gradients, float* outputs,
                           const SequenceWorkspace& space) {
  const Few layer(n.layer);
  const int64_t answers = n.answers(), H = layer.hidden, C = n.outputs;
  const auto number = [&](int64_t block, int64_t t) {
    return (block * answers + (layer.every ? t : 0)) * kBlock;
  };
  few_states<Cell>(layer, weights, batch.inputs, Tape{space.rows, true}, space.kept, space.layer,
                   [&](int64_t block, int64_t t, const float* states) {
                     float* to = space.states + number(block, t) * H;
                     std::memcpy(to, states, H * kBlock * sizeof(float));
                     read_out(n, net.kernel, net.bias, to, space.y + number(block, t) * C);
                   });
  take_answers(n, batch, space);
  const float loss = pull_loss(n, space);
  pull_readout(n, space, gradients.kernel, gradients.bias);
  few_gradients<Cell>(layer, weights, space.rows, space.kept, dweights, space.dgates, space.layer,
                      [&](int64_t block, int64_t t) -> const float* {
                        if (!layer.every && t + 1 < layer.steps) return nullptr;
                        float* to = space.dstates + number(block, t) * H;
                        pull_states(n, net.kernel, space.dy + number(block, t) * C, to);
                        return to;
                      });
  for (int64_t begin = 0; outputs && begin < layer.batch; begin += kBlock) {
    from_lanes(outputs + begin * answers * C, space.y + begin * answers * C, answers * C,
               answers * C, smaller(kBlock, layer.batch - begin));
  }
  return loss;
}

inline float sequence_gradient(const SequenceSizes& n, const SequenceWeights<const float>& net,
                               const SequenceBatch& batch, const SequenceWeights<float>& gradients,
                               float* outputs, float* workspace) {
  const SequenceWorkspace space(n, workspace);
  if (n.cell == CellKind::kRnn) {
    return sequence_gradient_of<RnnCell>(n, rnn_weights(net.weights),
                                         rnn_weights(gradients.weights), net, batch, gradients,
                                         outputs, space);
  }
  return sequence_gradient_of<LstmCell>(n, lstm_weights(net.weights),
                                        lstm_weights(gradients.weights), net, batch, gradients,
                                        outputs, space);
}

// ---- the outputs alone ----

// Steps of a block that count in one of its examples; without lengths all.
inline int64_t steps_of_block(const Few& n, const int32_t* lengths, const int32_t* order,
                              int64_t examples) {
  if (!lengths) return n.steps;
  int64_t longest = 0;
  for (int64_t b = 0; b < examples; ++b) {
    const int64_t length = lengths[order[b]];
    longest = length > longest ? length : longest;
  }
  return smaller(longest, n.steps);
}

// Of the examples in this order, a block at a time.
template <typename Cell, typename Weights>
void sequence_outputs_of(const SequenceSizes& n, const Weights& weights,
                         const SequenceWeights<const float>& net, const float* inputs,
                         const int32_t* lengths, const int32_t* order, float* outputs,
                         const OutputsWorkspace& space) {
  const Few layer(n.layer);
  const int64_t C = n.outputs, of_inputs = layer.steps * layer.features, all = n.answers() * C;
  float *packed = space.layer, *carried = packed + layer.depth() * layer.hidden * Cell::kGates;
  pack_few(packed, layer, weights);
  for (int64_t begin = 0; begin < layer.batch; begin += kBlock) {
    const int64_t examples = smaller(kBlock, layer.batch - begin);
    Few block = layer;
    block.steps = steps_of_block(layer, lengths, order + begin, examples);
    const int64_t used = block.steps * layer.features, some = lengths ? block.steps * C : all;
    for (int64_t b = 0; b < examples; ++b) {
      std::memcpy(space.inputs + b * used, inputs + order[begin + b] * of_inputs,
                  used * sizeof(float));
    }
    few_block<Cell>(block, packed, space.inputs, examples, Tape{space.rows, false}, nullptr,
                    carried, [&](int64_t t, const float* states) {
                      float* y = space.y + (layer.every ? t : 0) * C * kBlock;
                      read_out(n, net.kernel, net.bias, states, y);
                    });
    for (int64_t b = 0; b < examples; ++b) {
      float* to = outputs + order[begin + b] * all;
      for (int64_t c = 0; c < some; ++c) to[c] = space.y[c * kBlock + b];
      for (int64_t c = some; c < all; ++c) to[c] = 0;
    }
  }
}

inline void sequence_outputs(const SequenceSizes& n, const SequenceWeights<const float>& net,
                             const float* inputs, const int32_t* lengths, const int32_t* order,
                             float* outputs, float* workspace) {
  const OutputsWorkspace space(n, workspace);
  if (n.cell == CellKind::kRnn) {
    sequence_outputs_of<RnnCell>(n, rnn_weights(net.weights), net, inputs, lengths, order, outputs,
                                 space);
  } else {
    sequence_outputs_of<LstmCell>(n, lstm_weights(net.weights), net, inputs, lengths, order,
                                  outputs, space);
  }
}

}  // namespace GRIDSCAPE_TARGET
}  // namespace gridscape

#endif  // GRIDSCAPE_SEQUENCE_H_
