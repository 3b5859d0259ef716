// The loss of a small perceptron and all its gradients, of one trial, in one call.
//
// The lanes of a vector are examples, as in few_units.h: layers of any width leave no lane empty,
// and a batch stays in the first caches. What a batch has lies as [block of
// examples][unit][kBlock], so that forward and backward are products with kernels where they lie.
// Only the gradient by a kernel adds up lanes.

#ifndef GRIDSCAPE_PERCEPTRON_H_
#define GRIDSCAPE_PERCEPTRON_H_

#include "feedforward.h"
#include "perceptron_kernels.h"

namespace gridscape {
namespace GRIDSCAPE_TARGET {

// Inputs of a layer whose gradient by the kernel is summed at once: registers hold 4 x kTileRows.
constexpr int64_t kInputsAtOnce = 4;

// ---- workspace: the batch, what each layer gives, and sums of lanes ----

GRIDSCAPE_INLINE int64_t widest(const PerceptronSizes& n) {
  int64_t most = 0;
  for (int64_t k = 0; k <= n.n_layers; ++k) most = smaller(-most, -n.widths[k]) * -1;
  return most;
}

inline int64_t perceptron_workspace(const PerceptronSizes& n) {
  int64_t units = n.outputs();
  for (int64_t k = 0; k <= n.n_layers; ++k) units += n.widths[k];
  const int64_t sums = padded(kInputsAtOnce * widest(n)) * kBlock;
  return units * padded(n.batch) + sums + kBlock;
}

struct PerceptronWorkspace {
  float *targets, *units[kMostLayers + 1], *sums;

  PerceptronWorkspace(const PerceptronSizes& n, float* workspace) {
    // Vectors that cross no line of the cache.
    workspace += (-reinterpret_cast<uintptr_t>(workspace) / sizeof(float)) % kBlock;
    const int64_t batch = padded(n.batch);
    targets = workspace;
    workspace += n.outputs() * batch;
    for (int64_t k = 0; k <= n.n_layers; workspace += n.widths[k++] * batch) units[k] = workspace;
    sums = workspace;
  }
};

// The last examples again where lanes are left: their numbers are as finite as those of the batch.
inline void take_rows(float* to, const float* table, const int32_t* rows, int64_t count,
                      int64_t columns) {
  for (int64_t block = 0; block < blocks_of(count); ++block, to += columns * kBlock) {
    for (int64_t lane = 0; lane < kBlock; ++lane) {
      const int64_t b = smaller(block * kBlock + lane, count - 1);
      const float* row = table + (rows ? rows[b] : b) * columns;
      for (int64_t k = 0; k < columns; ++k) to[k * kBlock + lane] = row[k];
    }
  }
}

inline void take(const PerceptronSizes& n, const float* inputs, const float* targets,
                 const int32_t* rows, float* workspace) {
  const PerceptronWorkspace at(n, workspace);
  take_rows(at.units[0], inputs, rows, n.batch, n.inputs());
  take_rows(at.targets, targets, rows, n.batch, n.outputs());
}

// ---- forward ----

// Where a tile begins in a matrix of a batch, and how far it is from block to block.
struct Place {
  float* begin;
  int64_t stride;

  GRIDSCAPE_INLINE float* at(int row, int block) const {
    return begin + row * kBlock + block * stride;
  }
};

// tanh, to 4 units in the last place and never beyond 1; NaN stays NaN.
//
// x times a quotient of polynomials of x * x, of degrees 3 and 4, 1.3e-7 from tanh at most up to
// the bound: half the work of simd.h's tanh. Beyond it is 1 itself, since a unit that is saturated
// has no gradient.
GRIDSCAPE_INLINE Vector quick_tanh(Vector x) {
  const Whole magnitude = bits_of(x) & 0x7fffffff, sign = bits_of(x) ^ magnitude;
  const Vector s = x * x;
  Vector p = splat(1.1531702e-05f);
  p = p * s + splat(0.002960461f);
  p = p * s + splat(0.12934406f);
  p = p * s + splat(0.9999999f);
  Vector q = splat(2.4925032e-07f);
  q = q * s + splat(0.00024001028f);
  q = q * s + splat(0.023854032f);
  q = q * s + splat(0.46267632f);
  q = q * s + splat(1);
  const Vector one = from_bits(bits_of(splat(1)) | sign);
  return from_bits(magnitude) > splat(7.9f) ? one : x * p / q;  // false for NaN
}

inline void activate_all(Activation activation, float* y, int64_t count) {
  const auto all = [&](auto function) {
    for (int64_t k = 0; k < count; k += kLanes) store(y + k, function(load(y + k)));
  };
  if (activation == Activation::kRelu) all([](Vector z) { return relu(z); });
  if (activation == Activation::kTanh) all([](Vector z) { return quick_tanh(z); });
}

// Tiles of sums over k of a weight of (k, unit) times x[k], for all units and blocks of examples.
//
// begin(unit): what its sums begin with. use(tile, place): writes them, place.at(tile row, block)
// being where a vector lies in `to`.
template <typename Begin, typename Use>
GRIDSCAPE_INLINE void through(Rows weights, int64_t units, int64_t batch, const float* x,
                              int64_t depth, float* to, Begin&& begin, Use&& use) {
  constexpr auto kMost = std::integral_constant<int, kPanelBlocks>{};
  const auto blocks = [&](auto n_blocks, int64_t block) {
    constexpr int C = n_blocks;
    for (int lane = 0; lane < kBlock; lane += kLanes) {
      const float* from = x + block * depth * kBlock + lane;
      for_tiles(units, [&](auto n_rows, int64_t unit) {
        constexpr int R = n_rows;
        Tile<R, C> tile;
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) {
          const Vector first = begin(unit + r);
#pragma GCC unroll 4
          for (int c = 0; c < C; ++c) tile.sum[r][c] = first;
        }
        const Rows rows = weights.from(unit, 0);
        for (int64_t k = 0; k < depth; ++k) {
          Vector of_x[C];
#pragma GCC unroll 4
          for (int c = 0; c < C; ++c) of_x[c] = load(from + (c * depth + k) * kBlock);
#pragma GCC unroll 8
          for (int r = 0; r < R; ++r) {
            const Vector weight = splat(rows.data[r * rows.row_stride + k * rows.k_stride]);
#pragma GCC unroll 4
            for (int c = 0; c < C; ++c) tile.sum[r][c] += weight * of_x[c];
          }
        }
        use(tile, Place{to + (block * units + unit) * kBlock + lane, units * kBlock});
      });
    }
  };
  for_tiles(blocks_of(batch), blocks, kMost);
}

inline void layer_forward(int64_t batch, int64_t inputs, int64_t outputs, Activation activation,
                          const PerceptronLayer& layer, const float* x, float* y) {
  through(
      {layer.kernel, 1, outputs}, outputs, batch, x, inputs, y,
      [&](int64_t unit) { return layer.bias ? splat(layer.bias[unit]) : Vector{}; },
      [](const auto& tile, Place place) {
        for (int r = 0; r < tile.kRows; ++r) {
          for (int c = 0; c < tile.kBlocks; ++c) store(place.at(r, c), tile.sum[r][c]);
        }
      });
  activate_all(activation, y, outputs * padded(batch));
}

// ---- loss ----

// The first `count` of a vector, the others 0, even where they are not finite.
GRIDSCAPE_INLINE Vector only_first(Vector x, int64_t count) {
  if (count >= kLanes) return x;
  float part[kLanes] = {};
  store_first(part, x, count);
  return load(part);
}

GRIDSCAPE_INLINE float total(Vector x) {
  float sum = 0;
  for (int lane = 0; lane < kLanes; ++lane) sum += x[lane];
  return sum;
}

// The derivative of an activation by its value y: 1 + square * y * y, or a step.
struct Polynomial {
  Vector square;

  GRIDSCAPE_INLINE Vector times(Vector d, Vector y) const {
    return d * (splat(1) + square * y * y);
  }
};

struct Step {
  GRIDSCAPE_INLINE Vector times(Vector d, Vector y) const { return y > Vector{} ? d : Vector{}; }
};

// Calls use(derivative), the loops of which then ask for nothing.
template <typename Use>
GRIDSCAPE_INLINE void with_slope(Activation activation, Use&& use) {
  const bool is_linear = activation == Activation::kLinear;
  if (activation == Activation::kRelu) return use(Step{});
  use(Polynomial{splat(is_linear ? 0 : -1)});
}

// The mean loss; the gradient by what the output layer's activation reads takes y's place.
inline float pull_loss(const PerceptronSizes& n, const float* targets, float* y) {
  const float share = n.loss == LossKind::kMeanSquaredError ? 1.0f / n.outputs() : 1.0f;
  const Vector scale = splat(2 * share / n.batch), part = splat(share);
  Vector sum = {};
  with_slope(n.activations[n.n_layers - 1], [&](auto slope) {
    for (int64_t block = 0; block < blocks_of(n.batch); ++block) {
      for (int64_t c = 0; c < n.outputs(); ++c, y += kBlock, targets += kBlock) {
        for (int64_t lane = 0; lane < kBlock; lane += kLanes) {
          const int64_t left = n.batch - block * kBlock - lane;
          const Vector answer = load(y + lane), error = answer - load(targets + lane);
          sum += only_first(error * error * part, left);
          store(y + lane, only_first(slope.times(scale * error, answer), left));
        }
      }
    }
  });
  return total(sum) / n.batch;
}

inline void write_outputs(const PerceptronSizes& n, const float* y, float* to) {
  for (int64_t b = 0; b < n.batch; ++b) {
    const float* from = y + b / kBlock * n.outputs() * kBlock + b % kBlock;
    for (int64_t c = 0; c < n.outputs(); ++c) *to++ = from[c * kBlock];
  }
}

// ---- backward ----

// The sum of each of kLanes vectors that lie one after the other.
GRIDSCAPE_INLINE Vector sums_of_vectors(const float* from) {
#if defined(__AVX512F__)
  const auto at = [&](int row) { return (__m512)load(from + row * kLanes); };
  // [a, b], [c, d] -> in each quarter the partial sums of a, b, c, d.
  const auto of_two = [](__m512 a, __m512 b) {
    return (__m512)((Vector)_mm512_maskz_unpacklo_ps(0xffff, a, b) +
                    (Vector)_mm512_maskz_unpackhi_ps(0xffff, a, b));
  };
  const auto of_four = [&](int row) {
    const __m512d ab = (__m512d)of_two(at(row), at(row + 1));
    const __m512d cd = (__m512d)of_two(at(row + 2), at(row + 3));
    return (__m512)((Vector)_mm512_maskz_unpacklo_pd(0xff, ab, cd) +
                    (Vector)_mm512_maskz_unpackhi_pd(0xff, ab, cd));
  };
  const auto of_eight = [&](int row) {
    const __m512 lower = of_four(row), upper = of_four(row + 4);
    return (__m512)((Vector)_mm512_maskz_shuffle_f32x4(0xffff, lower, upper, 0x44) +
                    (Vector)_mm512_maskz_shuffle_f32x4(0xffff, lower, upper, 0xee));
  };
  const __m512 lower = of_eight(0), upper = of_eight(8);
  return (Vector)_mm512_maskz_shuffle_f32x4(0xffff, lower, upper, 0x88) +
         (Vector)_mm512_maskz_shuffle_f32x4(0xffff, lower, upper, 0xdd);
#else
  Vector sums;
  for (int row = 0; row < kLanes; ++row) sums[row] = total(load(from + row * kLanes));
  return sums;
#endif
}

// to[k] = the sum of the vector k of `sums`.
inline void write_sums(float* to, const float* sums, int64_t count) {
  for (int64_t k = 0; k < count; k += kLanes) {
    store_first(to + k, sums_of_vectors(sums + k * kLanes), count - k);
  }
}

// sums[r * stride + c] = vectors of unit r of x times those of unit c of d, added up.
template <int R, int C>
GRIDSCAPE_INLINE void sum_products(float* sums, int64_t stride, int64_t batch, const float* x,
                                   int64_t inputs, const float* d, int64_t outputs) {
  Tile<R, C> tile;
#pragma GCC unroll 4
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 6
    for (int c = 0; c < C; ++c) tile.sum[r][c] = Vector{};
  }
  for (int64_t block = 0; block < blocks_of(batch); ++block) {
    for (int64_t lane = 0; lane < kBlock; lane += kLanes) {
      Vector of_d[C];
#pragma GCC unroll 6
      for (int c = 0; c < C; ++c) of_d[c] = load(d + c * kBlock + lane);
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) {
        const Vector of_x = load(x + r * kBlock + lane);
#pragma GCC unroll 6
        for (int c = 0; c < C; ++c) tile.sum[r][c] += of_x * of_d[c];
      }
    }
    x += inputs * kBlock;
    d += outputs * kBlock;
  }
  for (int r = 0; r < R; ++r) {
    for (int c = 0; c < C; ++c) store(sums + (r * stride + c) * kLanes, tile.sum[r][c]);
  }
}

// The gradients by the kernel and the bias of a layer, under d of its outputs.
inline void layer_gradient(int64_t batch, int64_t inputs, int64_t outputs,
                           const PerceptronLayer& layer, const float* x, const float* d,
                           float* sums) {
  const auto some_inputs = [&](auto rows, int64_t i) {
    for_tiles(outputs, [&](auto columns, int64_t j) {
      sum_products<rows, columns>(sums + j * kLanes, outputs, batch, x + i * kBlock, inputs,
                                  d + j * kBlock, outputs);
    });
    write_sums(layer.dkernel + i * outputs, sums, rows * outputs);
  };
  for_tiles(inputs, some_inputs, std::integral_constant<int, kInputsAtOnce>{});
  if (!layer.dbias) return;
  for (int64_t j = 0; j < outputs; ++j) {
    Vector sum = {};
    for (int64_t block = 0; block < blocks_of(batch); ++block) {
      const float* from = d + (block * outputs + j) * kBlock;
      for (int64_t lane = 0; lane < kBlock; lane += kLanes) sum += load(from + lane);
    }
    store(sums + j * kLanes, sum);
  }
  write_sums(layer.dbias, sums, outputs);
}

// The gradient by what the activation before a layer reads takes the place of its value, y.
inline void layer_inputs(int64_t batch, int64_t inputs, int64_t outputs, Activation activation,
                         const PerceptronLayer& layer, const float* d, float* y) {
  const auto nothing = [](int64_t) { return Vector{}; };
  with_slope(activation, [&](auto slope) {
    const auto pull = [&](const auto& tile, Place place) {
      for (int r = 0; r < tile.kRows; ++r) {
        for (int c = 0; c < tile.kBlocks; ++c) {
          float* at = place.at(r, c);
          store(at, slope.times(tile.sum[r][c], load(at)));
        }
      }
    };
    through({layer.kernel, outputs, 1}, inputs, batch, d, outputs, y, nothing, pull);
  });
}

inline float gradient(const PerceptronSizes& n, const PerceptronLayer* layers, float* outputs,
                      float* workspace) {
  const PerceptronWorkspace at(n, workspace);
  for (int64_t k = 0; k < n.n_layers; ++k) {
    layer_forward(n.batch, n.widths[k], n.widths[k + 1], n.activations[k], layers[k], at.units[k],
                  at.units[k + 1]);
  }
  if (outputs) write_outputs(n, at.units[n.n_layers], outputs);
  const float loss = pull_loss(n, at.targets, at.units[n.n_layers]);
  for (int64_t k = n.n_layers; k-- > 0;) {
    layer_gradient(n.batch, n.widths[k], n.widths[k + 1], layers[k], at.units[k], at.units[k + 1],
                   at.sums);
    if (k > 0) {
      layer_inputs(n.batch, n.widths[k], n.widths[k + 1], n.activations[k - 1], layers[k],
                   at.units[k + 1], at.units[k]);
    }
  }
  return loss;
}

}  // namespace GRIDSCAPE_TARGET
}  // namespace gridscape

#endif  // GRIDSCAPE_PERCEPTRON_H_
