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
// Contract:
// 1. Each element of C is one chain of muladds in the order of p, starting from +0; nothing is summed
//    across lanes. Cutting k into blocks stores and reloads the chain (`partial`), which keeps its bits.
// 2. A is read one float at a time, B in whole vectors: B panels are padded to full width by the packer.
// 3. Only `count` columns of C are stored.
// 4. M * V accumulators + V of B + 1 of A fit the tier's registers (static_assert below).
#pragma once

#include "activation.h"

namespace kernelet {
namespace KERNELET_ISA {
namespace {

constexpr int tile_vectors = 4;  // = the four corners of a 2x2 pooling window, see im2col.h
constexpr int tile_width = tile_vectors * lanes;
constexpr int tile_rows = F32::registers >= 32 ? 6 : F32::registers == 16 ? 3 : 2;
static_assert(tile_rows * tile_vectors <= (F32::registers >= 32 ? 28 : 12),
              "more accumulators than GCC 12 keeps in registers");

template <int M, int V>
KERNELET_INLINE void multiply_add(int k, const float* a, ptrdiff_t a_row, ptrdiff_t a_col, const float* b,
                                  reg (&c)[M][V]) {
  for (int p = 0; p < k; ++p) {
    reg bv[V];
    KERNELET_UNROLL
    for (int v = 0; v < V; ++v) bv[v] = F32::load(b + v * lanes);
    KERNELET_UNROLL
    for (int m = 0; m < M; ++m) {
      const reg am = F32::splat(a[m * a_row]);
      KERNELET_UNROLL
      for (int v = 0; v < V; ++v) c[m][v] = F32::muladd(am, bv[v], c[m][v]);
    }
    a += a_col;
    b += V * lanes;
  }
}

struct TileArgs {
  int k;
  const float* a;
  ptrdiff_t a_row;  // linear only: distance between rows of A
  const float* b;
  float* partial;  // [M][tile_width] chains between blocks of k
  bool first, last;
  float* dst;
  ptrdiff_t dst_row;
  int count;  // columns of dst to store: up to tile_width, or up to lanes when pooled
  const float* bias;
  Epilogue epilogue;
};

template <int M>
KERNELET_INLINE void start_chains(const TileArgs& t, reg (&c)[M][tile_vectors]) {
  KERNELET_UNROLL
  for (int m = 0; m < M; ++m) {
    KERNELET_UNROLL
    for (int v = 0; v < tile_vectors; ++v) {
      c[m][v] = t.first ? F32::zero() : F32::load(t.partial + m * tile_width + v * lanes);
    }
  }
}

template <int M>
KERNELET_INLINE void keep_chains(const TileArgs& t, const reg (&c)[M][tile_vectors]) {
  KERNELET_UNROLL
  for (int m = 0; m < M; ++m) {
    KERNELET_UNROLL
    for (int v = 0; v < tile_vectors; ++v) F32::store(t.partial + m * tile_width + v * lanes, c[m][v]);
  }
}

KERNELET_INLINE void store_row(float* dst, const reg (&c)[tile_vectors], int count) {
  if (count == tile_width) {
    KERNELET_UNROLL
    for (int v = 0; v < tile_vectors; ++v) F32::store(dst + v * lanes, c[v]);
    return;
  }
  for (int v = 0; v < tile_vectors; ++v) {
    const int n = count - v * lanes;
    if (n <= 0) break;
    F32::store_first(dst + v * lanes, c[v], n < lanes ? n : lanes);
  }
}

// PyTorch sums a window row by row from +0, then divides.
KERNELET_INLINE reg average4(const reg (&c)[tile_vectors]) {
  reg sum = F32::add(F32::zero(), c[0]);
  sum = F32::add(F32::add(F32::add(sum, c[1]), c[2]), c[3]);
  return F32::mul(sum, F32::splat(0.25f));
}

KERNELET_INLINE reg max4(const reg (&c)[tile_vectors]) {
  return running_max(running_max(running_max(c[0], c[1]), c[2]), c[3]);
}

// Bias, activation and pool of one row of the tile. With a max-pool the planner moves a ReLU behind it:
// both are monotone, so max, bias and ReLU once a window give the bits of four biases and ReLUs.
KERNELET_INLINE void finish_conv_row(const TileArgs& t, int m, reg (&c)[tile_vectors]) {
  const reg bias = F32::splat(t.bias[m]);
  float* dst = t.dst + m * t.dst_row;
  const Epilogue& e = t.epilogue;
  if (e.pool == Pool::none) {
    KERNELET_UNROLL
    for (int v = 0; v < tile_vectors; ++v) c[v] = finish(e.after, F32::add(c[v], bias));
    store_row(dst, c, t.count);
    return;
  }
  reg y;
  if (e.pool == Pool::max && e.before == Activation::none) {
    y = F32::add(max4(c), bias);
  } else {
    KERNELET_UNROLL
    for (int v = 0; v < tile_vectors; ++v) c[v] = finish(e.before, F32::add(c[v], bias));
    y = e.pool == Pool::max ? max4(c) : average4(c);
  }
  y = finish(e.after, y);
  if (t.count == lanes) {
    F32::store(dst, y);
  } else {
    F32::store_first(dst, y, t.count);
  }
}

// A packed [k][M] (a row of the tile is a channel), bias per row.
template <int M>
void conv_tile(const TileArgs& t) {
  reg c[M][tile_vectors];
  start_chains<M>(t, c);
  multiply_add<M, tile_vectors>(t.k, t.a, 1, M, t.b, c);
  if (!t.last) return keep_chains<M>(t, c);
  KERNELET_UNROLL
  for (int m = 0; m < M; ++m) finish_conv_row(t, m, c[m]);
}

// A as it lies in memory, [M][k] (a row of the tile is a row of the input), bias per column.
template <int M>
void linear_tile(const TileArgs& t) {
  reg c[M][tile_vectors];
  start_chains<M>(t, c);
  multiply_add<M, tile_vectors>(t.k, t.a, t.a_row, 1, t.b, c);
  if (!t.last) return keep_chains<M>(t, c);
  KERNELET_UNROLL
  for (int m = 0; m < M; ++m) {
    KERNELET_UNROLL
    for (int v = 0; v < tile_vectors; ++v) {
      c[m][v] = finish(t.epilogue.after, F32::add(c[m][v], F32::load(t.bias + v * lanes)));
    }
    store_row(t.dst + m * t.dst_row, c[m], t.count);
  }
}

using Tile = void (*)(const TileArgs&);

KERNELET_INLINE Tile conv_tile_of(int rows) {
  static const Tile tiles[] = {conv_tile<1>, conv_tile<2>,
#if defined(KERNELET_ISA_SCALAR) || defined(KERNELET_ISA_SSE) || defined(KERNELET_ISA_AVX2)
                               conv_tile<3>};
#else
                               conv_tile<3>, conv_tile<4>, conv_tile<5>, conv_tile<6>};
#endif
  static_assert(sizeof tiles / sizeof *tiles == tile_rows, "a tile for every number of rows");
  return tiles[rows - 1];
}

KERNELET_INLINE Tile linear_tile_of(int rows) {
  static const Tile tiles[] = {linear_tile<1>, linear_tile<2>,
#if defined(KERNELET_ISA_SCALAR) || defined(KERNELET_ISA_SSE) || defined(KERNELET_ISA_AVX2)
                               linear_tile<3>};
#else
                               linear_tile<3>, linear_tile<4>, linear_tile<5>, linear_tile<6>};
#endif
  static_assert(sizeof tiles / sizeof *tiles == tile_rows, "a tile for every number of rows");
  return tiles[rows - 1];
}

// M rows cut into the fewest panels of at most tile_rows, as even as can be: 16 -> 3 3 3 3 2 2.
KERNELET_INLINE int panels_of(int m) { return (m + tile_rows - 1) / tile_rows; }
KERNELET_INLINE int panel_begin(int m, int panel) {
  const int panels = panels_of(m), base = m / panels, longer = m % panels;
  return panel * base + (panel < longer ? panel : longer);
}

}  // namespace
}  // namespace KERNELET_ISA
}  // namespace kernelet
