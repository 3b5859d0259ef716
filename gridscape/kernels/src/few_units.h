// Recurrent layers of few units: the lanes of a vector are examples, not units.
//
// A layer of 5 units would leave 11 of 16 lanes empty. Here each block of kBlock examples goes
// through all steps by itself, one vector a unit, and the weights are spread over the lanes one by
// one. Only the gradient by the weights adds up lanes, once at the end.

#ifndef GRIDSCAPE_FEW_UNITS_H_
#define GRIDSCAPE_FEW_UNITS_H_

#include "recurrent.h"

namespace gridscape {
namespace GRIDSCAPE_TARGET {

using Few = Lengths<Float32>;

// Whether lanes of examples leave less empty than lanes of units.
GRIDSCAPE_INLINE bool has_few_units(const Few& n) {
  return n.hidden < kBlock && blocks_of(n.batch) * n.hidden < n.batch;
}

// Floats of the rows [x, 1, h] of a block of examples, of one step and of all that are kept.
GRIDSCAPE_INLINE int64_t few_row(const Few& n) { return n.depth() * kBlock; }
GRIDSCAPE_INLINE int64_t few_rows(const Few& n, bool keeps) {
  return (keeps ? n.steps : 2) * few_row(n);
}

// Units whose sums fill the registers: 20 of 32 with four gates, beside the cell's functions.
template <int G>
constexpr int kUnitsAtOnce = G == 1          ? 8
                             : kTileRows > 5 ? 5
                                             : kTileRows;

// Calls use(constant R, first) for groups of at most `kMost` that cover `count`.
template <int kMost, typename Use>
GRIDSCAPE_INLINE void for_groups(int64_t count, Use&& use) {
  for_tiles(count, use, std::integral_constant<int, kMost>{});
}

// The weights for groups of units: [group][k][unit][gate].
template <typename Weights>
inline void pack_few(float* to, const Few& n, const Weights& weights) {
  constexpr int G = Weights::kGates;
  for_groups<kUnitsAtOnce<G>>(n.hidden, [&](auto units, int64_t first) {
    for (int64_t k = 0; k < n.depth(); ++k) {
      for (int gate = 0; gate < G; ++gate) {
        const float* row = weights.row(n, k, gate);
        for (int u = 0; u < units; ++u) to[u * G + gate] = row ? row[first + u] : 0;
      }
      to += units * G;
    }
  });
}

// Their transpose, for groups of `count` rows: [group][unit][gate][row].
template <typename Weights>
inline void pack_few_transposed(float* to, const Few& n, const Weights& weights, int64_t first,
                                int64_t count) {
  constexpr int G = Weights::kGates;
  for_groups<8>(count, [&](auto rows, int64_t begin) {
    for (int r = 0; r < rows; ++r) {
      for (int gate = 0; gate < G; ++gate) {
        const float* row = weights.row(n, first + begin + r, gate);
        for (int64_t u = 0; u < n.hidden; ++u) to[(u * G + gate) * rows + r] = row ? row[u] : 0;
      }
    }
    to += n.hidden * G * rows;
  });
}

// Examples [begin, begin + kBlock) of (B, stride) become lanes; beyond the last there are zeros.
GRIDSCAPE_INLINE void to_lanes(float* to, const float* from, int64_t stride, int64_t columns,
                               int64_t count) {
  for (int64_t lane = 0; lane < kBlock; ++lane, from += stride) {
    for (int64_t c = 0; c < columns; ++c) to[c * kBlock + lane] = lane < count ? from[c] : 0;
  }
}

GRIDSCAPE_INLINE void from_lanes(float* to, const float* from, int64_t stride, int64_t columns,
                                 int64_t count) {
  for (int64_t lane = 0; lane < count; ++lane, to += stride) {
    for (int64_t c = 0; c < columns; ++c) to[c] = from[c * kBlock + lane];
  }
}

inline void write_few_inputs(float* row, const Few& n, int64_t t, const float* inputs,
                             int64_t examples) {
  to_lanes(row, inputs + t * n.features, n.steps * n.features, n.features, examples);
  for (int64_t lane = 0; lane < kBlock; ++lane) row[n.features * kBlock + lane] = 1;
}

// The steps of one block of examples; n.steps may be fewer than those of others. packed: the
// weights, by pack_few.
//
// inputs: of the first one, as the others follow. rows, kept: of the block. carried: to work in.
// use(t, states): what is done with those of a step, [unit][kBlock].
template <typename Cell, typename Use>
inline void few_block(const Few& n, const float* packed, const float* inputs, int64_t examples,
                      Tape tape, float* kept, float* carried, Use&& use) {
  constexpr int G = Cell::kGates, Q = Cell::kKept;
  std::memset(tape.rows + (n.features + 1) * kBlock, 0, n.hidden * kBlock * sizeof(float));
  std::memset(carried, 0, n.hidden * kBlock * sizeof(float));
  for (int64_t t = 0; t < n.steps; ++t) {
    float* row = tape.rows + (tape.keeps ? t : t % 2) * few_row(n);
    float* next = tape.rows + (tape.keeps ? t + 1 : (t + 1) % 2) * few_row(n);
    // The states after the last step have no rows to go to.
    float* states =
        t + 1 < n.steps ? next + (n.features + 1) * kBlock : carried + n.hidden * kBlock;
    write_few_inputs(row, n, t, inputs, examples);
    const int64_t depth = t == 0 ? n.features + 1 : n.depth();
    const float* from = packed;
    for_groups<kUnitsAtOnce<G>>(n.hidden, [&](auto units, int64_t first) {
      constexpr int U = units;
      for (int lane = 0; lane < kBlock; lane += kLanes) {
        Tile<U, G> tile = {};
        const float* w = from;
        for (int64_t k = 0; k < depth; ++k, w += U * G) {
          const Vector x = load(row + k * kBlock + lane);
#pragma GCC unroll 8
          for (int u = 0; u < U; ++u) {
#pragma GCC unroll 4
            for (int g = 0; g < G; ++g) tile.sum[u][g] += splat(w[u * G + g]) * x;
          }
        }
        for (int u = 0; u < U; ++u) {
          const int64_t at = (first + u) * kBlock + lane;
          const Vector h = load(row + (n.features + 1) * kBlock + at);
          Vector c = load(carried + at), used[Q];
          store(states + at, Cell::step(tile.sum[u], h, c, used));
          store(carried + at, c);
          if (kept) {
            float* to = kept + (t * n.hidden + first + u) * Q * kBlock + lane;
            for (int q = 0; q < Q; ++q) store(to + q * kBlock, used[q]);
          }
        }
      }
      from += n.depth() * U * G;
    });
    if (n.every || t + 1 == n.steps) use(t, states);
  }
}

// kept: [block of examples][t][unit][kKept][kBlock], or null. scratch: packed weights, carried.
// use(block, t, states): what is done with those of a step.
template <typename Cell, typename Weights, typename Use>
inline void few_states(const Few& n, const Weights& weights, const float* inputs, Tape tape,
                       float* kept, float* scratch, Use&& use) {
  float *packed = scratch, *carried = scratch + n.depth() * n.hidden * Cell::kGates;
  const int64_t of_block = n.steps * n.hidden * Cell::kKept * kBlock;
  pack_few(packed, n, weights);
  for (int64_t block = 0, begin = 0; begin < n.batch; ++block, begin += kBlock) {
    const Tape rows = {tape.rows + block * few_rows(n, tape.keeps), tape.keeps};
    few_block<Cell>(n, packed, inputs + begin * n.steps * n.features,
                    smaller(kBlock, n.batch - begin), rows,
                    kept ? kept + block * of_block : nullptr, carried,
                    [&](int64_t t, const float* states) { use(block, t, states); });
  }
}

template <typename Cell, typename Weights>
inline void few_forward(const Few& n, const Weights& weights, const float* inputs, float* output,
                        Tape tape, float* kept, float* scratch) {
  few_states<Cell>(n, weights, inputs, tape, kept, scratch,
                   [&](int64_t block, int64_t t, const float* states) {
                     const int64_t begin = block * kBlock, stride = n.output_stride();
                     float* to = output + begin * stride + (n.every ? t * n.hidden : 0);
                     from_lanes(to, states, stride, n.hidden, smaller(kBlock, n.batch - begin));
                   });
}

// dstates[row] += the gradients by the gates through the transposed weights of so many rows.
GRIDSCAPE_INLINE void through_weights(float* dstates, const float* dgates, const float* transposed,
                                      int64_t gates, int64_t count) {
  for_groups<8>(count, [&](auto rows, int64_t first) {
    constexpr int R = rows;
    for (int lane = 0; lane < kBlock; lane += kLanes) {
      Vector sum[R];
      for (int r = 0; r < R; ++r) sum[r] = load(dstates + (first + r) * kBlock + lane);
      for (int64_t g = 0; g < gates; ++g) {
        const Vector d = load(dgates + g * kBlock + lane);
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) sum[r] += splat(transposed[g * R + r]) * d;
      }
      for (int r = 0; r < R; ++r) store(dstates + (first + r) * kBlock + lane, sum[r]);
    }
    transposed += gates * R;
  });
}

// The sum of kBlock floats, in one order on every target.
GRIDSCAPE_INLINE float sum_lanes(const float* from) {
  typedef float Four __attribute__((vector_size(16), aligned(4), may_alias));
  const Four* part = reinterpret_cast<const Four*>(from);
  const Four sum = (part[0] + part[2]) + (part[1] + part[3]);
  return (sum[0] + sum[2]) + (sum[1] + sum[3]);
}

// The gradient by the weights: sums over examples and steps.
template <typename Gradients>
inline void few_weight_gradient(const Few& n, const float* rows, const float* dgates,
                                const Gradients& dweights) {
  constexpr int G = Gradients::kGates;
  const int64_t steps = blocks_of(n.batch) * n.steps, gates = n.hidden * G;
  for_groups<4>(n.depth(), [&](auto depth, int64_t k) {
    for_groups<kTileRows>(gates, [&](auto columns, int64_t gate) {
      constexpr int R = depth, C = columns;
      alignas(64) float sums[R][C][kBlock];
      for (int lane = 0; lane < kBlock; lane += kLanes) {
        Tile<R, C> tile = {};
        for (int64_t t = 0; t < steps; ++t) {
          const float* row = rows + t * few_row(n) + k * kBlock + lane;
          const float* d = dgates + (t * gates + gate) * kBlock + lane;
#pragma GCC unroll 4
          for (int r = 0; r < R; ++r) {
            const Vector x = load(row + r * kBlock);
#pragma GCC unroll 8
            for (int c = 0; c < C; ++c) tile.sum[r][c] += x * load(d + c * kBlock);
          }
        }
        for (int r = 0; r < R; ++r) {
          for (int c = 0; c < C; ++c) store(sums[r][c] + lane, tile.sum[r][c]);
        }
      }
      for (int r = 0; r < R; ++r) {
        for (int c = 0; c < C; ++c) {
          float* to = dweights.row(n, k + r, (gate + c) % G);
          if (to) to[(gate + c) / G] = sum_lanes(sums[r][c]);
        }
      }
    });
  });
}

// dgates: [block of examples][t][unit][gate][kBlock]. scratch: transposed weights, dh, carried.
// get(block, t): the gradient by the states of a step, [unit][kBlock], or null.
template <typename Cell, typename Weights, typename Get>
inline void few_gradients(const Few& n, const Weights& weights, const float* rows,
                          const float* kept, const typename Weights::Gradients& dweights,
                          float* dgates, float* scratch, Get&& get) {
  constexpr int G = Cell::kGates, Q = Cell::kKept;
  const int64_t size = n.hidden * kBlock, gates = n.hidden * G;
  float *packed = scratch, *dh = scratch + gates * n.hidden, *dcarried = dh + size;
  pack_few_transposed(packed, n, weights, n.features + 1, n.hidden);
  for (int64_t begin = 0; begin < n.batch; begin += kBlock) {
    const int64_t block = begin / kBlock;
    std::memset(dh, 0, 2 * size * sizeof(float));
    for (int64_t t = n.steps - 1; t >= 0; --t) {
      const int64_t step = block * n.steps + t;
      const float* outer = get(block, t);
      const float* states = rows + step * few_row(n) + (n.features + 1) * kBlock;
      float* dgate = dgates + step * gates * kBlock;
      for (int64_t u = 0; u < n.hidden; ++u) {
        for (int lane = 0; lane < kBlock; lane += kLanes) {
          const int64_t at = u * kBlock + lane;
          const float* used_at = kept + (step * n.hidden + u) * Q * kBlock + lane;
          Vector used[Q], d[G], dc = load(dcarried + at), dstate = load(dh + at);
          if (outer) dstate += load(outer + at);
          for (int q = 0; q < Q; ++q) used[q] = load(used_at + q * kBlock);
          store(dh + at, Cell::pull(used, load(states + at), dstate, dc, d));
          store(dcarried + at, dc);
          for (int g = 0; g < G; ++g) store(dgate + (u * G + g) * kBlock + lane, d[g]);
        }
      }
      if (t > 0) through_weights(dh, dgate, packed, gates, n.hidden);
    }
  }
  few_weight_gradient(n, rows, dgates, dweights);
}

template <typename Cell, typename Weights>
inline void few_backward(const Few& n, const Weights& weights, const float* rows, const float* kept,
                         const float* doutput, const typename Weights::Gradients& dweights,
                         float* dgates, float* scratch) {
  float* outer = scratch + Cell::kGates * n.hidden * n.hidden + 2 * n.hidden * kBlock;
  few_gradients<Cell>(n, weights, rows, kept, dweights, dgates, scratch,
                      [&](int64_t block, int64_t t) -> const float* {
                        const float* from = received(n, t, doutput);
                        if (!from) return nullptr;
                        const int64_t begin = block * kBlock, stride = n.output_stride();
                        to_lanes(outer, from + begin * stride, stride, n.hidden,
                                 smaller(kBlock, n.batch - begin));
                        return outer;
                      });
}

// scratch: transposed weights, then the gradient of one step.
template <typename Weights>
inline void few_input_gradient(const Few& n, const Weights& weights, const float* dgates,
                               float* dinputs, float* scratch) {
  const int64_t gates = n.hidden * Weights::kGates, D = n.features;
  float *packed = scratch, *dx = scratch + gates * D;
  pack_few_transposed(packed, n, weights, 0, D);
  for (int64_t begin = 0; begin < n.batch; begin += kBlock) {
    for (int64_t t = 0; t < n.steps; ++t) {
      std::memset(dx, 0, D * kBlock * sizeof(float));
      const int64_t step = begin / kBlock * n.steps + t;
      through_weights(dx, dgates + step * gates * kBlock, packed, gates, D);
      from_lanes(dinputs + (begin * n.steps + t) * D, dx, n.steps * D, D,
                 smaller(kBlock, n.batch - begin));
    }
  }
}

}  // namespace GRIDSCAPE_TARGET
}  // namespace gridscape

#endif  // GRIDSCAPE_FEW_UNITS_H_
