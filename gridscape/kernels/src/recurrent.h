// Recurrent layers through time, forward and backward, of one trial.
//
// Every step is one product of rows [x, 1, h] with the weights, whose columns are ordered by blocks
// of hidden units and, in a block, by gate: the gates of a unit meet in registers, where the cell's
// functions are applied. The backward pass goes the same way and leaves the gradients by the gates
// packed; the gradient by the weights is one product over time and batch.
//
// The operands of products are float32 or bfloat16; all else is float32.

#ifndef GRIDSCAPE_RECURRENT_H_
#define GRIDSCAPE_RECURRENT_H_

#include "product.h"
#include "recurrent_kernels.h"

namespace gridscape {
namespace GRIDSCAPE_TARGET {

// Sizes that follow from those of a layer, for operands of such numbers.
template <typename Number>
struct Lengths : RecurrentSizes {
  explicit Lengths(const RecurrentSizes& sizes) : RecurrentSizes(sizes) {}
  int64_t blocks() const { return blocks_of(hidden); }
  int64_t padded() const { return blocks() * kBlock; }
  int64_t depth() const { return features + 1 + hidden; }
  // Numbers of a row [x, 1, h], and its words.
  int64_t width() const { return features + 1 + padded(); }
  int64_t row() const {
    return words_of<Number>(Number::kExact ? width() : blocks_of(width()) * kBlock);
  }
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
// kReadsState: step and pull receive h of the previous step. kCarries: they receive a carried
// vector instead, as c of the LSTM.
struct RnnCell {
  static constexpr int kGates = 1, kKept = 1;
  static constexpr bool kCarries = false, kReadsState = false;

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
  static constexpr bool kCarries = true, kReadsState = false;

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
  static constexpr bool kCarries = false, kReadsState = true;

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

// A cell that reads its state, where rows hold it rounded: the state is carried and kept instead.
template <typename Cell>
struct HoldingState {
  static constexpr int kGates = Cell::kGates, kKept = Cell::kKept + 1;
  static constexpr bool kCarries = true, kReadsState = false;

  GRIDSCAPE_INLINE static Vector step(const Vector* gates, Vector, Vector& h, Vector* kept) {
    Vector nothing = {};
    kept[Cell::kKept] = h;
    return h = Cell::step(gates, h, nothing, kept);
  }

  GRIDSCAPE_INLINE static Vector pull(const Vector* kept, Vector, Vector dh, Vector&,
                                      Vector* dgates) {
    Vector nothing = {};
    return Cell::pull(kept, kept[Cell::kKept], dh, nothing, dgates);
  }
};

// ---- weights by block ----

// Weights (depth, gates x H) whose rows are those of x, the bias, and those of h; or, of floats
// that are written, where the gradients by them go.
template <int G, typename Float = const float>
struct FusedWeights {
  using Gradients = FusedWeights<G, float>;
  static constexpr int kGates = G, kZeroOfInputs = -1, kZeroOfStates = -1;
  Float *kernel, *bias;

  GRIDSCAPE_INLINE Float* row(const RecurrentSizes& n, int64_t k, int64_t gate) const {
    const int64_t width = G * n.hidden, first = gate * n.hidden;
    if (k == n.features) return bias + first;
    return kernel + (k < n.features ? k : k - 1) * width + first;
  }
};

// The gate n of x has no weights of states, n of h none of inputs: a quarter of all products.
template <typename Float = const float>
struct GruAfterWeights {
  using Gradients = GruAfterWeights<float>;
  static constexpr int kGates = 4, kZeroOfInputs = 3, kZeroOfStates = 2;
  Float *kernel_x, *bias_x, *kernel_h, *bias_h;

  GRIDSCAPE_INLINE Float* row(const RecurrentSizes& n, int64_t k, int64_t gate) const {
    const int64_t H = n.hidden, of_x = k - n.features, of_h = of_x - 1;
    if (gate == 3) {
      return of_x < 0 ? nullptr : of_x == 0 ? bias_h : kernel_h + (3 * of_h + 2) * H;
    }
    if (of_x == 0) return bias_x + gate * H;
    if (of_x < 0) return kernel_x + (3 * k + gate) * H;
    return gate == 2 ? nullptr : kernel_h + (3 * of_h + gate) * H;
  }
};

// The gate that has no weights in the rows [first, end) of [x, 1, h], or -1.
template <typename Weights>
GRIDSCAPE_INLINE int zero_gate(const RecurrentSizes& n, int64_t first, int64_t end) {
  if (end <= n.features) return Weights::kZeroOfInputs;
  return first > n.features ? Weights::kZeroOfStates : -1;
}

template <typename Number, typename Weights>
GRIDSCAPE_INLINE Part weights_part(const Lengths<Number>& n, const Weights& weights, int64_t k,
                                   int64_t block) {
  const int64_t of_units = block / Weights::kGates;
  const float* row = weights.row(n, k, block % Weights::kGates);
  return {row + of_units * kBlock, row == nullptr ? 0 : n.units(of_units)};
}

template <typename Number, typename Weights>
inline void pack_weights(float* to, const Lengths<Number>& n, const Weights& weights) {
  pack<Number, kLanes>(to, n.depth(), n.blocks() * Weights::kGates, [&](int64_t k, int64_t block) {
    const bool is_apart = !Number::kExact && k == n.features;
    return is_apart ? Part{} : weights_part(n, weights, k, block);
  });
}

// The bias stays float32: where weights do not, it is left out of them and added to their sums.
template <typename Number, typename Weights>
inline void pack_bias(float* to, const Lengths<Number>& n, const Weights& weights) {
  if (Number::kExact) return;
  pack(to, 1, n.blocks() * Weights::kGates,
       [&](int64_t, int64_t block) { return weights_part(n, weights, n.features, block); });
}

template <typename Number>
GRIDSCAPE_INLINE int64_t bias_workspace(const Lengths<Number>& n, int64_t gates) {
  return Number::kExact ? 0 : n.padded() * gates;
}

template <typename Number, int R, int C>
GRIDSCAPE_INLINE void add_bias(Tile<R, C>& tile, const float* bias, int64_t first, int lane) {
  if (Number::kExact) return;
  for (int c = 0; c < C; ++c) {
    const Vector b = load(bias + (first + c) * kBlock + lane);
    for (int r = 0; r < R; ++r) tile.sum[r][c] += b;
  }
}

// How a tile of gates is summed up: all rows at once, or without the zeros of each kind of row.
template <typename Number, typename Weights>
struct AddRows {
  const Lengths<Number>& n;

  template <int R, int C>
  GRIDSCAPE_INLINE void operator()(Tile<R, C>& tile, Rows rows, const float* panel,
                                   int64_t depth) const {
    if constexpr (Weights::kZeroOfStates >= 0) {
      // Of inputs, of the bias and what shares its word, of states.
      const int64_t inputs = n.features / Number::kPerWord;
      const int64_t states = words_of<Number>(n.features + 1);
      auto from = [&](int64_t k) { return panel + k * C * kLanes; };
      accumulate_apart<Number, Weights::kZeroOfInputs>(tile, rows, panel, inputs);
      accumulate_apart<Number>(tile, rows.from(0, inputs), from(inputs), states - inputs);
      accumulate_apart<Number, Weights::kZeroOfStates>(tile, rows.from(0, states), from(states),
                                                       depth - states);
    } else {
      accumulate_apart<Number>(tile, rows, panel, depth);
    }
  }
};

// The transpose of `count` of their rows.
template <typename Number, typename Weights>
inline void pack_weights_transposed(float* to, const Lengths<Number>& n, const Weights& weights,
                                    int64_t first, int64_t count) {
  pack_transposed<Number, kLanes>(
      to, n.blocks() * Weights::kGates, count,
      [&](int64_t row, int64_t block) { return weights_part(n, weights, first + row, block); });
}

// From packed sums (depth x blocks) to the places of the gradients.
template <typename Number, typename Gradients>
inline void unpack_weights(const float* sums, const Lengths<Number>& n, const Gradients& dweights) {
  for_packed(sums, n.depth(), n.blocks() * Gradients::kGates,
             [&](int64_t k, int64_t block, const float* from) {
               const int64_t of_units = block / Gradients::kGates;
               float* row = dweights.row(n, k, block % Gradients::kGates);
               if (row == nullptr) return;
               float* to = row + of_units * kBlock;
               const int64_t count = n.units(of_units);
               for (int64_t u = 0; u < kBlock; u += kLanes) {
                 if (count > u) store_first(to + u, load(from + u), count - u);
               }
             });
}

// ---- rows [x, 1, h] ----

// Of step t of the inputs (B, T, D).
template <typename Number>
inline void write_inputs(float* rows, const Lengths<Number>& n, int64_t t, const float* inputs) {
  const int64_t D = n.features;
  for (int64_t b = 0; b < n.batch; ++b, rows += n.row()) {
    const float* from = inputs + (b * n.steps + t) * D;
    for (int64_t k = 0; k < D; k += kLanes) {
      Number::write_first(rows, k, load_first(from + k, D - k), D - k);
    }
    Number::write_first(rows, D, splat(1), 1);
  }
}

// The rows of a step: all are kept where there is a backward pass, else two take turns.
struct Tape {
  float* rows;
  bool keeps;

  template <typename Number>
  float* at(const Lengths<Number>& n, int64_t t) const {
    return rows + (keeps ? t : t % 2) * n.batch * n.row();
  }

  // Zeros for the states before the first step. Where a word is a pair, the last unit of every row
  // may share its own with what follows, which must be finite: all rows are cleared.
  template <typename Number>
  void clear(const Lengths<Number>& n) const {
    const int64_t n_rows = (keeps ? n.steps : 2) * n.batch;
    if (!Number::kExact) return (void)std::memset(rows, 0, n_rows * n.row() * sizeof(float));
    for (int64_t b = 0; b < n.batch; ++b) {
      std::memset(rows + b * n.row() + n.features + 1, 0, n.padded() * sizeof(float));
    }
  }
};

// Where the states of a step go: into the next rows, and to the caller.
struct States {
  float* next;     // rows of the next step, or null
  float* output;   // of the first example, or null
  int64_t stride;  // from there to the next example

  template <typename Number>
  GRIDSCAPE_INLINE void write(const Lengths<Number>& n, int64_t b, int64_t unit, Vector h) const {
    const int64_t left = n.hidden - unit;
    if (next) {
      const int64_t count = Number::kExact ? kLanes : left;
      Number::write_first(next + b * n.row(), n.features + 1 + unit, h, count);
    }
    if (output && left > 0) store_first(output + b * stride + unit, h, left);
  }
};

template <typename Number>
GRIDSCAPE_INLINE States states_after(const Lengths<Number>& n, const Tape& tape, int64_t t,
                                     float* output) {
  const bool is_last = t + 1 == n.steps;
  float* to = n.every ? output + t * n.hidden : is_last ? output : nullptr;
  return {is_last ? nullptr : tape.at(n, t + 1), to, n.output_stride()};
}

// ---- forward ----

// kept: [block][T * B][kKept][kBlock], or null. scratch: packed weights, bias, what is carried.
template <typename Cell, typename Number, typename Weights>
inline void forward(const Lengths<Number>& n, const Weights& weights, const float* inputs,
                    float* output, Tape tape, float* kept, float* scratch) {
  constexpr int G = Cell::kGates, Q = Cell::kKept;
  const int64_t blocks = n.blocks() * G, packed_depth = words_of<Number>(n.depth());
  float *packed = scratch, *bias = packed + packed_depth * blocks * kBlock;
  float* carried = bias + bias_workspace(n, G);
  pack_weights(packed, n, weights);
  pack_bias(bias, n, weights);
  if (Cell::kCarries) std::memset(carried, 0, n.state() * sizeof(float));
  tape.clear(n);
  for (int64_t t = 0; t < n.steps; ++t) {
    float* rows = tape.at(n, t);
    write_inputs(rows, n, t, inputs);
    const States states = states_after(n, tape, t, output);
    // The first state is zero.
    const int64_t depth = words_of<Number>(t == 0 ? n.features + 1 : n.depth());
    auto apply = [&](auto& tile, int64_t row, int64_t first, int lane) {
      add_bias<Number>(tile, bias, first, lane);
      for (int r = 0; r < tile.kRows; ++r) {
        const int64_t b = row + r;
        for (int j = 0; j < tile.kBlocks / G; ++j) {
          const int64_t block = first / G + j, unit = block * kBlock + lane;
          const float* state = rows + b * n.row() + n.features + 1 + unit;
          const Vector h = Cell::kReadsState ? load(state) : Vector{};
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
    multiply<Number>({rows, n.row(), 1}, n.batch, packed, depth, packed_depth, blocks, apply,
                     AddRows<Number, Weights>{n});
  }
}

// ---- backward ----

// Where the gradient by the states of step t of the first example comes from; null: there is none.
template <typename Number>
GRIDSCAPE_INLINE const float* received(const Lengths<Number>& n, int64_t t, const float* doutput) {
  return n.every ? doutput + t * n.hidden : t + 1 == n.steps ? doutput : nullptr;
}

// dh (B, padded) += what reaches the states of step t from outside.
template <typename Number>
inline void receive(float* dh, const Lengths<Number>& n, int64_t t, const float* doutput) {
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
template <typename Weights, typename Number>
inline void to_states(float* dh, const Lengths<Number>& n, int64_t t, const float* dgates,
                      const float* transposed) {
  auto add = [&](auto& tile, int64_t row, int64_t first, int lane) {
    for (int r = 0; r < tile.kRows; ++r) {
      for (int c = 0; c < tile.kBlocks; ++c) {
        float* at = dh + (row + r) * n.padded() + (first + c) * kBlock + lane;
        store(at, load(at) + tile.sum[r][c]);
      }
    }
  };
  multiply_packed<Number>(dgates, n.rows(), t * n.batch, n.batch, n.blocks() * Weights::kGates,
                          transposed, n.blocks(), Weights::kZeroOfStates, add);
}

// scratch: sums of weights, then workspace of the product.
template <typename Number, typename Gradients>
inline void weight_gradient(const Lengths<Number>& n, const float* rows, const float* dgates,
                            const Gradients& dweights, float* scratch) {
  const int64_t blocks = n.blocks() * Gradients::kGates;
  float *sums = scratch, *workspace = scratch + n.depth() * blocks * kBlock;
  multiply_deep<Number>(
      sums, rows, n.row(), n.depth(), dgates, n.rows(), blocks, workspace,
      [&](int64_t first, int64_t end) { return zero_gate<Gradients>(n, first, end); });
  unpack_weights(sums, n, dweights);
}

// dgates: packed, T * B rows. scratch: dh, what is carried, then weights or their gradient.
template <typename Cell, typename Number, typename Weights>
inline void backward(const Lengths<Number>& n, const Weights& weights, const float* rows,
                     const float* kept, const float* doutput,
                     const typename Weights::Gradients& dweights, float* dgates, float* scratch) {
  constexpr int G = Cell::kGates, Q = Cell::kKept;
  const int64_t gate_blocks = n.blocks() * G;
  float *dh = scratch, *dcarried = dh + n.state(), *packed = dcarried + n.state();
  pack_weights_transposed(packed, n, weights, n.features + 1, n.hidden);
  std::memset(dh, 0, n.state() * sizeof(float));
  if (Cell::kCarries) std::memset(dcarried, 0, n.state() * sizeof(float));
  for (int64_t t = n.steps - 1; t >= 0; --t) {
    receive(dh, n, t, doutput);
    const float* states = rows + t * n.batch * n.row() + n.features + 1;
    for (int64_t block = 0; block < n.blocks(); ++block) {
      auto at_row = [&](int64_t row) {
        return packed_at<Number>(n.rows(), gate_blocks, row, block * G);
      };
      const int64_t first = at_row(t * n.batch), stride = at_row(t * n.batch + 1) - first;
      for (int64_t b = 0; b < n.batch; ++b) {
        const float* from = kept + ((block * n.steps + t) * n.batch + b) * Q * kBlock;
        float* to = dgates + first + b * stride;
        for (int lane = 0; lane < kBlock; lane += kLanes) {
          const int64_t unit = block * kBlock + lane;
          float* dstate = dh + b * n.padded() + unit;
          float* at = dcarried + (block * n.batch + b) * kBlock + lane;
          Vector used[Q], dgate[G], dc = Cell::kCarries ? load(at) : Vector{};
          for (int q = 0; q < Q; ++q) used[q] = load(from + q * kBlock + lane);
          const Vector h = Cell::kReadsState ? load(states + b * n.row() + unit) : Vector{};
          store(dstate, Cell::pull(used, h, load(dstate), dc, dgate));
          if (Cell::kCarries) store(at, dc);
          for (int g = 0; g < G; ++g) Number::write(to, g * kBlock + lane, dgate[g]);
        }
      }
    }
    if (t > 0) to_states<Weights>(dh, n, t, dgates, packed);
  }
  weight_gradient(n, rows, dgates, dweights, packed);
}

// dinputs (B, T, D) (+)= the gradients by the gates, through transposed weights.
template <typename Weights, typename Number>
inline void to_inputs(float* dinputs, const Lengths<Number>& n, const float* dgates,
                      const float* transposed, bool add) {
  const int64_t D = n.features;
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
  multiply_packed<Number>(dgates, n.rows(), 0, n.rows(), n.blocks() * Weights::kGates, transposed,
                          blocks_of(D), Weights::kZeroOfInputs, write);
}

template <typename Number, typename Weights>
inline void input_gradient(const Lengths<Number>& n, const Weights& weights, const float* dgates,
                           float* dinputs, float* scratch, bool add) {
  pack_weights_transposed(scratch, n, weights, 0, n.features);
  to_inputs<Weights>(dinputs, n, dgates, scratch, add);
}

// ---- GRU, reset before the candidate's product ----

// r, u, candidate, and the state before where rows hold it rounded.
template <typename Number>
constexpr int kGruKept = Number::kExact ? 3 : 4;

// gate_rows are [x, 1, h], candidate_rows [x, 1, r h].
// scratch: packed weights and biases, update gates, then the states where rows hold them rounded.
template <typename Number>
inline void gru_forward(const Lengths<Number>& n, const FusedWeights<2>& gates,
                        const FusedWeights<1>& candidate, const float* inputs, float* output,
                        Tape gate_tape, Tape candidate_tape, float* kept, float* scratch) {
  const int64_t blocks = n.blocks(), packed_depth = words_of<Number>(n.depth());
  const int64_t size = packed_depth * blocks * kBlock, bias_size = bias_workspace(n, 1);
  float *packed_gates = scratch, *packed = scratch + 2 * size, *gate_bias = packed + size;
  float *bias = gate_bias + 2 * bias_size, *update = bias + bias_size;
  float* held = update + n.state();
  pack_weights(packed_gates, n, gates);
  pack_weights(packed, n, candidate);
  pack_bias(gate_bias, n, gates);
  pack_bias(bias, n, candidate);
  gate_tape.clear(n);
  candidate_tape.clear(n);
  if (!Number::kExact) std::memset(held, 0, n.state() * sizeof(float));
  for (int64_t t = 0; t < n.steps; ++t) {
    float *rows = gate_tape.at(n, t), *reset_rows = candidate_tape.at(n, t);
    write_inputs(rows, n, t, inputs);
    write_inputs(reset_rows, n, t, inputs);
    const States states = states_after(n, gate_tape, t, output);
    const int64_t depth = words_of<Number>(t == 0 ? n.features + 1 : n.depth());
    const float* before = Number::kExact ? rows + n.features + 1 : held;
    const int64_t stride = Number::kExact ? n.row() : n.padded();
    auto keep = [&](int64_t block, int64_t b, int lane, int which, Vector value) {
      const int64_t at = ((block * n.steps + t) * n.batch + b) * kGruKept<Number> + which;
      if (kept) store(kept + at * kBlock + lane, value);
    };
    auto reset = [&](auto& tile, int64_t row, int64_t first, int lane) {
      add_bias<Number>(tile, gate_bias, first, lane);
      for (int r = 0; r < tile.kRows; ++r) {
        for (int j = 0; j < tile.kBlocks / 2; ++j) {
          const int64_t b = row + r, block = first / 2 + j, unit = block * kBlock + lane;
          const Vector gate = sigmoid(tile.sum[r][2 * j]), u = sigmoid(tile.sum[r][2 * j + 1]);
          const Vector h = load(before + b * stride + unit);
          Number::write_first(reset_rows + b * n.row(), n.features + 1 + unit, gate * h,
                              Number::kExact ? kLanes : n.hidden - unit);
          store(update + b * n.padded() + unit, u);
          keep(block, b, lane, 0, gate);
          keep(block, b, lane, 1, u);
        }
      }
    };
    auto renew = [&](auto& tile, int64_t row, int64_t first, int lane) {
      add_bias<Number>(tile, bias, first, lane);
      for (int r = 0; r < tile.kRows; ++r) {
        for (int j = 0; j < tile.kBlocks; ++j) {
          const int64_t b = row + r, block = first + j, unit = block * kBlock + lane;
          const Vector c = tanh(tile.sum[r][j]), u = load(update + b * n.padded() + unit);
          const Vector h = load(before + b * stride + unit), next = u * h + (splat(1) - u) * c;
          keep(block, b, lane, 2, c);
          states.write(n, b, unit, next);
          if constexpr (!Number::kExact) {
            keep(block, b, lane, 3, h);
            store(held + b * n.padded() + unit, next);
          }
        }
      }
    };
    multiply<Number>({rows, n.row(), 1}, n.batch, packed_gates, depth, packed_depth, 2 * blocks,
                     reset);
    multiply<Number>({reset_rows, n.row(), 1}, n.batch, packed, depth, packed_depth, blocks, renew);
  }
}

// dgates and dcandidate: packed, T * B rows each. scratch: dh, then weights or their gradient.
template <typename Number>
inline void gru_backward(const Lengths<Number>& n, const FusedWeights<2>& gates,
                         const FusedWeights<1>& candidate, const float* rows,
                         const float* reset_rows, const float* kept, const float* doutput,
                         const FusedWeights<2>::Gradients& dgate_weights,
                         const FusedWeights<1>::Gradients& dcandidate_weights, float* dgates,
                         float* dcandidate, float* scratch) {
  const int64_t blocks = n.blocks();
  float *dh = scratch, *packed = dh + n.state();
  float* packed_gates = packed + blocks * kBlockWords<Number> * n.padded();
  pack_weights_transposed(packed_gates, n, gates, n.features + 1, n.hidden);
  pack_weights_transposed(packed, n, candidate, n.features + 1, n.hidden);
  std::memset(dh, 0, n.state() * sizeof(float));
  const Vector one = splat(1);
  for (int64_t t = n.steps - 1; t >= 0; --t) {
    receive(dh, n, t, doutput);
    auto kept_at = [&](int64_t block, int64_t b, int lane) {
      return kept + ((block * n.steps + t) * n.batch + b) * kGruKept<Number> * kBlock + lane;
    };
    auto state_before = [&](int64_t block, int64_t b, int lane) {
      if constexpr (!Number::kExact) return load(kept_at(block, b, lane) + 3 * kBlock);
      const float* row = rows + (t * n.batch + b) * n.row();
      return load(row + n.features + 1 + block * kBlock + lane);
    };
    auto dgate_at = [&](int64_t block, int64_t b) {
      return dgates + packed_at<Number>(n.rows(), 2 * blocks, t * n.batch + b, 2 * block);
    };
    for (int64_t block = 0; block < blocks; ++block) {
      for (int64_t b = 0; b < n.batch; ++b) {
        float* to = dcandidate + packed_at<Number>(n.rows(), blocks, t * n.batch + b, block);
        for (int lane = 0; lane < kBlock; lane += kLanes) {
          const float* from = kept_at(block, b, lane);
          const Vector u = load(from + kBlock), c = load(from + 2 * kBlock);
          const Vector h = state_before(block, b, lane);
          float* dstate = dh + b * n.padded() + block * kBlock + lane;
          const Vector d = load(dstate);
          Number::write(to, lane, d * (one - u) * (one - c * c));
          Number::write(dgate_at(block, b), kBlock + lane, d * (h - c) * (u * (one - u)));
          store(dstate, d * u);
        }
      }
    }
    auto through_reset = [&](auto& tile, int64_t row, int64_t first, int lane) {
      for (int r = 0; r < tile.kRows; ++r) {
        for (int j = 0; j < tile.kBlocks; ++j) {
          const int64_t b = row + r, block = first + j;
          const Vector gate = load(kept_at(block, b, lane)), d = tile.sum[r][j];
          const Vector h = state_before(block, b, lane);
          float* dstate = dh + b * n.padded() + block * kBlock + lane;
          Number::write(dgate_at(block, b), lane, d * h * (gate * (one - gate)));
          store(dstate, load(dstate) + d * gate);
        }
      }
    };
    multiply_packed<Number>(dcandidate, n.rows(), t * n.batch, n.batch, blocks, packed, blocks, -1,
                            through_reset);
    if (t > 0) to_states<FusedWeights<2>>(dh, n, t, dgates, packed_gates);
  }
  weight_gradient(n, rows, dgates, dgate_weights, packed);
  weight_gradient(n, reset_rows, dcandidate, dcandidate_weights, packed);
}

}  // namespace GRIDSCAPE_TARGET
}  // namespace gridscape

#endif  // GRIDSCAPE_RECURRENT_H_
