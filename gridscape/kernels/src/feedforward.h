// Dense layers and convolutions, forward and backward, of one trial.
//
// Every pass is tiles of a product that stay in registers. A right operand whose rows are one whole
// panel is read where it lies, others are packed, large ones piece by piece. A convolution never
// forms its patches: the rows of its tiles begin at any pixel of an image with zeros around it.
//
// The operands of products are float32 or bfloat16; all else is float32. In bfloat16 gradients are
// rounded before they go to the kernel, the bias and the inputs.

#ifndef GRIDSCAPE_FEEDFORWARD_H_
#define GRIDSCAPE_FEEDFORWARD_H_

#include "feedforward_kernels.h"
#include "product.h"

namespace gridscape {
namespace GRIDSCAPE_TARGET {

// Floats of a right operand that are packed at once: a quarter of a core's second cache.
constexpr int64_t kPackedAtOnce = 65536;
// Rows of a long left operand that are multiplied with a panel while both are in the first cache.
constexpr int64_t kRowsAtOnce = 48;
// Rows so long, a page of memory, are gathered before their columns are read.
constexpr int64_t kLongRow = 1024;
// Pixels over which a gradient by a convolution's weights is summed at once, for the same reason.
constexpr int64_t kPixelsAtOnce = 64;

// ---- operands ----

// Whether rows of so many numbers lie as a panel does.
template <typename Number>
GRIDSCAPE_INLINE bool is_panel(int64_t columns) {
  return Number::kExact && columns % kBlock == 0 && columns <= kPanelBlocks * kBlock;
}

// Workspace to pack groups of rows, where they must be: no word holds numbers of two groups.
template <typename Number>
GRIDSCAPE_INLINE int64_t packed_workspace(int64_t groups, int64_t depth, int64_t columns) {
  return is_panel<Number>(columns) ? 0 : groups * words_of<Number>(depth) * padded(columns);
}

// A right operand, groups x depth rows, as panels: itself, or packed into `workspace`.
template <typename Number>
inline const float* as_panels(float* workspace, const float* matrix, int64_t groups, int64_t depth,
                              int64_t columns) {
  if (is_panel<Number>(columns)) return matrix;
  const int64_t whole = words_of<Number>(depth) * Number::kPerWord;
  const bool follows = groups == 1 || whole == depth;  // each row the one before
  const int64_t packed_depth = follows ? groups * depth : groups * whole;
  pack<Number>(workspace, packed_depth, blocks_of(columns), [&](int64_t k, int64_t block) {
    if (!follows && k % whole == depth) return Part{};
    const int64_t row = follows ? k : k / whole * depth + k % whole;
    return Part{matrix + row * columns + block * kBlock, columns - block * kBlock};
  });
  return workspace;
}

// Writes numbers into a row from its number `at` on.
template <typename Number>
GRIDSCAPE_INLINE void write_numbers(float* row, int64_t at, const float* from, int64_t count) {
  if constexpr (Number::kExact) return (void)std::memcpy(row + at, from, count * sizeof(float));
  for (int64_t k = 0; k < count; k += kLanes) {
    Number::write_first(row, at + k, load_first(from + k, count - k), count - k);
  }
}

template <typename Number>
GRIDSCAPE_INLINE int64_t rows_workspace(int64_t count, int64_t depth) {
  return Number::kExact ? 0 : count * words_of<Number>(depth);
}

// A left operand, count x depth: itself, or its numbers rounded into `workspace`.
template <typename Number>
inline Rows as_rows(float* workspace, const float* matrix, int64_t stride, int64_t count,
                    int64_t depth) {
  if constexpr (Number::kExact) return {matrix, stride, 1};
  const Rows rows = {workspace, words_of<Number>(depth), 1};
  for (int64_t r = 0; r < count; ++r, workspace += rows.row_stride) {
    workspace[rows.row_stride - 1] = 0;  // where the last word is half a word
    write_numbers<Number>(workspace, 0, matrix + r * stride, depth);
  }
  return rows;
}

// Where tiles go: rows of `columns` numbers.
struct Sums {
  float* data;
  int64_t columns;

  template <int R, int C>
  GRIDSCAPE_INLINE void read(Tile<R, C>& tile, int64_t row, int64_t first, int lane) const {
    for_vectors<R, C>(row, first, lane, [&](int r, int c, float* at, int64_t count) {
      tile.sum[r][c] = count > 0 ? load_first(at, count) : Vector{};
    });
  }

  template <int R, int C>
  GRIDSCAPE_INLINE void write(const Tile<R, C>& tile, int64_t row, int64_t first, int lane) const {
    for_vectors<R, C>(row, first, lane, [&](int r, int c, float* at, int64_t count) {
      if (count > 0) store_first(at, tile.sum[r][c], count);
    });
  }

  template <int R, int C, typename Use>
  GRIDSCAPE_INLINE void for_vectors(int64_t row, int64_t first, int lane, Use&& use) const {
    for (int r = 0; r < R; ++r) {
      for (int c = 0; c < C; ++c) {
        const int64_t column = (first + c) * kBlock + lane;
        use(r, c, data + (row + r) * columns + column, columns - column);
      }
    }
  }
};

// The same where all columns of a tile are one panel.
template <int R, int C>
GRIDSCAPE_INLINE void read_panel(Tile<R, C>& tile, const float* panel, int64_t row, int lane) {
  for (int r = 0; r < R; ++r) {
    for (int c = 0; c < C; ++c) tile.sum[r][c] = load(panel + ((row + r) * C + c) * kBlock + lane);
  }
}

template <int R, int C>
GRIDSCAPE_INLINE void write_panel(const Tile<R, C>& tile, float* panel, int64_t row, int lane) {
  for (int r = 0; r < R; ++r) {
    for (int c = 0; c < C; ++c) store(panel + ((row + r) * C + c) * kBlock + lane, tile.sum[r][c]);
  }
}

// to[r][c] = from[c][r], r < rows, c < columns.
inline void transpose(float* to, int64_t to_stride, const float* from, int64_t from_stride,
                      int64_t rows, int64_t columns) {
  for (int64_t r = 0; r < rows; ++r, to += to_stride, ++from) {
    for (int64_t c = 0; c < columns; ++c) to[c] = from[c * from_stride];
  }
}

// sums (columns) = sums of the columns of a matrix (count x columns), added to what is there.
template <typename Number>
inline void add_rows(float* sums, const float* matrix, int64_t count, int64_t columns) {
  for (int64_t column = 0; column < columns; column += kLanes) {
    const int64_t left = columns - column;
    Vector sum = load_first(sums + column, left);
    for (int64_t row = 0; row < count; ++row) {
      sum += Number::round(load_first(matrix + row * columns + column, left));
    }
    store_first(sums + column, sum, left);
  }
}

GRIDSCAPE_INLINE Vector relu(Vector x) { return x <= Vector{} ? Vector{} : x; }  // NaN stays

// ---- dense: forward ----

// Rows of the kernel that are packed at once: whole words of them, unless all.
template <typename Number>
GRIDSCAPE_INLINE int64_t dense_depth(const DenseSizes& n) {
  if (is_panel<Number>(n.outputs)) return n.inputs;
  const int64_t fitting = kPackedAtOnce / padded(n.outputs) * Number::kPerWord;
  return smaller(n.inputs, fitting < kBlock ? kBlock : fitting);
}

inline void activate(const DenseSizes& n, Activation activation, const float* bias, float* y) {
  if (!bias && activation == Activation::kLinear) return;
  const int64_t rows = bias ? n.batch : 1, columns = bias ? n.outputs : n.batch * n.outputs;
  for (int64_t row = 0; row < rows; ++row, y += columns) {
    for (int64_t column = 0; column < columns; column += kLanes) {
      const int64_t left = columns - column;
      Vector z = load_first(y + column, left);
      if (bias) z += load_first(bias + column, left);
      if (activation == Activation::kRelu) z = relu(z);
      if (activation == Activation::kTanh) z = tanh(z);
      store_first(y + column, z, left);
    }
  }
}

// workspace: a piece of the kernel, packed, and the same piece of x.
template <typename Number>
void dense_forward(const DenseSizes& n, Activation activation, const float* x, const float* kernel,
                   const float* bias, float* y, float* workspace) {
  const Sums sums = {y, n.outputs};
  const int64_t at_once = dense_depth<Number>(n);
  float* of_x = workspace + packed_workspace<Number>(1, at_once, n.outputs);
  for (int64_t k = 0; k < n.inputs; k += at_once) {
    const int64_t depth = smaller(at_once, n.inputs - k), words = words_of<Number>(depth);
    const float* packed = as_panels<Number>(workspace, kernel + k * n.outputs, 1, depth, n.outputs);
    const Rows rows = as_rows<Number>(of_x, x + k, n.inputs, n.batch, depth);
    for_panels(blocks_of(n.outputs), [&](auto n_blocks, int64_t first) {
      constexpr int C = n_blocks;
      for (int lane = 0; lane < kBlock; lane += kLanes) {
        for_tiles(n.batch, [&](auto n_rows, int64_t row) {
          Tile<n_rows, C> tile = {};
          if (k > 0) sums.read(tile, row, first, lane);
          accumulate<Number>(tile, rows.from(row, 0), packed + lane, words);
          sums.write(tile, row, first, lane);
        });
      }
      packed += words * C * kBlock;
    });
  }
  activate(n, activation, bias, y);
}

// ---- dense: backward ----

// dz = dy times the derivative of the activation, which its value tells; rounded.
template <typename Number>
inline void pull_activation(const DenseSizes& n, Activation activation, const float* y,
                            const float* dy, float* dz) {
  const int64_t count = n.batch * n.outputs;
  for (int64_t k = 0; k < count; k += kLanes) {
    const Vector of_y = load_first(y + k, count - k), d = load_first(dy + k, count - k);
    const Vector pulled = activation == Activation::kRelu ? (of_y > Vector{} ? d : Vector{})
                                                          : d * (splat(1) - of_y * of_y);
    store_first(dz + k, Number::round(pulled), count - k);
  }
}

// Whole rows of kRowsAtOnce without a call.
GRIDSCAPE_INLINE void copy_row(float* to, const float* from, int64_t count) {
  if (count < kRowsAtOnce) return (void)std::memcpy(to, from, count * sizeof(float));
  for (int64_t k = 0; k < kRowsAtOnce; k += kLanes) store(to + k, load(from + k));
}

GRIDSCAPE_INLINE void pair_row(float* to, const float* first, const float* second, int64_t count) {
  for (int64_t k = 0; k < count; k += kLanes) {
    const Vector next = second ? load_first(second + k, count - k) : Vector{};
    store_first(to + k, pairs(load_first(first + k, count - k), next), count - k);
  }
}

// Columns of a matrix, at most kRowsAtOnce of them, as the rows of a left operand: itself where its
// own rows are short, or gathered into `workspace`.
template <typename Number>
inline Rows as_columns(float* workspace, const float* matrix, int64_t stride, int64_t depth,
                       int64_t count) {
  if (Number::kExact && stride < kLongRow) return {matrix, 1, stride};
  float* to = workspace;
  for (int64_t k = 0; k < depth; k += Number::kPerWord, to += kRowsAtOnce) {
    const float* from = matrix + k * stride;
    if constexpr (Number::kExact) {
      copy_row(to, from, count);
    } else {
      pair_row(to, from, k + 1 < depth ? from + stride : nullptr, count);
    }
  }
  return {workspace, 1, kRowsAtOnce};
}

// dkernel = columns of x times dz, both taken in pieces that fit the first cache.
template <typename Number>
inline void dense_kernel_gradient(const DenseSizes& n, const float* x, const float* dz,
                                  float* dkernel, float* workspace) {
  constexpr int64_t at_once = kDepthAtOnce * Number::kPerWord;
  const Sums sums = {dkernel, n.outputs};
  float* left = workspace;  // (kDepthAtOnce, kRowsAtOnce)
  const float* packed =
      as_panels<Number>(workspace + kDepthAtOnce * kRowsAtOnce, dz, 1, n.batch, n.outputs);
  for (int64_t i = 0; i < n.inputs; i += kRowsAtOnce) {
    const int64_t count = smaller(kRowsAtOnce, n.inputs - i);
    for (int64_t b = 0; b < n.batch; b += at_once) {
      const int64_t depth = smaller(at_once, n.batch - b);
      const Rows rows = as_columns<Number>(left, x + b * n.inputs + i, n.inputs, depth, count);
      const float* panel = packed;
      for_panels(blocks_of(n.outputs), [&](auto n_blocks, int64_t first) {
        constexpr int C = n_blocks;
        const float* from = panel + words_of<Number>(b) * C * kBlock;
        for (int lane = 0; lane < kBlock; lane += kLanes) {
          for_tiles(count, [&](auto n_rows, int64_t row) {
            Tile<n_rows, C> tile = {};
            if (b > 0) sums.read(tile, i + row, first, lane);
            accumulate<Number>(tile, rows.from(row, 0), from + lane, words_of<Number>(depth));
            sums.write(tile, i + row, first, lane);
          });
        }
        panel += words_of<Number>(n.batch) * C * kBlock;
      });
    }
  }
}

template <typename Number>
void dense_weights(const DenseSizes& n, Activation activation, const float* x, const float* y,
                   const float* dy, float* dkernel, float* dbias, float* dz, float* workspace) {
  if (activation != Activation::kLinear) {
    pull_activation<Number>(n, activation, y, dy, dz);
    dy = dz;
  }
  if (dbias) {
    std::memset(dbias, 0, n.outputs * sizeof(float));
    add_rows<Number>(dbias, dy, n.batch, n.outputs);
  }
  dense_kernel_gradient<Number>(n, x, dy, dkernel, workspace);
}

// dx transposed = kernel times dz transposed: the kernel, the largest, is read once, where it lies.
template <typename Number>
void dense_inputs(const DenseSizes& n, const float* kernel, const float* dz, float* dx,
                  float* workspace) {
  const int64_t blocks = blocks_of(n.outputs), depth = words_of<Number>(n.outputs);
  const int64_t packed_depth = blocks * kBlockWords<Number>;
  float *sums = workspace, *packed = sums + kRowsAtOnce * kPanelBlocks * kBlock;
  float* of_kernel = packed + packed_depth * padded(n.batch);
  pack_transposed<Number>(packed, blocks, n.batch, [&](int64_t b, int64_t block) {
    return Part{dz + b * n.outputs + block * kBlock, n.outputs - block * kBlock};
  });
  for (int64_t i = 0; i < n.inputs; i += kRowsAtOnce) {
    const int64_t count = smaller(kRowsAtOnce, n.inputs - i);
    const Rows rows =
        as_rows<Number>(of_kernel, kernel + i * n.outputs, n.outputs, count, n.outputs);
    const float* panel = packed;
    for_panels(blocks_of(n.batch), [&](auto n_blocks, int64_t first) {
      constexpr int C = n_blocks;
      constexpr int64_t width = C * kBlock;
      for (int64_t k = 0; k < depth; k += kDepthAtOnce) {
        const int64_t some = smaller(kDepthAtOnce, depth - k);
        for (int lane = 0; lane < kBlock; lane += kLanes) {
          for_tiles(count, [&](auto n_rows, int64_t row) {
            Tile<n_rows, C> tile = {};
            if (k > 0) read_panel(tile, sums, row, lane);
            accumulate<Number>(tile, rows.from(row, k), panel + k * width + lane, some);
            write_panel(tile, sums, row, lane);
          });
        }
      }
      const int64_t b = first * kBlock;
      transpose(dx + b * n.inputs + i, n.inputs, sums, width, smaller(width, n.batch - b), count);
      panel += packed_depth * width;
    });
  }
}

// ---- convolution ----

// Images with zeros around them, `above` and `left` of them.
struct Frame {
  int64_t height, width, channels;  // of the image
  int64_t rows, columns;            // of the window
  int64_t above, left;

  GRIDSCAPE_INLINE int64_t row() const { return (width + columns - 1) * channels; }
  GRIDSCAPE_INLINE int64_t size() const { return (height + rows - 1) * row(); }
  GRIDSCAPE_INLINE int64_t pixels() const { return height * width; }
  GRIDSCAPE_INLINE int64_t depth() const { return rows * columns * channels; }
  // Where the window of a pixel begins.
  GRIDSCAPE_INLINE int64_t at(int64_t pixel) const {
    return pixel / width * row() + pixel % width * channels;
  }
  // Where a number of the window lies, counted from its first.
  GRIDSCAPE_INLINE int64_t in_window(int64_t k) const {
    return k / (columns * channels) * row() + k % (columns * channels);
  }
  // The zeros around stay where they are from image to image.
  void clear(float* frame, int64_t words) const { std::memset(frame, 0, words * sizeof(float)); }
  int64_t first() const { return above * row() + left * channels; }
  template <typename Number>
  void fill(float* frame, const float* image) const {
    for (int64_t y = 0; y < height; ++y, image += width * channels) {
      write_numbers<Number>(frame, first() + y * row(), image, width * channels);
    }
  }
};

// Of an odd row of a window, a word reaches one number further, which meets a zero: numbers that
// are not finite may so spoil one pixel more.
template <typename Number>
GRIDSCAPE_INLINE int64_t frame_words(const Frame& n) {
  return words_of<Number>(n.size() + Number::kPerWord - 1);
}

// An even window reaches one pixel further ahead than back.
GRIDSCAPE_INLINE Frame frame_of(const ConvSizes& n) {
  return {n.height, n.width, n.channels, n.rows, n.columns, (n.rows - 1) / 2, (n.columns - 1) / 2};
}

// The frame of the outputs' gradients, over which the kernel moves the other way.
GRIDSCAPE_INLINE Frame gradient_frame_of(const ConvSizes& n) {
  return {n.height, n.width, n.filters, n.rows, n.columns, n.rows / 2, n.columns / 2};
}

GRIDSCAPE_INLINE int64_t pooled_pixels(const ConvSizes& n) {
  return ((n.height + 1) / 2) * ((n.width + 1) / 2);
}

// to = the window of each pixel of a frame times panels, plus a bias (padded), or null.
template <typename Number>
inline void correlate(const Frame& n, const float* frame, const float* packed, const float* bias,
                      Sums to) {
  const int64_t of_row = words_of<Number>(n.columns * n.channels);
  for_panels(blocks_of(to.columns), [&](auto n_blocks, int64_t first) {
    constexpr int C = n_blocks;
    for (int lane = 0; lane < kBlock; lane += kLanes) {
      for_tiles(n.pixels(), [&](auto n_rows, int64_t pixel) {
        constexpr int R = n_rows;
        Tile<R, C> tile = {};
        const float* row[R];
        for (int r = 0; r < R; ++r) row[r] = Number::from(frame, n.at(pixel + r));
        const float* panel = packed + lane;
        for (int64_t i = 0; i < n.rows; ++i, panel += of_row * C * kBlock) {
          accumulate_from<Number>(tile, row, 1, panel, of_row);
          for (int r = 0; r < R; ++r) row[r] = Number::from(row[r], n.row());
        }
        for (int c = 0; bias && c < C; ++c) {
          const Vector b = load(bias + (first + c) * kBlock + lane);
          for (int r = 0; r < R; ++r) tile.sum[r][c] += b;
        }
        to.write(tile, pixel, first, lane);
      });
    }
    packed += n.rows * of_row * C * kBlock;
  });
}

// ---- ReLU, then the maximum of windows of 2 x 2 ----

typedef int8_t Bytes __attribute__((vector_size(kLanes)));
// A switch is the pixel of a window that its maximum is, by rows; or this, where ReLU is flat.
constexpr int32_t kNoPixel = 4;

GRIDSCAPE_INLINE void store_bytes(int8_t* to, Whole values, int64_t count) {
  const Bytes bytes = __builtin_convertvector(values, Bytes);
  std::memcpy(to, &bytes, smaller(count, kLanes));
}

GRIDSCAPE_INLINE Whole load_bytes(const int8_t* from, int64_t count) {
  Bytes bytes = {};
  std::memcpy(&bytes, from, smaller(count, kLanes));
  return __builtin_convertvector(bytes, Whole);
}

// Calls use(pooled pixel, the first of its pixels, has two columns, has two rows).
template <typename Use>
GRIDSCAPE_INLINE void for_windows(const ConvSizes& n, Use&& use) {
  int64_t window = 0;
  for (int64_t y = 0; y < n.height; y += 2) {
    for (int64_t x = 0; x < n.width; x += 2, ++window) {
      use(window, y * n.width + x, x + 1 < n.width, y + 1 < n.height);
    }
  }
}

// One image: z (pixels, filters) -> y (pooled pixels, filters) and, unless null, the switches.
inline void pool(const ConvSizes& n, const float* z, float* y, int8_t* switches) {
  const int64_t F = n.filters;
  for_windows(n, [&](int64_t window, int64_t pixel, bool wide, bool high) {
    for (int64_t f = 0; f < F; f += kLanes) {
      const int64_t left = F - f;
      Vector top = load_first(z + pixel * F + f, left);
      Whole which = {};
      auto meet = [&](int64_t other, int32_t number) {
        const Vector value = load_first(z + other * F + f, left);
        const Whole higher = (value > top) | (value != value);  // NaN wins
        top = higher ? value : top;
        which = higher ? number - Whole{} : which;
      };
      if (wide) meet(pixel + 1, 1);
      if (high) meet(pixel + n.width, 2);
      if (wide && high) meet(pixel + n.width + 1, 3);
      store_first(y + window * F + f, relu(top), left);
      which = top > Vector{} ? which : kNoPixel - Whole{};
      if (switches) store_bytes(switches + window * F + f, which, left);
    }
  });
}

// The way back: dy (pooled pixels, filters) -> dz (pixels, filters), into an image or a frame whose
// rows are `row` numbers long, from its number `at` on.
template <typename Number>
inline void unpool(const ConvSizes& n, const float* dy, const int8_t* switches, float* dz,
                   int64_t at, int64_t row) {
  const int64_t F = n.filters;
  for_windows(n, [&](int64_t window, int64_t pixel, bool wide, bool high) {
    const int64_t to = at + pixel / n.width * row + pixel % n.width * F;
    for (int64_t f = 0; f < F; f += kLanes) {
      const int64_t left = F - f;
      const Vector d = load_first(dy + window * F + f, left);
      const Whole which = load_bytes(switches + window * F + f, left);
      auto give = [&](int64_t first, int32_t number) {
        Number::write_first(dz, first + f, which == number ? d : Vector{}, left);
      };
      give(to, 0);
      if (wide) give(to + F, 1);
      if (high) give(to + row, 2);
      if (wide && high) give(to + row + F, 3);
    }
  });
}

GRIDSCAPE_INLINE const int8_t* switches_of(const ConvSizes& n, const float* switches, int64_t b) {
  return reinterpret_cast<const int8_t*>(switches) + b * pooled_pixels(n) * n.filters;
}
GRIDSCAPE_INLINE int8_t* switches_of(const ConvSizes& n, float* switches, int64_t b) {
  return reinterpret_cast<int8_t*>(switches) + b * pooled_pixels(n) * n.filters;
}

// ---- convolution: forward ----

// workspace: frame, bias, packed kernel, and before pooling the outputs of one image.
template <typename Number>
void conv_forward(const ConvSizes& n, const float* images, const float* kernel, const float* bias,
                  float* y, float* switches, float* workspace) {
  const Frame around = frame_of(n);
  const int64_t of_row = around.columns * around.channels;
  float *frame = workspace, *offset = frame + frame_words<Number>(around);
  float* packed = offset + padded(n.filters);
  float* z = packed + packed_workspace<Number>(n.rows, of_row, n.filters);
  const float* panels = as_panels<Number>(packed, kernel, n.rows, of_row, n.filters);
  std::memset(offset, 0, padded(n.filters) * sizeof(float));
  std::memcpy(offset, bias, n.filters * sizeof(float));
  around.clear(frame, frame_words<Number>(around));
  const int64_t image_size = n.height * n.width * n.channels, z_size = around.pixels() * n.filters;
  for (int64_t b = 0; b < n.batch; ++b) {
    around.fill<Number>(frame, images + b * image_size);
    if (!n.pooled) {
      correlate<Number>(around, frame, panels, offset, {y + b * z_size, n.filters});
      continue;
    }
    correlate<Number>(around, frame, panels, offset, {z, n.filters});
    int8_t* of_image = switches ? switches_of(n, switches, b) : nullptr;
    pool(n, z, y + b * pooled_pixels(n) * n.filters, of_image);
  }
}

// ---- convolution: backward ----

// sums (depth x blocks, panels) += the windows of a frame times dz (pixels x blocks, panels). A
// word of the frame holds as many pixels of a row, from its own on, as one of dz.
template <typename Number>
inline void add_windows(const Frame& n, const float* frame, const float* dz, int64_t blocks,
                        float* sums) {
  const int64_t rows_at_once = kPixelsAtOnce < n.width ? 1 : kPixelsAtOnce / n.width;
  const int64_t words = words_of<Number>(n.width);
  for (int64_t y = 0; y < n.height; y += rows_at_once) {
    const int64_t end = smaller(y + rows_at_once, n.height);
    const float* panel = dz;
    float* to = sums;
    for_panels(blocks, [&](auto n_blocks, int64_t) {
      constexpr int C = n_blocks;
      constexpr int64_t width = C * kBlock;
      for (int lane = 0; lane < kBlock; lane += kLanes) {
        for_tiles(n.depth(), [&](auto n_rows, int64_t k) {
          constexpr int R = n_rows;
          Tile<R, C> tile;
          read_panel(tile, to, k, lane);
          const float* row[R];
          for (int r = 0; r < R; ++r) row[r] = frame + y * n.row() + n.in_window(k + r);
          for (int64_t of_y = y; of_y < end; ++of_y) {
            const float* from = panel + of_y * words * width + lane;
            accumulate_from<Number>(tile, row, Number::kPerWord * n.channels, from, words);
            for (int r = 0; r < R; ++r) row[r] += n.row();
          }
          write_panel(tile, to, k, lane);
        });
      }
      panel += n.height * words * width;
      to += n.depth() * width;
    });
  }
}

// Workspace of the frame that `add_windows` reads, and where its words are pairs, of the pairs.
template <typename Number>
GRIDSCAPE_INLINE int64_t windows_workspace(const Frame& n) {
  return Number::kExact ? n.size() : 2 * n.size() + n.channels;
}

// Pairs each number of a frame with that of the next pixel, the last ones with zeros behind it.
template <typename Number>
inline const float* as_windows(const Frame& n, float* frame) {
  if constexpr (Number::kExact) return frame;
  float* paired = frame + n.size() + n.channels;
  pair_row(paired, frame, frame + n.channels, n.size());
  return paired;
}

// workspace: frame, gradients of one image before pooling, packed, and packed sums of the kernel.
template <typename Number>
void conv_weights(const ConvSizes& n, const float* images, const float* switches, const float* dy,
                  float* dkernel, float* dbias, float* workspace) {
  const Frame around = frame_of(n);
  const int64_t F = n.filters, pixels = around.pixels(), blocks = blocks_of(F);
  float *frame = workspace, *unpooled = frame + windows_workspace<Number>(around);
  float* packed = unpooled + (n.pooled ? pixels * F : 0);
  const bool in_place = is_panel<Float32>(F);
  float* sums = in_place ? dkernel : packed + packed_workspace<Number>(n.height, n.width, F);
  around.clear(frame, windows_workspace<Number>(around));
  std::memset(sums, 0, around.depth() * padded(F) * sizeof(float));
  std::memset(dbias, 0, F * sizeof(float));
  for (int64_t b = 0; b < n.batch; ++b) {
    around.fill<Float32>(frame, images + b * pixels * n.channels);
    const float* dz = n.pooled ? unpooled : dy + b * pixels * F;
    if (n.pooled) {
      unpool<Float32>(n, dy + b * pooled_pixels(n) * F, switches_of(n, switches, b), unpooled, 0,
                      n.width * F);
    }
    add_rows<Number>(dbias, dz, pixels, F);
    add_windows<Number>(around, as_windows<Number>(around, frame),
                        as_panels<Number>(packed, dz, n.height, n.width, F), blocks, sums);
  }
  if (in_place) return;
  for_packed(sums, around.depth(), blocks, [&](int64_t k, int64_t block, const float* from) {
    for (int64_t u = 0; u < kBlock; u += kLanes) {
      const int64_t column = block * kBlock + u;
      if (column < F) store_first(dkernel + k * F + column, load(from + u), F - column);
    }
  });
}

// The kernel turned by half a circle, filters and channels exchanged: (rows, columns, F) x C.
inline void turn(float* to, const ConvSizes& n, const float* kernel) {
  const int64_t C = n.channels, F = n.filters;
  for (int64_t place = n.rows * n.columns - 1; place >= 0; --place, to += F * C) {
    transpose(to, C, kernel + place * C * F, F, F, C);
  }
}

// workspace: frame of the gradients, turned kernel, packed.
template <typename Number>
void conv_inputs(const ConvSizes& n, const float* kernel, const float* switches, const float* dy,
                 float* dimages, float* workspace) {
  const Frame around = gradient_frame_of(n);
  const int64_t pixels = around.pixels(), F = n.filters;
  float *frame = workspace, *turned = frame + frame_words<Number>(around);
  float* packed = turned + around.depth() * n.channels;
  around.clear(frame, frame_words<Number>(around));
  turn(turned, n, kernel);
  const float* panels =
      as_panels<Number>(packed, turned, n.rows, around.columns * around.channels, n.channels);
  for (int64_t b = 0; b < n.batch; ++b) {
    if (n.pooled) {
      unpool<Number>(n, dy + b * pooled_pixels(n) * F, switches_of(n, switches, b), frame,
                     around.first(), around.row());
    } else {
      around.fill<Number>(frame, dy + b * pixels * F);
    }
    correlate<Number>(around, frame, panels, nullptr,
                      {dimages + b * pixels * n.channels, n.channels});
  }
}

// ---- the table ----

template <typename Number>
DenseWorkspace dense_workspace(const DenseSizes& n) {
  const int64_t at_once = dense_depth<Number>(n);
  DenseWorkspace workspace;
  workspace.forward =
      packed_workspace<Number>(1, at_once, n.outputs) + rows_workspace<Number>(n.batch, at_once);
  workspace.weights = kDepthAtOnce * kRowsAtOnce + packed_workspace<Number>(1, n.batch, n.outputs);
  workspace.inputs = kRowsAtOnce * kPanelBlocks * kBlock +
                     blocks_of(n.outputs) * kBlockWords<Number> * padded(n.batch) +
                     rows_workspace<Number>(kRowsAtOnce, n.outputs);
  return workspace;
}

template <typename Number>
ConvWorkspace conv_workspace(const ConvSizes& n, bool keeps) {
  const Frame around = frame_of(n), of_gradient = gradient_frame_of(n);
  const int64_t F = n.filters, C = n.channels, unpooled = n.pooled ? around.pixels() * F : 0;
  ConvWorkspace workspace;
  workspace.switches = n.pooled && keeps ? (n.batch * pooled_pixels(n) * F + 3) / 4 : 0;
  workspace.forward = frame_words<Number>(around) + padded(F) +
                      packed_workspace<Number>(n.rows, n.columns * C, F) + unpooled;
  workspace.weights = windows_workspace<Number>(around) + unpooled +
                      packed_workspace<Number>(n.height, n.width, F) +
                      packed_workspace<Float32>(1, around.depth(), F);
  workspace.inputs = frame_words<Number>(of_gradient) + of_gradient.depth() * C +
                     packed_workspace<Number>(n.rows, n.columns * F, C);
  return workspace;
}

template <typename Number>
constexpr FeedforwardKernels kFeedforwardTable = {
    dense_workspace<Number>, dense_forward<Number>, dense_weights<Number>, dense_inputs<Number>,
    conv_workspace<Number>,  conv_forward<Number>,  conv_weights<Number>,  conv_inputs<Number>};

}  // namespace GRIDSCAPE_TARGET
}  // namespace gridscape

#endif  // GRIDSCAPE_FEEDFORWARD_H_
