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

template <int M, int V>
KERNELET_INLINE void multiply_add(int k, const float* a, ptrdiff_t a_row, ptrdiff_t a_col, const float* b,
                                  reg (&c)[M][V]) {
  do {  // k >= 1: told so, clang keeps the accumulators in registers around the loop
    reg am[M];
    KERNELET_UNROLL
    for (int m = 0; m < M; ++m) am[m] = F32::splat(a[m * a_row]);
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
KERNELET_INLINE void keep_chains(float* sums, const reg (&c)[M][tile_vectors]) {
  KERNELET_UNROLL
  for (int m = 0; m < M; ++m) {
    KERNELET_UNROLL
    for (int v = 0; v < tile_vectors; ++v) F32::store(sums + m * tile_width + v * lanes, c[m][v]);
  }
}

// PyTorch sums a window row by row from +0, then divides.
KERNELET_INLINE reg average4(reg c0, reg c1, reg c2, reg c3) {
  const reg sum = F32::add(F32::add(F32::add(F32::add(F32::zero(), c0), c1), c2), c3);
  return F32::mul(sum, F32::splat(0.25f));
}

KERNELET_INLINE reg max4(reg c0, reg c1, reg c2, reg c3) {
  return running_max(running_max(running_max(c0, c1), c2), c3);
}

// Every epilogue has two forms: in registers for what is common (nothing or ReLU, no pool or a maximum, a
// whole tile), and out of line, from sums in memory, for everything. Both do the same operations in the
// same order: bias, `before`, pool, `after`. The maximum may come first in the register form: rounding is
// monotone, so max(a) + b is max(a + b) to the bit (biases are packed without -0, so no zero changes sign).

KERNELET_NOINLINE void activate_in_place(const Unary& f, size_t n, float* x) { activate(f, n, x, x); }

// One register of sums and its biases -> activated, in place.
KERNELET_INLINE void add_bias(float* sums, reg bias) { F32::store(sums, F32::add(F32::load(sums), bias)); }

// sums [4][lanes], the corners of `lanes` windows, bias added -> pooled and finished, in sums[0].
KERNELET_COLD KERNELET_NOINLINE void pool_corners(const Epilogue& e, float* sums) {
  activate_in_place(e.before, static_cast<size_t>(tile_width), sums);
  const reg c0 = F32::load(sums), c1 = F32::load(sums + lanes);
  const reg c2 = F32::load(sums + 2 * lanes), c3 = F32::load(sums + 3 * lanes);
  F32::store(sums, e.pool == Pool::max ? max4(c0, c1, c2, c3) : average4(c0, c1, c2, c3));
  activate_in_place(e.after, static_cast<size_t>(lanes), sums);
}

// One row of a convolution's tile: sums [tile_width] of one channel -> `count` outputs.
KERNELET_COLD KERNELET_NOINLINE void finish_conv_row(const Epilogue& e, float bias, float* sums, float* dst,
                                                     int count) {
  for (int v = 0; v < tile_vectors; ++v) add_bias(sums + v * lanes, F32::splat(bias));
  if (e.pool != Pool::none) {
    pool_corners(e, sums);
  } else {
    activate_in_place(e.after, static_cast<size_t>(count), sums);
  }
  for (int i = 0; i < count; ++i) dst[i] = sums[i];
}

// One row of a linear layer: sums [n] -> outputs [n].
KERNELET_NOINLINE void finish_linear_row(const Unary& f, const float* bias, const float* sums, float* dst,
                                         int n) {
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

KERNELET_INLINE bool is_simple(const Epilogue& e) {
  return e.pool == Pool::max ? e.before.f == Activation::none && is_simple(e.after)
                             : e.pool == Pool::none && is_simple(e.after);
}

// A packed [k][M] (a row of the tile is a channel), bias per row.
template <int M>
void conv_tile(const TileArgs& t) {
  reg c[M][tile_vectors];
  start_chains<M>(t, c);
  multiply_add<M, tile_vectors>(t.k, t.a, 1, M, t.b, c);
  if (!t.last) return keep_chains<M>(t.partial, c);
  const Epilogue& e = t.epilogue;
  const int whole = e.pool == Pool::none ? tile_width : lanes;
  if (t.count < whole || !is_simple(e)) {
    alignas(64) float sums[M * tile_width];
    keep_chains<M>(sums, c);
    for (int m = 0; m < M; ++m) {
      finish_conv_row(e, t.bias[m], sums + m * tile_width, t.dst + m * t.dst_row, t.count);
    }
    return;
  }
  const reg floor = floor_of(e.after);
  KERNELET_UNROLL
  for (int m = 0; m < M; ++m) {
    const reg bias = F32::splat(t.bias[m]);
    float* dst = t.dst + m * t.dst_row;
    if (e.pool == Pool::max) {
      F32::store(dst, F32::max(floor, F32::add(max4(c[m][0], c[m][1], c[m][2], c[m][3]), bias)));
    } else {
      KERNELET_UNROLL
      for (int v = 0; v < tile_vectors; ++v) {
        F32::store(dst + v * lanes, F32::max(floor, F32::add(c[m][v], bias)));
      }
    }
  }
}

// A as it lies in memory, [M][k] (a row of the tile is a row of the input), bias per column.
template <int M>
void linear_tile(const TileArgs& t) {
  reg c[M][tile_vectors];
  start_chains<M>(t, c);
  multiply_add<M, tile_vectors>(t.k, t.a, t.a_row, 1, t.b, c);
  alignas(64) float sums[M * tile_width];
  keep_chains<M>(sums, c);
  for (int m = 0; m < M; ++m) {
    finish_linear_row(t.epilogue.after, t.bias, sums + m * tile_width, t.dst + m * t.dst_row, t.count);
  }
}

using Tile = void (*)(const TileArgs&);

KERNELET_INLINE Tile conv_tile_of(int rows) {
  static const Tile tiles[] = {
    conv_tile<1>,
    conv_tile<2>,
#if defined(KERNELET_ISA_SCALAR) || defined(KERNELET_ISA_SSE) || defined(KERNELET_ISA_AVX2)
    conv_tile<3>
  };
#else
    conv_tile<3>,
    conv_tile<4>,
    conv_tile<5>,
    conv_tile<6>
  };
#endif
  static_assert(sizeof tiles / sizeof *tiles == tile_rows, "a tile for every number of rows");
  return tiles[rows - 1];
}

KERNELET_INLINE Tile linear_tile_of(int rows) {
  static const Tile tiles[] = {
    linear_tile<1>,
    linear_tile<2>,
#if defined(KERNELET_ISA_SCALAR) || defined(KERNELET_ISA_SSE) || defined(KERNELET_ISA_AVX2)
    linear_tile<3>
  };
#else
    linear_tile<3>,
    linear_tile<4>,
    linear_tile<5>,
    linear_tile<6>
  };
#endif
  static_assert(sizeof tiles / sizeof *tiles == tile_rows, "a tile for every number of rows");
  return tiles[rows - 1];
}

}  // namespace
}  // namespace KERNELET_ISA
}  // namespace kernelet
