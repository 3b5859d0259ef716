// Recurrent layers through time, forward and backward, of one trial.
//
// Every step is one product of rows [x, 1, h] with the weights, whose columns are ordered by blocks of
// hidden units and, in a block, by gate: the gates of a unit meet in registers, where the cell's
// functions are applied. The backward pass goes the same way and leaves the gradients by the gates
// packed; the gradient by the weights is one product over time and batch.

#ifndef GRIDSCAPE_RECURRENT_H_
#define GRIDSCAPE_RECURRENT_H_

#include "product.h"
#include "recurrent_kernels.h"

namespace gridscape {
namespace GRIDSCAPE_TARGET {

// Sizes that follow from those of a layer.
struct Lengths : RecurrentSizes {
  explicit Lengths(const RecurrentSizes& sizes) : RecurrentSizes(sizes) {}
  int64_t blocks() const { return blocks_of(hidden); }
  int64_t padded() const { return blocks() * kBlock; }
  int64_t depth() const { return features + 1 + hidden; }
  int64_t row() const { return features + 1 + padded(); }
  int64_t rows() const { return steps * batch; }
  int64_t state() const { return batch * padded(); }
  // Of the output, (B, T, H) or (B, H), from one example to the next.
  int64_t output_stride() const { return every ? steps * hidden : hidden; }
  // Units of a block that are no padding.
  int64_t units(int64_t block) const { return smaller(kBlock, hidden - block * kBlock); }
};

// What a step does to one unit's gates, and its derivative.
//
// step: gates -> the new state; `kept` is what pull needs. pull: the gradient by the new state ->
// that by the gates, and the part of that by the old state that does not go through the gates.
struct RnnCell {
  static constexpr int kGates = 1, kKept = 1;
  static constexpr bool kCarries = false;

  GRIDSCAPE_INLINE static Vector step(const Vector* gates, Vector, Vector&, Vector* kept) {
    return kept[0] = tanh(gates[0]);
  }

  GRIDSCAPE_INLINE static Vector pull(const Vector* kept, Vector, Vector dh, Vector&,
                                      Vector* dgates) {
    dgates[0] = dh * (splat(1) - kept[0] * kept[0]);
    return Vector{};
  }
};

struct LstmCell {
  static constexpr int kGates = 4, kKept = 6;
  static constexpr bool kCarries = true;

  GRIDSCAPE_INLINE static Vector step(const Vector* gates, Vector, Vector& c, Vector* kept) {
    const Vector i = sigmoid(gates[0]), j = tanh(gates[1]);
    const Vector f = sigmoid(gates[2]), o = sigmoid(gates[3]);
    kept[0] = i, kept[1] = j, kept[2] = f, kept[3] = o, kept[4] = c;
    c = f * c + i * j;
    kept[5] = tanh(c);
    return o * kept[5];
  }

  GRIDSCAPE_INLINE static Vector pull(const Vector* kept, Vector, Vector dh, Vector& dc,
                                      Vector* dgates) {
    const Vector one = splat(1), i = kept[0], j = kept[1], f = kept[2], o = kept[3];
    const Vector c_before = kept[4], tanh_c = kept[5];
    const Vector d = dc + dh * o * (one - tanh_c * tanh_c);
    dgates[0] = d * j * (i * (one - i));
    dgates[1] = d * i * (one - j * j);
    dgates[2] = d * c_before * (f * (one - f));
    dgates[3] = dh * tanh_c * (o * (one - o));
    dc = d * f;
    return Vector{};
  }
};

// The reset gate after the candidate's product with the state: gates r, u, n of x, n of h.
struct GruAfterCell {
  static constexpr int kGates = 4, kKept = 4;
  static constexpr bool kCarries = false;

  GRIDSCAPE_INLINE static Vector step(const Vector* gates, Vector h, Vector&, Vector* kept) {
    const Vector r = sigmoid(gates[0]), u = sigmoid(gates[1]);
    const Vector c = tanh(gates[2] + r * gates[3]);
    kept[0] = r, kept[1] = u, kept[2] = c, kept[3] = gates[3];
    return u * h + (splat(1) - u) * c;
  }

  GRIDSCAPE_INLINE static Vector pull(const Vector* kept, Vector h, Vector dh, Vector&,
                                      Vector* dgates) {
    const Vector one = splat(1), r = kept[0], u = kept[1], c = kept[2], n = kept[3];
    const Vector dc = dh * (one - u) * (one - c * c);
    dgates[0] = dc * n * (r * (one - r));
    dgates[1] = dh * (h - c) * (u * (one - u));
    dgates[2] = dc;
    dgates[3] = dc * r;
    return dh * u;
  }
};

// ---- weights by block ----

// Weights (depth, gates x H) whose rows are those of x, the bias, and those of h.
template <int G>
struct FusedWeights {
  static constexpr int kGates = G;
  const float *kernel, *bias;

  GRIDSCAPE_INLINE const float* row(const Lengths& n, int64_t k, int64_t gate) const {
    const int64_t width = G * n.hidden, first = gate * n.hidden;
    if (k == n.features) return bias + first;
    return kernel + (k < n.features ? k : k - 1) * width + first;
  }
};

struct GruAfterWeights {
  static constexpr int kGates = 4;
  const float *kernel_x, *bias_x, *kernel_h, *bias_h;

  GRIDSCAPE_INLINE const float* row(const Lengths& n, int64_t k, int64_t gate) const {
    const int64_t H = n.hidden, of_x = k - n.features, of_h = of_x - 1;
    if (gate == 3) {
      return of_x < 0 ? nullptr : of_x == 0 ? bias_h : kernel_h + (3 * of_h + 2) * H;
    }
    if (of_x == 0) return bias_x + gate * H;
    if (of_x < 0) return kernel_x + (3 * k + gate) * H;
    return gate == 2 ? nullptr : kernel_h + (3 * of_h + gate) * H;
  }
};

template <typename Weights>
GRIDSCAPE_INLINE Part weights_part(const Lengths& n, const Weights& weights, int64_t k,
                                   int64_t block) {
  const int64_t of_units = block / Weights::kGates;
  const float* row = weights.row(n, k, block % Weights::kGates);
  return {row + of_units * kBlock, row == nullptr ? 0 : n.units(of_units)};
}

template <typename Weights>
inline void pack_weights(float* to, const Lengths& n, const Weights& weights) {
  pack(to, n.depth(), n.blocks() * Weights::kGates,
       [&](int64_t k, int64_t block) { return weights_part(n, weights, k, block); });
}

// The transpose of `count` of their rows.
template <typename Weights>
inline void pack_weights_transposed(float* to, const Lengths& n, const Weights& weights,
                                    int64_t first, int64_t count) {
  pack_transposed(to, n.blocks() * Weights::kGates, count, [&](int64_t row, int64_t block) {
    return weights_part(n, weights, first + row, block);
  });
}

// From packed sums (depth x blocks) to the places of the weights; `weights` is where they go.
template <typename Weights>
inline void unpack_weights(const float* sums, const Lengths& n, const Weights& weights) {
  for_packed(sums, n.depth(), n.blocks() * Weights::kGates,
             [&](int64_t k, int64_t block, const float* from) {
               const Part part = weights_part(n, weights, k, block);
               float* to = const_cast<float*>(part.data);
               for (int64_t u = 0; u < kBlock; u += kLanes) {
                 if (part.count > u) store_first(to + u, load(from + u), part.count - u);
               }
             });
}

// ---- rows [x, 1, h] ----

// Of step t of the inputs (B, T, D).
inline void write_inputs(float* rows, const Lengths& n, int64_t t, const float* inputs) {
  for (int64_t b = 0; b < n.batch; ++b, rows += n.row()) {
    std::memcpy(rows, inputs + (b * n.steps + t) * n.features, n.features * sizeof(float));
    rows[n.features] = 1;
  }
}

inline void clear_states(float* rows, const Lengths& n) {
  for (int64_t b = 0; b < n.batch; ++b) {
    std::memset(rows + b * n.row() + n.features + 1, 0, n.padded() * sizeof(float));
  }
}

// Where the states of a step go: into the next rows, and to the caller.
struct States {
  float* next;    // rows of the next step, or null
  float* output;  // of the first example, or null
  int64_t stride;  // from there to the next example

  GRIDSCAPE_INLINE void write(const Lengths& n, int64_t b, int64_t unit, Vector h) const {
    if (next) store(next + b * n.row() + n.features + 1 + unit, h);
    if (output && unit < n.hidden) store_first(output + b * stride + unit, h, n.hidden - unit);
  }
};

// The rows of a step: all are kept where there is a backward pass, else two take turns.
struct Tape {
  float* rows;
  bool keeps;

  float* at(const Lengths& n, int64_t t) const {
    return rows + (keeps ? t : t % 2) * n.batch * n.row();
  }
};

GRIDSCAPE_INLINE States states_after(const Lengths& n, const Tape& tape, int64_t t, float* output) {
  const bool is_last = t + 1 == n.steps;
  float* to = n.every ? output + t * n.hidden : is_last ? output : nullptr;
  return {is_last ? nullptr : tape.at(n, t + 1), to, n.output_stride()};
}

// ---- forward ----

// kept: [block][T * B][kKept][kBlock], or null. scratch: packed weights, then what is carried.
template <typename Cell, typename Weights>
inline void forward(const Lengths& n, const Weights& weights, const float* inputs, float* output,
                    Tape tape, float* kept, float* scratch) {
  constexpr int G = Cell::kGates, Q = Cell::kKept;
  const int64_t blocks = n.blocks() * G;
  float *packed = scratch, *carried = scratch + n.depth() * blocks * kBlock;
  pack_weights(packed, n, weights);
  if (Cell::kCarries) std::memset(carried, 0, n.state() * sizeof(float));
  clear_states(tape.at(n, 0), n);
  for (int64_t t = 0; t < n.steps; ++t) {
    float* rows = tape.at(n, t);
    write_inputs(rows, n, t, inputs);
    const States states = states_after(n, tape, t, output);
    const int64_t depth = t == 0 ? n.features + 1 : n.depth();  // the first state is zero
    auto apply = [&](auto& tile, int64_t row, int64_t first, int lane) {
      for (int r = 0; r < tile.kRows; ++r) {
        const int64_t b = row + r;
        for (int j = 0; j < tile.kBlocks / G; ++j) {
          const int64_t block = first / G + j, unit = block * kBlock + lane;
          const Vector h = load(rows + b * n.row() + n.features + 1 + unit);
          float* at = carried + (block * n.batch + b) * kBlock + lane;
          Vector c = Cell::kCarries ? load(at) : Vector{}, used[Q];
          states.write(n, b, unit, Cell::step(tile.sum[r] + j * G, h, c, used));
          if (Cell::kCarries) store(at, c);
          if (kept) {
            float* to = kept + ((block * n.steps + t) * n.batch + b) * Q * kBlock + lane;
            for (int q = 0; q < Q; ++q) store(to + q * kBlock, used[q]);
          }
        }
      }
    };
    multiply({rows, n.row(), 1}, n.batch, packed, depth, n.depth(), blocks, apply);
  }
}

// ---- backward ----

// Where the gradient by the states of step t of the first example comes from; null: there is none.
GRIDSCAPE_INLINE const float* received(const Lengths& n, int64_t t, const float* doutput) {
  return n.every ? doutput + t * n.hidden : t + 1 == n.steps ? doutput : nullptr;
}

// dh (B, padded) += what reaches the states of step t from outside.
inline void receive(float* dh, const Lengths& n, int64_t t, const float* doutput) {
  const float* from = received(n, t, doutput);
  if (from == nullptr) return;
  for (int64_t b = 0; b < n.batch; ++b, from += n.output_stride()) {
    for (int64_t unit = 0; unit < n.hidden; unit += kLanes) {
      float* at = dh + b * n.padded() + unit;
      store(at, load(at) + load_first(from + unit, n.hidden - unit));
    }
  }
}

// dh += the gradients by the gates of step t, through the weights of the state.
inline void to_states(float* dh, const Lengths& n, int64_t t, const float* dgates,
                      int64_t gate_blocks, const float* transposed) {
  auto add = [&](auto& tile, int64_t row, int64_t first, int lane) {
    for (int r = 0; r < tile.kRows; ++r) {
      for (int c = 0; c < tile.kBlocks; ++c) {
        float* at = dh + (row + r) * n.padded() + (first + c) * kBlock + lane;
        store(at, load(at) + tile.sum[r][c]);
      }
    }
  };
  multiply_packed(dgates, n.rows(), t * n.batch, n.batch, gate_blocks, transposed, n.blocks(), add);
}

template <typename Weights>
inline void weight_gradient(const Lengths& n, const float* rows, const float* dgates,
                            const Weights& dweights, float* sums) {
  const int64_t blocks = n.blocks() * Weights::kGates;
  multiply_deep(sums, {rows, 1, n.row()}, n.depth(), dgates, n.rows(), blocks);
  unpack_weights(sums, n, dweights);
}

// dgates: packed, T * B rows. scratch: transposed or sums of weights, then dh, then what is carried.
template <typename Cell, typename Weights>
inline void backward(const Lengths& n, const Weights& weights, const float* rows, const float* kept,
                     const float* doutput, const Weights& dweights, float* dgates, float* scratch) {
  constexpr int G = Cell::kGates, Q = Cell::kKept;
  const int64_t gate_blocks = n.blocks() * G;
  const int64_t size = n.row() * gate_blocks * kBlock;
  float *packed = scratch, *dh = scratch + size, *dcarried = dh + n.state();
  pack_weights_transposed(packed, n, weights, n.features + 1, n.hidden);
  std::memset(dh, 0, n.state() * sizeof(float));
  if (Cell::kCarries) std::memset(dcarried, 0, n.state() * sizeof(float));
  for (int64_t t = n.steps - 1; t >= 0; --t) {
    receive(dh, n, t, doutput);
    const float* states = rows + t * n.batch * n.row() + n.features + 1;
    for (int64_t block = 0; block < n.blocks(); ++block) {
      const int64_t first = packed_at(n.rows(), gate_blocks, t * n.batch, block * G);
      const int64_t second = packed_at(n.rows(), gate_blocks, t * n.batch + 1, block * G);
      for (int64_t b = 0; b < n.batch; ++b) {
        const float* from = kept + ((block * n.steps + t) * n.batch + b) * Q * kBlock;
        float* to = dgates + first + b * (second - first);
        for (int lane = 0; lane < kBlock; lane += kLanes) {
          const int64_t unit = block * kBlock + lane;
          float* dstate = dh + b * n.padded() + unit;
          float* at = dcarried + (block * n.batch + b) * kBlock + lane;
          Vector used[Q], dgate[G], dc = Cell::kCarries ? load(at) : Vector{};
          for (int q = 0; q < Q; ++q) used[q] = load(from + q * kBlock + lane);
          const Vector h = load(states + b * n.row() + unit);
          store(dstate, Cell::pull(used, h, load(dstate), dc, dgate));
          if (Cell::kCarries) store(at, dc);
          for (int g = 0; g < G; ++g) store(to + g * kBlock + lane, dgate[g]);
        }
      }
    }
    if (t > 0) to_states(dh, n, t, dgates, gate_blocks, packed);
  }
  weight_gradient(n, rows, dgates, dweights, packed);
}

// dinputs (B, T, D) (+)= the gradients by the gates, through the weights of the inputs.
template <typename Weights>
inline void input_gradient(const Lengths& n, const Weights& weights, const float* dgates,
                           float* dinputs, float* scratch, bool add) {
  const int64_t gate_blocks = n.blocks() * Weights::kGates, D = n.features;
  pack_weights_transposed(scratch, n, weights, 0, D);
  auto write = [&](auto& tile, int64_t row, int64_t first, int lane) {
    for (int r = 0; r < tile.kRows; ++r) {
      for (int c = 0; c < tile.kBlocks; ++c) {
        const int64_t column = (first + c) * kBlock + lane;
        if (column >= D) continue;
        const int64_t t = (row + r) / n.batch, b = (row + r) % n.batch;
        float* at = dinputs + (b * n.steps + t) * D + column;
        const Vector before = add ? load_first(at, D - column) : Vector{};
        store_first(at, before + tile.sum[r][c], D - column);
      }
    }
  };
  multiply_packed(dgates, n.rows(), 0, n.rows(), gate_blocks, scratch, blocks_of(D), write);
}

// ---- GRU, reset before the candidate's product ----

constexpr int kGruKept = 3;  // r, u, candidate

// gate_rows are [x, 1, h], candidate_rows [x, 1, r h].
inline void gru_forward(const Lengths& n, const FusedWeights<2>& gates,
                        const FusedWeights<1>& candidate, const float* inputs, float* output,
                        Tape gate_tape, Tape candidate_tape, float* kept, float* scratch) {
  const int64_t blocks = n.blocks(), size = n.depth() * blocks * kBlock;
  float *packed_gates = scratch, *packed = scratch + 2 * size, *update = packed + size;
  pack_weights(packed_gates, n, gates);
  pack_weights(packed, n, candidate);
  clear_states(gate_tape.at(n, 0), n);
  clear_states(candidate_tape.at(n, 0), n);
  for (int64_t t = 0; t < n.steps; ++t) {
    float *rows = gate_tape.at(n, t), *reset_rows = candidate_tape.at(n, t);
    write_inputs(rows, n, t, inputs);
    write_inputs(reset_rows, n, t, inputs);
    const States states = states_after(n, gate_tape, t, output);
    const int64_t depth = t == 0 ? n.features + 1 : n.depth();
    auto keep = [&](int64_t block, int64_t b, int lane, int which, Vector value) {
      const int64_t at = ((block * n.steps + t) * n.batch + b) * kGruKept + which;
      if (kept) store(kept + at * kBlock + lane, value);
    };
    auto reset = [&](auto& tile, int64_t row, int64_t first, int lane) {
      for (int r = 0; r < tile.kRows; ++r) {
        for (int j = 0; j < tile.kBlocks / 2; ++j) {
          const int64_t b = row + r, block = first / 2 + j, unit = block * kBlock + lane;
          const Vector gate = sigmoid(tile.sum[r][2 * j]), u = sigmoid(tile.sum[r][2 * j + 1]);
          const int64_t at = b * n.row() + n.features + 1 + unit;
          store(reset_rows + at, gate * load(rows + at));
          store(update + b * n.padded() + unit, u);
          keep(block, b, lane, 0, gate);
          keep(block, b, lane, 1, u);
        }
      }
    };
    auto renew = [&](auto& tile, int64_t row, int64_t first, int lane) {
      for (int r = 0; r < tile.kRows; ++r) {
        for (int j = 0; j < tile.kBlocks; ++j) {
          const int64_t b = row + r, block = first + j, unit = block * kBlock + lane;
          const Vector c = tanh(tile.sum[r][j]), u = load(update + b * n.padded() + unit);
          const Vector h = load(rows + b * n.row() + n.features + 1 + unit);
          keep(block, b, lane, 2, c);
          states.write(n, b, unit, u * h + (splat(1) - u) * c);
        }
      }
    };
    multiply({rows, n.row(), 1}, n.batch, packed_gates, depth, n.depth(), 2 * blocks, reset);
    multiply({reset_rows, n.row(), 1}, n.batch, packed, depth, n.depth(), blocks, renew);
  }
}

// dgates and dcandidate: packed, T * B rows each.
inline void gru_backward(const Lengths& n, const FusedWeights<2>& gates,
                         const FusedWeights<1>& candidate, const float* rows,
                         const float* reset_rows, const float* kept, const float* doutput,
                         const FusedWeights<2>& dgate_weights,
                         const FusedWeights<1>& dcandidate_weights, float* dgates,
                         float* dcandidate, float* scratch) {
  const int64_t blocks = n.blocks(), size = n.row() * blocks * kBlock;
  float *packed_gates = scratch, *packed = scratch + 2 * size, *dh = packed + size;
  pack_weights_transposed(packed_gates, n, gates, n.features + 1, n.hidden);
  pack_weights_transposed(packed, n, candidate, n.features + 1, n.hidden);
  std::memset(dh, 0, n.state() * sizeof(float));
  const Vector one = splat(1);
  for (int64_t t = n.steps - 1; t >= 0; --t) {
    receive(dh, n, t, doutput);
    const float* states = rows + t * n.batch * n.row() + n.features + 1;
    auto kept_at = [&](int64_t block, int64_t b, int lane) {
      return kept + ((block * n.steps + t) * n.batch + b) * kGruKept * kBlock + lane;
    };
    auto dgate_at = [&](int64_t block, int64_t b, int lane) {
      return dgates + packed_at(n.rows(), 2 * blocks, t * n.batch + b, 2 * block) + lane;
    };
    for (int64_t block = 0; block < blocks; ++block) {
      for (int64_t b = 0; b < n.batch; ++b) {
        float* to = dcandidate + packed_at(n.rows(), blocks, t * n.batch + b, block);
        for (int lane = 0; lane < kBlock; lane += kLanes) {
          const int64_t unit = block * kBlock + lane;
          const float* from = kept_at(block, b, lane);
          const Vector u = load(from + kBlock), c = load(from + 2 * kBlock);
          const Vector h = load(states + b * n.row() + unit);
          float* dstate = dh + b * n.padded() + unit;
          const Vector d = load(dstate);
          store(to + lane, d * (one - u) * (one - c * c));
          store(dgate_at(block, b, lane) + kBlock, d * (h - c) * (u * (one - u)));
          store(dstate, d * u);
        }
      }
    }
    auto through_reset = [&](auto& tile, int64_t row, int64_t first, int lane) {
      for (int r = 0; r < tile.kRows; ++r) {
        for (int j = 0; j < tile.kBlocks; ++j) {
          const int64_t b = row + r, block = first + j, unit = block * kBlock + lane;
          const Vector gate = load(kept_at(block, b, lane)), d = tile.sum[r][j];
          const Vector h = load(states + b * n.row() + unit);
          float* dstate = dh + b * n.padded() + unit;
          store(dgate_at(block, b, lane), d * h * (gate * (one - gate)));
          store(dstate, load(dstate) + d * gate);
        }
      }
    };
    multiply_packed(dcandidate, n.rows(), t * n.batch, n.batch, blocks, packed, blocks,
                    through_reset);
    if (t > 0) to_states(dh, n, t, dgates, 2 * blocks, packed_gates);
  }
  weight_gradient(n, rows, dgates, dgate_weights, packed_gates);
  weight_gradient(n, reset_rows, dcandidate, dcandidate_weights, packed_gates);
}

}  // namespace GRIDSCAPE_TARGET
}  // namespace gridscape

#endif  // GRIDSCAPE_RECURRENT_H_
