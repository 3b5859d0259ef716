// Dense layers and convolutions, forward and backward, of one trial.
//
// Every pass is tiles of a product that stay in registers. A right operand whose rows are one whole
// panel is read where it lies, others are packed, large ones piece by piece. A convolution never
// forms its patches: the rows of its tiles begin at any pixel of an image with zeros around it.

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

GRIDSCAPE_INLINE int64_t padded(int64_t columns) { return blocks_of(columns) * kBlock; }

// Whether rows of so many numbers lie as a panel does.
GRIDSCAPE_INLINE bool is_panel(int64_t columns) {
  return columns % kBlock == 0 && columns <= kPanelBlocks * kBlock;
}

// Workspace to pack a matrix, where it must be.
GRIDSCAPE_INLINE int64_t packed_workspace(int64_t depth, int64_t columns) {
  return is_panel(columns) ? 0 : depth * padded(columns);
}

// The matrix as panels: itself, or packed into `workspace`.
inline const float* as_panels(float* workspace, const float* matrix, int64_t depth,
                              int64_t columns) {
  if (is_panel(columns)) return matrix;
  pack(workspace, depth, blocks_of(columns), [&](int64_t k, int64_t block) {
    return Part{matrix + k * columns + block * kBlock, columns - block * kBlock};
  });
  return workspace;
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
inline void add_rows(float* sums, const float* matrix, int64_t count, int64_t columns) {
  for (int64_t column = 0; column < columns; column += kLanes) {
    const int64_t left = columns - column;
    Vector sum = load_first(sums + column, left);
    for (int64_t row = 0; row < count; ++row) {
      sum += load_first(matrix + row * columns + column, left);
    }
    store_first(sums + column, sum, left);
  }
}

GRIDSCAPE_INLINE Vector relu(Vector x) { return x <= Vector{} ? Vector{} : x; }  // NaN stays

// ---- dense: forward ----

GRIDSCAPE_INLINE int64_t dense_depth(const DenseSizes& n) {
  if (is_panel(n.outputs)) return n.inputs;
  const int64_t fitting = kPackedAtOnce / padded(n.outputs);
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

inline void dense_forward(const DenseSizes& n, Activation activation, const float* x,
                          const float* kernel, const float* bias, float* y, float* workspace) {
  const Sums sums = {y, n.outputs};
  const int64_t at_once = dense_depth(n);
  for (int64_t k = 0; k < n.inputs; k += at_once) {
    const int64_t depth = smaller(at_once, n.inputs - k);
    const float* packed = as_panels(workspace, kernel + k * n.outputs, depth, n.outputs);
    for_panels(blocks_of(n.outputs), [&](auto n_blocks, int64_t first) {
      constexpr int C = n_blocks;
      for (int lane = 0; lane < kBlock; lane += kLanes) {
        for_tiles(n.batch, [&](auto n_rows, int64_t row) {
          Tile<n_rows, C> tile = {};
          if (k > 0) sums.read(tile, row, first, lane);
          accumulate(tile, {x + row * n.inputs + k, n.inputs, 1}, packed, depth, lane);
          sums.write(tile, row, first, lane);
        });
      }
      packed += depth * C * kBlock;
    });
  }
  activate(n, activation, bias, y);
}

// ---- dense: backward ----

// dz = dy times the derivative of the activation, which its value tells.
inline void pull_activation(const DenseSizes& n, Activation activation, const float* y,
                            const float* dy, float* dz) {
  const int64_t count = n.batch * n.outputs;
  for (int64_t k = 0; k < count; k += kLanes) {
    const Vector of_y = load_first(y + k, count - k), d = load_first(dy + k, count - k);
    const Vector pulled = activation == Activation::kRelu ? (of_y > Vector{} ? d : Vector{})
                                                          : d * (splat(1) - of_y * of_y);
    store_first(dz + k, pulled, count - k);
  }
}

// Whole rows of kRowsAtOnce without a call.
GRIDSCAPE_INLINE void copy_row(float* to, const float* from, int64_t count) {
  if (count < kRowsAtOnce) return (void)std::memcpy(to, from, count * sizeof(float));
  for (int64_t k = 0; k < kRowsAtOnce; k += kLanes) store(to + k, load(from + k));
}

// dkernel = columns of x times dz, both taken in pieces that fit the first cache.
inline void dense_kernel_gradient(const DenseSizes& n, const float* x, const float* dz,
                                  float* dkernel, float* workspace) {
  const Sums sums = {dkernel, n.outputs};
  float* left = workspace;  // (kDepthAtOnce, kRowsAtOnce)
  const bool gathers = n.inputs >= kLongRow;
  const float* packed = as_panels(workspace + kDepthAtOnce * kRowsAtOnce, dz, n.batch, n.outputs);
  for (int64_t i = 0; i < n.inputs; i += kRowsAtOnce) {
    const int64_t count = smaller(kRowsAtOnce, n.inputs - i);
    for (int64_t b = 0; b < n.batch; b += kDepthAtOnce) {
      const int64_t depth = smaller(kDepthAtOnce, n.batch - b);
      for (int64_t k = 0; gathers && k < depth; ++k) {
        copy_row(left + k * kRowsAtOnce, x + (b + k) * n.inputs + i, count);
      }
      const Rows in_place = {x + b * n.inputs + i, 1, n.inputs};
      const Rows rows = gathers ? Rows{left, 1, kRowsAtOnce} : in_place;
      const float* panel = packed;
      for_panels(blocks_of(n.outputs), [&](auto n_blocks, int64_t first) {
        constexpr int C = n_blocks;
        for (int lane = 0; lane < kBlock; lane += kLanes) {
          for_tiles(count, [&](auto n_rows, int64_t row) {
            Tile<n_rows, C> tile = {};
            if (b > 0) sums.read(tile, i + row, first, lane);
            accumulate(tile, rows.from(row, 0), panel + b * C * kBlock, depth, lane);
            sums.write(tile, i + row, first, lane);
          });
        }
        panel += n.batch * C * kBlock;
      });
    }
  }
}

inline void dense_weights(const DenseSizes& n, Activation activation, const float* x,
                          const float* y, const float* dy, float* dkernel, float* dbias, float* dz,
                          float* workspace) {
  if (activation != Activation::kLinear) {
    pull_activation(n, activation, y, dy, dz);
    dy = dz;
  }
  if (dbias) {
    std::memset(dbias, 0, n.outputs * sizeof(float));
    add_rows(dbias, dy, n.batch, n.outputs);
  }
  dense_kernel_gradient(n, x, dy, dkernel, workspace);
}

// dx transposed = kernel times dz transposed: the kernel, the largest, is read once, where it lies.
inline void dense_inputs(const DenseSizes& n, const float* kernel, const float* dz, float* dx,
                         float* workspace) {
  float *sums = workspace, *packed = workspace + kRowsAtOnce * kPanelBlocks * kBlock;
  const int64_t depth = n.outputs, packed_depth = padded(n.outputs);
  pack_transposed(packed, blocks_of(depth), n.batch, [&](int64_t b, int64_t block) {
    return Part{dz + b * depth + block * kBlock, depth - block * kBlock};
  });
  for (int64_t i = 0; i < n.inputs; i += kRowsAtOnce) {
    const int64_t count = smaller(kRowsAtOnce, n.inputs - i);
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
            accumulate(tile, {kernel + (i + row) * depth + k, depth, 1}, panel + k * width, some,
                       lane);
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
  void clear(float* frame) const { std::memset(frame, 0, size() * sizeof(float)); }
  void fill(float* frame, const float* image) const {
    float* to = frame + above * row() + left * channels;
    for (int64_t y = 0; y < height; ++y, to += row(), image += width * channels) {
      std::memcpy(to, image, width * channels * sizeof(float));
    }
  }
};

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
inline void correlate(const Frame& n, const float* frame, const float* packed, const float* bias,
                      Sums to) {
  const int64_t of_row = n.columns * n.channels;
  for_panels(blocks_of(to.columns), [&](auto n_blocks, int64_t first) {
    constexpr int C = n_blocks;
    for (int lane = 0; lane < kBlock; lane += kLanes) {
      for_tiles(n.pixels(), [&](auto n_rows, int64_t pixel) {
        constexpr int R = n_rows;
        Tile<R, C> tile = {};
        const float* row[R];
        for (int r = 0; r < R; ++r) row[r] = frame + n.at(pixel + r);
        const float* panel = packed + lane;
        for (int64_t i = 0; i < n.rows; ++i, panel += of_row * C * kBlock) {
          accumulate_from(tile, row, 1, panel, of_row);
          for (int r = 0; r < R; ++r) row[r] += n.row();
        }
        for (int c = 0; bias && c < C; ++c) {
          const Vector b = load(bias + (first + c) * kBlock + lane);
          for (int r = 0; r < R; ++r) tile.sum[r][c] += b;
        }
        to.write(tile, pixel, first, lane);
      });
    }
    packed += n.depth() * C * kBlock;
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

// The way back: dy (pooled pixels, filters) -> dz (pixels, filters), into an image or a frame.
inline void unpool(const ConvSizes& n, const float* dy, const int8_t* switches, float* dz,
                   int64_t row) {
  const int64_t F = n.filters;
  for_windows(n, [&](int64_t window, int64_t pixel, bool wide, bool high) {
    float* to = dz + pixel / n.width * row + pixel % n.width * F;
    for (int64_t f = 0; f < F; f += kLanes) {
      const int64_t left = F - f;
      const Vector d = load_first(dy + window * F + f, left);
      const Whole which = load_bytes(switches + window * F + f, left);
      auto give = [&](float* at, int32_t number) {
        store_first(at + f, which == number ? d : Vector{}, left);
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
inline void conv_forward(const ConvSizes& n, const float* images, const float* kernel,
                         const float* bias, float* y, float* switches, float* workspace) {
  const Frame around = frame_of(n);
  float *frame = workspace, *offset = frame + around.size(), *packed = offset + padded(n.filters);
  float* z = packed + packed_workspace(around.depth(), n.filters);
  const float* panels = as_panels(packed, kernel, around.depth(), n.filters);
  std::memset(offset, 0, padded(n.filters) * sizeof(float));
  std::memcpy(offset, bias, n.filters * sizeof(float));
  around.clear(frame);
  const int64_t image_size = n.height * n.width * n.channels, z_size = around.pixels() * n.filters;
  for (int64_t b = 0; b < n.batch; ++b) {
    around.fill(frame, images + b * image_size);
    if (!n.pooled) {
      correlate(around, frame, panels, offset, {y + b * z_size, n.filters});
      continue;
    }
    correlate(around, frame, panels, offset, {z, n.filters});
    int8_t* of_image = switches ? switches_of(n, switches, b) : nullptr;
    pool(n, z, y + b * pooled_pixels(n) * n.filters, of_image);
  }
}

// ---- convolution: backward ----

// sums (depth x blocks, panels) += the windows of a frame times dz (pixels x blocks, panels).
inline void add_windows(const Frame& n, const float* frame, const float* dz, int64_t blocks,
                        float* sums) {
  const int64_t rows_at_once = kPixelsAtOnce < n.width ? 1 : kPixelsAtOnce / n.width;
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
            accumulate_from(tile, row, n.channels, panel + of_y * n.width * width + lane, n.width);
            for (int r = 0; r < R; ++r) row[r] += n.row();
          }
          write_panel(tile, to, k, lane);
        });
      }
      panel += n.pixels() * width;
      to += n.depth() * width;
    });
  }
}

// workspace: frame, gradients of one image before pooling, packed, and packed sums of the kernel.
inline void conv_weights(const ConvSizes& n, const float* images, const float* switches,
                         const float* dy, float* dkernel, float* dbias, float* workspace) {
  const Frame around = frame_of(n);
  const int64_t F = n.filters, pixels = around.pixels(), blocks = blocks_of(F);
  float *frame = workspace, *unpooled = frame + around.size();
  float* packed = unpooled + (n.pooled ? pixels * F : 0);
  float* sums = is_panel(F) ? dkernel : packed + packed_workspace(pixels, F);
  around.clear(frame);
  std::memset(sums, 0, around.depth() * padded(F) * sizeof(float));
  std::memset(dbias, 0, F * sizeof(float));
  for (int64_t b = 0; b < n.batch; ++b) {
    around.fill(frame, images + b * pixels * n.channels);
    const float* dz = n.pooled ? unpooled : dy + b * pixels * F;
    if (n.pooled) {
      unpool(n, dy + b * pooled_pixels(n) * F, switches_of(n, switches, b), unpooled, n.width * F);
    }
    add_rows(dbias, dz, pixels, F);
    add_windows(around, frame, as_panels(packed, dz, pixels, F), blocks, sums);
  }
  if (sums == dkernel) return;
  for_packed(sums, around.depth(), blocks, [&](int64_t k, int64_t block, const float* from) {
    for (int64_t u = 0; u < kBlock; u += kLanes) {
      const int64_t column = block * kBlock + u;
      if (column < F) store_first(dkernel + k * F + column, load(from + u), F - column);
    }
  });
}

// The kernel turned by half a circle, filters and channels exchanged: (rows, columns, F) x C.
inline void pack_turned(float* to, const ConvSizes& n, const float* kernel) {
  const int64_t places = n.rows * n.columns, F = n.filters;
  for_panels(blocks_of(n.channels), [&](auto n_blocks, int64_t first) {
    constexpr int64_t width = n_blocks * kBlock;
    const int64_t channel = first * kBlock, count = smaller(width, n.channels - channel);
    for (int64_t place = places - 1; place >= 0; --place, to += F * width) {
      const float* from = kernel + (place * n.channels + channel) * F;
      std::memset(to, 0, F * width * sizeof(float));
      transpose(to, width, from, F, F, count);
    }
  });
}

// workspace: frame of the gradients, turned kernel.
inline void conv_inputs(const ConvSizes& n, const float* kernel, const float* switches,
                        const float* dy, float* dimages, float* workspace) {
  const Frame around = gradient_frame_of(n);
  float *frame = workspace, *turned = frame + around.size();
  const int64_t pixels = around.pixels(), F = n.filters;
  around.clear(frame);
  pack_turned(turned, n, kernel);
  for (int64_t b = 0; b < n.batch; ++b) {
    if (n.pooled) {
      unpool(n, dy + b * pooled_pixels(n) * F, switches_of(n, switches, b),
             frame + around.above * around.row() + around.left * F, around.row());
    } else {
      around.fill(frame, dy + b * pixels * F);
    }
    correlate(around, frame, turned, nullptr, {dimages + b * pixels * n.channels, n.channels});
  }
}

}  // namespace GRIDSCAPE_TARGET
}  // namespace gridscape

#endif  // GRIDSCAPE_FEEDFORWARD_H_
