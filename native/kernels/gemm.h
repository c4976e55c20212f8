// The packed GEMM: one register tile, two operand layouts, one epilogue.
//
//            B panel: k x (V * lanes), k-major
//            +-----------+
//          k |           |
//            +-----------+
//      k         V * lanes
//   +-----+  +-----------+
// M |  A  |  |  C tile   |   C[m][j] = sum over p, in order, of A[m][p] * B[p][j]
//   +-----+  +-----------+
//
//   tier     lanes  M  C tile
//   scalar     1    3   3 x 4
//   sse        4    3   3 x 16
//   avx2       8    3   3 x 32
//   avx512    16    6   6 x 64
//   neon       4    6   6 x 16
//
// A panels (pack_parts in conv/common.h): rows of weights cut into the fewest parts of at most M rows, as even as can be
// in pairs of rows (16 by 6: 6 6 4), [group][part][k][rows of the part]. B panels have whole registers.
//
// Contract:
// 1. Each element of C has one accumulator, from +0, muladds in the order of p; nothing is summed across
//    lanes. Cutting k into blocks stores and reloads the accumulators (`partial`), which keeps their bits. Long sums of
//    linear layers and matrix products are cut into pieces (`long_sum` in table.h): what is there of one is added as
//    its bias is, so that a tile knows nothing of it.
// 2. A is read one float at a time, B in whole vectors: B panels are padded to full width by the packer.
// 3. Only `count` columns of C are stored.
// 4. M * V accumulators + M of A + 1 of B fit the tier's registers (static_assert below). One too many
//    halves the speed: clang then keeps an accumulator on the stack.
#pragma once

#include "activation.h"

namespace kernelet {
namespace KERNELET_ISA {
namespace {

constexpr int tile_vectors = 4;  // = the four corners of a 2x2 pooling window, see im2col.h
constexpr int tile_width = tile_vectors * lanes;
constexpr int tile_rows = F32::registers >= 32 ? 6 : F32::registers == 16 ? 3 : 2;
static_assert(tile_rows * tile_vectors + tile_rows + 1 <= F32::registers,
              "the tile does not fit the registers");

// Tiles of at most `Most` rows come with 2, 4, 6 … rows, small ones, which feel it, with every number. Where fewer
// are there, the last ones are computed from whatever comes next and not stored; packed weights have `slack` floats
// at their end for that.
constexpr bool has_every_size(int most) {
  return !one_size && (most == 3 || (most == 6 && F32::registers == 16));
}
template <int Most>
constexpr bool every_size = has_every_size(Most);
template <int Most>
constexpr int slack = every_size<Most> ? 0 : Most - 1;

// Is row m of a tile of M one of the `rows` that are there?
template <int Most, int M>
KERNELET_INLINE bool is_there(int m, int rows) {
  if (M == 1 || every_size<Most>) return true;
  return one_size ? m < rows : m < M - 1 || rows == M;
}
// Row m or, past the end, the last one: for what has no slack.
template <int Most, int M>
KERNELET_INLINE ptrdiff_t row_at(int m, int rows) {
  return is_there<Most, M>(m, rows) ? m : rows - 1;
}
template <int Most, int M>
KERNELET_INLINE int rows_of(int rows) {
  return M == 1 || every_size<Most> ? M : rows;
}

// row[m]: where row m of A begins, a_col floats from one k to the next
template <int M, int V>
KERNELET_INLINE void multiply_add(int k, const float* a, const ptrdiff_t (&row)[M], ptrdiff_t a_col,
                                  const float* b, reg (&c)[M][V]) {
  do {  // k >= 1: told so, clang keeps the accumulators in registers around the loop
    reg am[M];
    KERNELET_UNROLL
    for (int m = 0; m < M; ++m) am[m] = F32::splat(a[row[m]]);
    KERNELET_UNROLL
    for (int v = 0; v < V; ++v) {
      const reg bv = F32::load(b + v * lanes);
      KERNELET_UNROLL
      for (int m = 0; m < M; ++m) c[m][v] = F32::muladd(am[m], bv, c[m][v]);
    }
    a += a_col;
    b += V * lanes;
  } while (--k > 0);
}

// A packed: [k][rows]
template <int M, int V>
KERNELET_INLINE void multiply_add(int k, const float* a, int rows, const float* b, reg (&c)[M][V]) {
  ptrdiff_t row[M];
  KERNELET_UNROLL
  for (int m = 0; m < M; ++m) row[m] = m;
  multiply_add<M, V>(k, a, row, rows, b, c);
}

struct TileArgs {
  int rows, k;
  const float* a;
  ptrdiff_t a_row, bias_row;  // linear only: distance between rows of A, and of what is added
  const float* b;
  float* partial;  // convolutions only: [rows][tile_width] accumulators between blocks of k
  bool first, last;
  float* dst;
  ptrdiff_t dst_row;
  int count;  // columns of dst to store: up to tile_width, or up to lanes when pooled
  const float* bias;
  Epilogue epilogue;
};

template <int M>
KERNELET_INLINE void start_accumulators(const TileArgs& t, reg (&c)[M][tile_vectors]) {
  KERNELET_UNROLL
  for (int m = 0; m < M; ++m) {
    KERNELET_UNROLL
    for (int v = 0; v < tile_vectors; ++v) {
      c[m][v] = t.first ? F32::zero()
                        : F32::load(t.partial + row_at<tile_rows, M>(m, t.rows) * tile_width + v * lanes);
    }
  }
}

template <int M>
KERNELET_INLINE void store_accumulators(int rows, float* sums, const reg (&c)[M][tile_vectors]) {
  KERNELET_UNROLL
  for (int m = 0; m < M; ++m) {
    if (!is_there<tile_rows, M>(m, rows)) continue;
    KERNELET_UNROLL
    for (int v = 0; v < tile_vectors; ++v) F32::store(sums + m * tile_width + v * lanes, c[m][v]);
  }
}

KERNELET_INLINE reg max4(reg c0, reg c1, reg c2, reg c3) {
  return running_max(running_max(running_max(c0, c1), c2), c3);
}

// The epilogue has two forms: in registers for whole tiles, and out of line, from sums in memory, for others and
// for what only linear layers have. Both do the same operations in the same order: bias, pool, `after`. The
// maximum may come first: rounding is monotone, so max(a) + b is max(a + b) to the bit (biases are packed without
// -0, so no zero changes sign).

KERNELET_NOINLINE void activate_in_place(const Unary& f, size_t n, float* x) { activate(f, n, x, x); }

// One row of a convolution's tile: sums [tile_width] of one channel -> `count` outputs.
[[maybe_unused]] KERNELET_COLD KERNELET_NOINLINE void finish_conv_row(const Epilogue& e, float bias,
                                                                      float* sums, float* dst, int count) {
  const reg b = F32::splat(bias), floor = floor_of(e.after);
  if (e.pool != Pool::none) {
    F32::store(sums, max4(F32::load(sums), F32::load(sums + lanes), F32::load(sums + 2 * lanes),
                          F32::load(sums + 3 * lanes)));
  }
  for (int i = 0; i < count; i += lanes) {
    F32::store(sums + i, F32::max(floor, F32::add(F32::load(sums + i), b)));
  }
  for (int i = 0; i < count; ++i) dst[i] = sums[i];
}

// Products of a sum of k that are one chain.
KERNELET_INLINE int piece_of([[maybe_unused]] int k) {
#if defined(KERNELET_VNNI)
  return k;  // integers
#else
  return k > long_sum ? sum_piece : k;
#endif
}

// One row of a linear layer: sums [n] -> outputs [n]. `bias` may be the outputs: pieces before these sums.
[[maybe_unused]] KERNELET_NOINLINE void finish_linear_row(const Unary& f, const float* bias,
                                                          const float* sums, float* dst, int n) {
  const bool simple = is_simple(f);
  const reg floor = simple ? floor_of(f) : F32::zero();
  int i = 0;
  for (; i + lanes <= n; i += lanes) {
    const reg y = F32::add(F32::load(sums + i), F32::load(bias + i));
    F32::store(dst + i, simple ? F32::max(floor, y) : y);
  }
  if (i < n) {
    const reg y = F32::add(F32::load_first(sums + i, n - i), F32::load_first(bias + i, n - i));
    F32::store_first(dst + i, simple ? F32::max(floor, y) : y, n - i);
  }
  if (!simple) activate_in_place(f, static_cast<size_t>(n), dst);
}

// A packed [k][rows] (a row of the tile is a channel), bias per row.
struct ConvTile {
  template <int M>
  static void run(const TileArgs& t);
};

template <int M>
void ConvTile::run(const TileArgs& t) {
  const int rows = rows_of<tile_rows, M>(t.rows);
  reg c[M][tile_vectors];
  start_accumulators<M>(t, c);
  multiply_add<M, tile_vectors>(t.k, t.a, rows, t.b, c);
  if (!t.last) return store_accumulators<M>(rows, t.partial, c);
  const Epilogue& e = t.epilogue;
  const int whole = e.pool == Pool::none ? tile_width : lanes;
  if (t.count < whole) {
    alignas(64) float sums[M * tile_width];
    store_accumulators<M>(rows, sums, c);
    for (int m = 0; m < rows; ++m) {
      finish_conv_row(e, t.bias[m], sums + m * tile_width, t.dst + m * t.dst_row, t.count);
    }
    return;
  }
  const reg floor = floor_of(e.after);
  KERNELET_UNROLL
  for (int m = 0; m < M; ++m) {
    if (!is_there<tile_rows, M>(m, rows)) continue;
    const reg bias = F32::splat(t.bias[m]);
    float* dst = t.dst + m * t.dst_row;
    if (e.pool != Pool::none) {
      F32::store(dst, F32::max(floor, F32::add(max4(c[m][0], c[m][1], c[m][2], c[m][3]), bias)));
    } else {
      KERNELET_UNROLL
      for (int v = 0; v < tile_vectors; ++v) {
        F32::store(dst + v * lanes, F32::max(floor, F32::add(c[m][v], bias)));
      }
    }
  }
}

// A as it lies in memory, [rows][k] (a row of the tile is a row of the input), bias per column. All of a sum, or a piece.
struct LinearTile {
  template <int M>
  static void run(const TileArgs& t);
};

template <int M>
void LinearTile::run(const TileArgs& t) {
  const int rows = rows_of<tile_rows, M>(t.rows);
  reg c[M][tile_vectors];
  ptrdiff_t row[M];
  KERNELET_UNROLL
  for (int m = 0; m < M; ++m) {
    row[m] = row_at<tile_rows, M>(m, rows) * t.a_row;
    KERNELET_UNROLL
    for (int v = 0; v < tile_vectors; ++v) c[m][v] = F32::zero();
  }
  multiply_add<M, tile_vectors>(t.k, t.a, row, 1, t.b, c);
  alignas(64) float sums[M * tile_width];
  store_accumulators<M>(rows, sums, c);
  for (int m = 0; m < rows; ++m) {
    finish_linear_row(t.epilogue.after, t.bias + m * t.bias_row, sums + m * tile_width, t.dst + m * t.dst_row,
                      t.count);
  }
}

// Kernel::run<M> for `rows` of at most `Most`. Compared, not looked up: a table would be relocated at load time.
template <class Kernel, int Most>
KERNELET_INLINE auto kernel_of(int rows) {
  if constexpr (one_size) {
    return Kernel::template run<Most>;
  } else if constexpr (every_size<Most>) {
    if constexpr (Most == 6) {
      if (rows > 3) {
        return rows == 4   ? Kernel::template run<4>
               : rows == 5 ? Kernel::template run<5>
                           : Kernel::template run<6>;
      }
    }
    return rows == 1   ? Kernel::template run<1>
           : rows == 2 ? Kernel::template run<2>
                       : Kernel::template run<3>;
  } else {
    if constexpr (Most >= 8) {
      if (rows > 6) return Kernel::template run<8>;
    }
    if constexpr (Most >= 6) {
      if (rows > 4) return Kernel::template run<6>;
    }
    return rows > 2 ? Kernel::template run<4> : Kernel::template run<2>;
  }
}

#if !defined(KERNELET_VNNI)
// A linear layer or a matrix product of k of its inputs for a panel of outputs: a [rows][a_row] times the packed panel, and
// the bias or, where that is null, what is in dst, the pieces before.
[[maybe_unused]] KERNELET_COLD KERNELET_NOINLINE void multiply_rows(int rows, int k, const float* a,
                                                                    ptrdiff_t a_row, const float* panel,
                                                                    const float* bias, const Unary& after,
                                                                    float* dst, ptrdiff_t dst_row,
                                                                    int count) {
  TileArgs t;
  t.k = k;
  t.a_row = a_row;
  t.b = panel;
  t.dst_row = dst_row;
  t.count = count;
  t.bias_row = bias != nullptr ? 0 : dst_row;
  t.epilogue = Epilogue();
  t.epilogue.after = after;
  for (int row = 0; row < rows; row += tile_rows) {
    t.rows = rows - row < tile_rows ? rows - row : tile_rows;
    t.a = a + row * a_row;
    t.dst = dst + row * dst_row;
    t.bias = bias != nullptr ? bias : t.dst;
    kernel_of<LinearTile, tile_rows>(t.rows)(t);
  }
}
#endif

}  // namespace
}  // namespace KERNELET_ISA
}  // namespace kernelet
