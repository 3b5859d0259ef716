// Products of matrices, the right one packed into panels.
//
// Columns come in blocks of kBlock. A panel holds up to four blocks, row by row:
// [k][block][kBlock], zeros beyond the last column; a packed matrix is its panels one after the
// other. A tile, kTileRows rows of one panel's columns, stays in registers while k runs.
//
// Where vectors are shorter than a block, a tile goes through a panel for each vector of its
// blocks. What is packed for that alone has them apart: [vector][k][block][kLanes], so that a pass
// reads whole lines of the cache, one after the other. kStep says which, the floats from a block
// to the next: kBlock, or kLanes where vectors lie apart. With AVX-512 both are the same.
//
// All operands are words of 32 bits: a float, or a pair of bfloat16 that follow each other in k.
// Depths and strides count words.

#ifndef GRIDSCAPE_PRODUCT_H_
#define GRIDSCAPE_PRODUCT_H_

#include "simd.h"

namespace gridscape {
namespace GRIDSCAPE_TARGET {

constexpr int64_t kPanelBlocks = 4;
// Rows of a long inner dimension that are multiplied at once: their panel fits the first cache.
// Where vectors are shorter than a block, each pass over a panel reads but a part of every line.
constexpr int64_t kDepthAtOnce = kLanes < kBlock ? 32 : 128;

GRIDSCAPE_INLINE constexpr int64_t blocks_of(int64_t columns) {
  return (columns + kBlock - 1) / kBlock;
}

GRIDSCAPE_INLINE constexpr int64_t padded(int64_t columns) { return blocks_of(columns) * kBlock; }

GRIDSCAPE_INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

// Where the lanes from `lane` on begin in a panel of so many rows and blocks.
template <int kStep>
GRIDSCAPE_INLINE constexpr int64_t lanes_at(int64_t lane, int64_t depth, int64_t blocks) {
  return kStep == kBlock ? lane : lane * depth * blocks;
}

// What a word of an operand holds, and whether that is float32 as it is. Sums always are.
//
// write: a vector of numbers, or the first of them, into a row from its number `at` on; from: where
// that number lies, at a word or in the middle of one. spread: a word of a left operand, for all
// columns. add: sums plus products of the numbers of two words. round: what a float becomes.
struct Float32 {
  static constexpr int64_t kPerWord = 1;
  static constexpr bool kExact = true;

  GRIDSCAPE_INLINE static void write(float* row, int64_t at, Vector x) { store(row + at, x); }
  GRIDSCAPE_INLINE static void write_first(float* row, int64_t at, Vector x, int64_t count) {
    store_first(row + at, x, count);
  }
  GRIDSCAPE_INLINE static const float* from(const float* row, int64_t at) { return row + at; }
  GRIDSCAPE_INLINE static Vector round(Vector x) { return x; }
  GRIDSCAPE_INLINE static Vector spread(const float* word) { return splat(*word); }
  GRIDSCAPE_INLINE static Vector add(Vector sum, Vector a, Vector b) { return sum + a * b; }
};

struct Bfloat16 {
  static constexpr int64_t kPerWord = 2;
  static constexpr bool kExact = false;

  GRIDSCAPE_INLINE static void write(float* row, int64_t at, Vector x) {
    store_halves(reinterpret_cast<Half*>(row) + at, rounded(x));
  }
  GRIDSCAPE_INLINE static void write_first(float* row, int64_t at, Vector x, int64_t count) {
    store_halves_first(reinterpret_cast<Half*>(row) + at, rounded(x), count);
  }
  GRIDSCAPE_INLINE static const float* from(const float* row, int64_t at) {
    return reinterpret_cast<const float*>(reinterpret_cast<const Half*>(row) + at);
  }
  GRIDSCAPE_INLINE static Vector round(Vector x) { return (Vector)nearest(x); }
  // As a whole number: a pair is no float, and arithmetic could change its bits.
  GRIDSCAPE_INLINE static Vector spread(const float* word) {
    uint32_t bits;
    std::memcpy(&bits, word, sizeof(bits));
    return (Vector)(bits + Words{});
  }
  GRIDSCAPE_INLINE static Vector add(Vector sum, Vector a, Vector b) {
    return add_pairs(sum, a, b);
  }
};

// Words of so many numbers, and of a block.
template <typename Number>
GRIDSCAPE_INLINE constexpr int64_t words_of(int64_t count) {
  return (count + Number::kPerWord - 1) / Number::kPerWord;
}

template <typename Number>
constexpr int64_t kBlockWords = kBlock / Number::kPerWord;

// The left operand: element (row, k) lies at data[row * row_stride + k * k_stride].
struct Rows {
  const float* data;
  int64_t row_stride;
  int64_t k_stride;

  GRIDSCAPE_INLINE Rows from(int64_t row, int64_t k) const {
    return {data + row * row_stride + k * k_stride, row_stride, k_stride};
  }
};

// Sums of R rows and C blocks, of each block the kLanes from `lane` on.
template <int R, int C>
struct Tile {
  static constexpr int kRows = R;
  static constexpr int kBlocks = C;
  Vector sum[R][C];
};

// tile += rows (R x depth) times lanes of a panel (depth x C blocks); row[r][k * k_stride] are the
// rows. Block kZero of the panel is zeros and left out; -1: none is.
template <typename Number = Float32, int kZero = -1, int kStep = kBlock, int R, int C>
GRIDSCAPE_INLINE void accumulate_from(Tile<R, C>& tile, const float* const* row, int64_t k_stride,
                                      const float* panel, int64_t depth) {
  for (int64_t k = 0; k < depth; ++k, panel += C * kStep) {
    Vector b[C];
#pragma GCC unroll 4
    for (int c = 0; c < C; ++c) {
      if (c != kZero) b[c] = load(panel + c * kStep);
    }
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const Vector a = Number::spread(row[r] + k * k_stride);
#pragma GCC unroll 4
      for (int c = 0; c < C; ++c) {
        if (c != kZero) tile.sum[r][c] = Number::add(tile.sum[r][c], a, b[c]);
      }
    }
  }
}

template <typename Number = Float32, int kZero = -1, int kStep = kBlock, int R, int C>
GRIDSCAPE_INLINE void accumulate(Tile<R, C>& tile, Rows rows, const float* panel, int64_t depth) {
  const float* row[R];
  for (int r = 0; r < R; ++r) row[r] = rows.data + r * rows.row_stride;
  accumulate_from<Number, kZero, kStep>(tile, row, rows.k_stride, panel, depth);
}

// The same of a panel whose vectors lie apart.
template <typename Number = Float32, int kZero = -1, int R, int C>
GRIDSCAPE_INLINE void accumulate_apart(Tile<R, C>& tile, Rows rows, const float* panel,
                                       int64_t depth) {
  accumulate<Number, kZero, kLanes>(tile, rows, panel, depth);
}

// Rows of a tile of so many blocks: as many sums as there are registers for, to hide that each
// waits for the one before, and to load a panel for more of them.
template <int C>
using RowsOf = std::integral_constant<int, C == 1 ? 2 * kTileRows : kTileRows>;

// Calls use(std::integral_constant<int, R>, first_row) for tiles that cover `count` rows.
template <typename Use, int R = kTileRows>
GRIDSCAPE_INLINE void for_tiles(int64_t count, Use&& use, std::integral_constant<int, R> = {}) {
  constexpr int fewer = R > kTileRows ? kTileRows : R - 1;
  int64_t row = 0;
  for (; row + R <= count; row += R) use(std::integral_constant<int, R>{}, row);
  if constexpr (R > 1) {
    if (row < count) {
      for_tiles(
          count - row, [&](auto rows, int64_t first) { use(rows, row + first); },
          std::integral_constant<int, fewer>{});
    }
  }
}

// Tiles that are summed up together, a part of their panel at a time, for the same reason.
constexpr int kTilesTogether = kLanes < kBlock ? 8 : 1;

// Calls use(constant R, constant N, first_row) for N tiles of R rows each that cover `count` rows;
// N is 1 unless there may be more.
template <typename Use, int R>
GRIDSCAPE_INLINE void for_tiles_together(int64_t count, bool may,
                                         std::integral_constant<int, R> rows, Use&& use) {
  constexpr int n = kTilesTogether;
  int64_t row = 0;
  if (n > 1 && may) {
    for (; row + n * R <= count; row += n * R) use(rows, std::integral_constant<int, n>{}, row);
  }
  for_tiles(
      count - row,
      [&](auto n_rows, int64_t first) {
        use(n_rows, std::integral_constant<int, 1>{}, row + first);
      },
      rows);
}

// Calls use(std::integral_constant<int, C>) with the 1 to 4 blocks C of a panel.
template <typename Use>
GRIDSCAPE_INLINE void with_blocks(int64_t blocks, Use&& use) {
  switch (blocks) {
    case 1:
      return use(std::integral_constant<int, 1>{});
    case 2:
      return use(std::integral_constant<int, 2>{});
    case 3:
      return use(std::integral_constant<int, 3>{});
    default:
      return use(std::integral_constant<int, 4>{});
  }
}

// Calls use(std::integral_constant<int, Z>) with the block of a panel that is zeros, the third or
// the fourth, or -1.
template <typename Use>
GRIDSCAPE_INLINE void with_zero(int zero, Use&& use) {
  switch (zero) {
    case 2:
      return use(std::integral_constant<int, 2>{});
    case 3:
      return use(std::integral_constant<int, 3>{});
    default:
      return use(std::integral_constant<int, -1>{});
  }
}

// Calls use(constant C, first_block) for the panels of so many blocks.
template <typename Use>
GRIDSCAPE_INLINE void for_panels(int64_t blocks, Use&& use) {
  for (int64_t first = 0; first < blocks; first += kPanelBlocks) {
    with_blocks(smaller(kPanelBlocks, blocks - first), [&](auto n) { use(n, first); });
  }
}

// A block of a row that may be shorter: where its first float lies, how many there are.
struct Part {
  const float* data = nullptr;
  int64_t count = 0;
};

// Packs a matrix: get(k, block) returns a Part.
template <typename Number = Float32, int kStep = kBlock, typename Get>
GRIDSCAPE_INLINE void pack(float* to, int64_t depth, int64_t blocks, Get&& get) {
  const int64_t words = words_of<Number>(depth);
  for_panels(blocks, [&](auto n_blocks, int64_t first) {
    constexpr int C = n_blocks;
    for (int64_t k = 0; k < depth; k += Number::kPerWord) {
      float* row = to + k / Number::kPerWord * C * kStep;
      for (int c = 0; c < C; ++c, row += kStep) {
        const Part part = get(k, first + c);
        const Part next = !Number::kExact && k + 1 < depth ? get(k + 1, first + c) : Part{};
        for (int64_t u = 0; u < kBlock; u += kLanes) {
          Vector word = load_first(part.data + u, part.count - u);
          if constexpr (!Number::kExact) {
            word = pairs(word, load_first(next.data + u, next.count - u));
          }
          store(row + lanes_at<kStep>(u, words, C), word);
        }
      }
    }
    to += words * C * kBlock;
  });
}

// Packs the transpose of a matrix: get(column, k_block) returns a Part that becomes a column.
template <typename Number = Float32, int kStep = kBlock, typename Get>
GRIDSCAPE_INLINE void pack_transposed(float* to, int64_t k_blocks, int64_t columns, Get&& get) {
  constexpr int64_t depth = kBlockWords<Number>;
  for_panels(blocks_of(columns), [&](auto n_blocks, int64_t first) {
    constexpr int C = n_blocks;
    constexpr int64_t width = C * kBlock, row = C * kStep;
    for (int64_t c = 0; c < width; ++c) {
      const int64_t column = first * kBlock + c;
      for (int64_t block = 0; block < k_blocks; ++block) {
        const Part part = column < columns ? get(column, block) : Part{};
        alignas(64) float words[kBlock];
        for (int64_t u = 0; u < kBlock; u += kLanes) {
          Number::write(words, u, load_first(part.data + u, part.count - u));
        }
        const int64_t lane = c % kBlock / kLanes * kLanes;
        float* at = to + lanes_at<kStep>(lane, k_blocks * depth, C) + c / kBlock * kStep;
        at += c % kBlock - lane + block * depth * row;
        for (int64_t u = 0; u < depth; ++u) at[u * row] = words[u];
      }
    }
    to += k_blocks * depth * width;
  });
}

// How a tile is summed up, where nothing is known of the panel.
template <typename Number>
struct AddAll {
  template <int R, int C>
  GRIDSCAPE_INLINE void operator()(Tile<R, C>& tile, Rows rows, const float* panel,
                                   int64_t depth) const {
    accumulate_apart<Number>(tile, rows, panel, depth);
  }
};

// Calls use(tile, first_row, first_block, lane) with each tile of
// rows (count x depth) times a packed matrix (depth x blocks), vectors apart, summed up by `add`.
template <typename Number = Float32, typename Use, typename Add = AddAll<Number>>
GRIDSCAPE_INLINE void multiply(Rows rows, int64_t count, const float* packed, int64_t depth,
                               int64_t packed_depth, int64_t blocks, Use&& use, Add&& add = {}) {
  for_panels(blocks, [&](auto n_blocks, int64_t first) {
    constexpr int C = n_blocks;
    for (int lane = 0; lane < kBlock; lane += kLanes) {
      const float* panel = packed + lanes_at<kLanes>(lane, packed_depth, C);
      for_tiles(
          count,
          [&](auto n_rows, int64_t row) {
            Tile<n_rows, C> tile = {};
            add(tile, rows.from(row, 0), panel, depth);
            use(tile, row, first, lane);
          },
          RowsOf<C>{});
    }
    packed += packed_depth * C * kBlock;
  });
}

// The same where the left operand is packed too, as packed_rows x inner_blocks blocks; of its rows
// those in [first_row, first_row + count) are used. Block `zero` of each panel, unless -1, meets
// zeros.
template <typename Number = Float32, typename Use>
GRIDSCAPE_INLINE void multiply_packed(const float* left, int64_t packed_rows, int64_t first_row,
                                      int64_t count, int64_t inner_blocks, const float* packed,
                                      int64_t blocks, int zero, Use&& use) {
  constexpr int64_t of_block = kBlockWords<Number>;
  const int64_t depth = inner_blocks * of_block;
  for_panels(blocks, [&](auto n_blocks, int64_t first) {
    constexpr int C = n_blocks;
    for (int lane = 0; lane < kBlock; lane += kLanes) {
      const auto sum_up = [&](auto n_rows, auto n_tiles, int64_t row) {
        Tile<n_rows, C> tiles[n_tiles] = {};
        const float *from = left, *with = packed + lanes_at<kLanes>(lane, depth, C);
        for (int64_t inner = 0; inner < inner_blocks; inner += kPanelBlocks) {
          const int64_t width = smaller(kPanelBlocks, inner_blocks - inner) * of_block;
          const int64_t end = zero < 0 ? width : zero * of_block, next = end + of_block;
          Rows rows = {from + (first_row + row) * width, width, 1};
          for (auto& tile : tiles) {
            accumulate_apart<Number>(tile, rows, with, end);
            if (zero >= 0 && next < width) {
              accumulate_apart<Number>(tile, rows.from(0, next), with + next * C * kLanes,
                                       width - next);
            }
            rows = rows.from(n_rows, 0);
          }
          from += packed_rows * width;
          with += width * C * kLanes;
        }
        for (int t = 0; t < n_tiles; ++t) use(tiles[t], row + t * n_rows, first, lane);
      };
      for_tiles_together(count, inner_blocks > 2 * kPanelBlocks, RowsOf<C>{}, sum_up);
    }
    packed += depth * C * kBlock;
  });
}

// Numbers that follow each other in a column share a word: to (words x columns) from rows.
inline void pair_rows(float* to, const float* from, int64_t stride, int64_t count,
                      int64_t columns) {
  for (int64_t k = 0; k < count; k += 2, from += 2 * stride) {
    const Half* first = reinterpret_cast<const Half*>(from);
    const Half* second = k + 1 < count ? first + 2 * stride : nullptr;
    for (int64_t c = 0; c < columns; c += kLanes, to += kLanes) {
      const Halves lower = load_halves(first + c);
      const Halves upper = second ? load_halves(second + c) : Halves{};
      store(to, (Vector)(__builtin_convertvector(lower, Words) |
                         __builtin_convertvector(upper, Words) << 16));
    }
  }
}

// Workspace in which `multiply_deep` pairs numbers of rows of so many words.
template <typename Number>
GRIDSCAPE_INLINE constexpr int64_t deep_workspace(int64_t row) {
  return Number::kExact ? 0 : kDepthAtOnce * (2 * row + kPanelBlocks * kBlock);
}

// sums (packed, count rows) = columns of rows (depth x row words) times a packed matrix
// (depth x blocks), for a depth much larger than both. zero(first, end): which block of each panel
// has sums that nobody needs in the rows [first, end), or -1.
template <typename Number = Float32, typename Zero>
inline void multiply_deep(float* sums, const float* rows, int64_t row_words, int64_t count,
                          const float* packed, int64_t depth, int64_t blocks,
                          [[maybe_unused]] float* workspace, Zero&& zero) {
  constexpr int64_t at_once = kDepthAtOnce * Number::kPerWord;
  for (int64_t k = 0; k < depth; k += at_once) {
    const int64_t some = smaller(at_once, depth - k);
    const float *from = packed, *left = rows + k * row_words;
    if constexpr (!Number::kExact) {
      pair_rows(workspace, left, row_words, some, 2 * row_words);
      left = workspace;
    }
    float* to = sums;
    for_panels(blocks, [&](auto n_blocks, int64_t) {
      constexpr int C = n_blocks;
      constexpr int64_t width = C * kBlock, words = C * kBlockWords<Number>;
      const float* panel = from + k * words;
      if constexpr (!Number::kExact) {
        float* paired = workspace + kDepthAtOnce * 2 * row_words;
        pair_rows(paired, panel, words, some, width);
        panel = paired;
      }
      for (int lane = 0; lane < kBlock; lane += kLanes) {
        for_tiles(
            count,
            [&](auto n_rows, int64_t row) {
              constexpr int R = n_rows;
              Tile<R, C> tile = {};
              float* at = to + row * width + lane;
              if (k > 0) {
                for (int r = 0; r < R; ++r) {
                  for (int c = 0; c < C; ++c) tile.sum[r][c] = load(at + r * width + c * kBlock);
                }
              }
              const Rows columns = {left + row, 1, Number::kPerWord * row_words};
              with_zero(zero(row, row + R), [&](auto left_out) {
                accumulate<Number, left_out>(tile, columns, panel + lane, words_of<Number>(some));
              });
              for (int r = 0; r < R; ++r) {
                for (int c = 0; c < C; ++c) store(at + r * width + c * kBlock, tile.sum[r][c]);
              }
            },
            RowsOf<C>{});
      }
      to += count * width;
      from += depth * words;
    });
  }
}

// Calls use(row, block, where) with each block of each row of a packed matrix.
template <typename Use>
GRIDSCAPE_INLINE void for_packed(const float* packed, int64_t count, int64_t blocks, Use&& use) {
  for_panels(blocks, [&](auto n_blocks, int64_t first) {
    constexpr int C = n_blocks;
    for (int64_t row = 0; row < count; ++row) {
      for (int c = 0; c < C; ++c, packed += kBlock) use(row, first + c, packed);
    }
  });
}

// Where the block of a row of a packed matrix lies; of a left operand, whose columns are its k.
template <typename Number = Float32>
GRIDSCAPE_INLINE int64_t packed_at(int64_t depth, int64_t blocks, int64_t row, int64_t block) {
  const int64_t first = block / kPanelBlocks * kPanelBlocks;
  const int64_t width = smaller(kPanelBlocks, blocks - first);
  return (first * depth + row * width + block - first) * kBlockWords<Number>;
}

}  // namespace GRIDSCAPE_TARGET
}  // namespace gridscape

#endif  // GRIDSCAPE_PRODUCT_H_
