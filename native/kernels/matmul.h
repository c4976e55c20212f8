// Products of two matrices of values: the GEMM tile where an image is alone, whose columns of b are packed as they are
// multiplied; in the batched layout an image in each lane, nothing packed. One accumulator from +0 in the order of `inner`
// and +0 added at the end, long sums in pieces, so that the bits are those of `linear` without a bias.
#pragma once

#include "kernels/conv/common.h"

namespace kernelet {
namespace KERNELET_ISA {
namespace {
namespace matmul {

// Zeros for a bias, a panel of b: what is packed of it at once is a piece.
KERNELET_COLD size_t scratch_size(const MatmulArgs& s) {
  return static_cast<size_t>(1 + piece_of(s.inner)) * tile_width;
}

// b [inner][columns] from a column on, `count` of them -> [inner][width]
KERNELET_COLD KERNELET_NOINLINE void pack_panel(const float* b, int inner, int columns, int count, int width,
                                                float* panel) {
  for (int k = 0; k < inner; ++k) {
    memcpy(panel, b + static_cast<size_t>(k) * columns, sizeof(float) * count);
    memset(panel + count, 0, sizeof(float) * (width - count));
    panel += width;
  }
}

// Columns that half a tile has room for, at the end of a product or all of them: worth it where tiles are large.
constexpr int few = 2, few_rows = F32::registers >= 32 ? 6 : 1;
KERNELET_NOINLINE void few_columns(const MatmulArgs& s, const float* a, const float* panel,
                                   const float* zeros, int count, float* dst) {
  for (int row = 0; row < s.rows; row += few_rows) {
    alignas(64) float sums[few_rows][few * lanes];
    ptrdiff_t at[few_rows];
    reg c[few_rows][few];
    KERNELET_UNROLL
    for (int m = 0; m < few_rows; ++m) {
      at[m] = static_cast<ptrdiff_t>(row + m < s.rows ? row + m : s.rows - 1) * s.inner;
      KERNELET_UNROLL
      for (int v = 0; v < few; ++v) c[m][v] = F32::zero();
    }
    multiply_add<few_rows, few>(s.inner, a, at, 1, panel, c);
    KERNELET_UNROLL
    for (int m = 0; m < few_rows; ++m) {
      KERNELET_UNROLL
      for (int v = 0; v < few; ++v) F32::store(sums[m] + v * lanes, c[m][v]);
    }
    for (int m = 0; m < few_rows && row + m < s.rows; ++m)
      finish_linear_row(Unary(), zeros, sums[m], dst + static_cast<size_t>(row + m) * s.columns, count);
  }
}

// a [rows][inner], b [inner][columns] -> dst [rows][columns]
KERNELET_COLD void planes(const MatmulArgs& s, const float* a, const float* b, float* dst, float* scratch) {
  const int piece = piece_of(s.inner);
  float* const panel = scratch + tile_width;
  memset(scratch, 0, sizeof(float) * tile_width);
  for (int column = 0; column < s.columns; column += tile_width) {
    const int count = s.columns - column < tile_width ? s.columns - column : tile_width;
    if (few_rows > 1 && count <= few * lanes && s.inner == piece) {
      pack_panel(b + column, s.inner, s.columns, count, few * lanes, panel);
      few_columns(s, a, panel, scratch, count, dst + column);
      continue;
    }
    for (int k = 0; k < s.inner; k += piece) {
      const int n = s.inner - k < piece ? s.inner - k : piece;
      pack_panel(b + static_cast<size_t>(k) * s.columns + column, n, s.columns, count, tile_width, panel);
      multiply_rows(s.rows, n, a + k, s.inner, panel, k == 0 ? scratch : nullptr, Unary(), dst + column,
                    s.columns, count);
    }
  }
}

// The same by strides, every float a register of images. Beyond the last row or column a tile computes that one again.
KERNELET_COLD void batched(const MatmulArgs& s, const float* a, const float* b, float* dst) {
  constexpr int M = one_size ? 1 : tile_rows < 4 ? tile_rows : 4, V = one_size ? 1 : 2;
  const int piece = piece_of(s.inner);
  int n = piece;
  for (int left = s.inner; left > 0; left -= piece, a += n * s.a_inner, b += n * s.b_inner) {
    const bool first = left == s.inner;
    n = left < piece ? left : piece;
    for (int row = 0; row < s.rows; row += M) {
      for (int column = 0; column < s.columns; column += V) {
        const float *as[M], *bs[V];
        for (int m = 0; m < M; ++m) as[m] = a + (row + m < s.rows ? row + m : s.rows - 1) * s.a_row;
        for (int v = 0; v < V; ++v)
          bs[v] = b + (column + v < s.columns ? column + v : s.columns - 1) * s.b_column;
        reg c[M][V];
        KERNELET_UNROLL
        for (int m = 0; m < M; ++m) {
          KERNELET_UNROLL
          for (int v = 0; v < V; ++v) c[m][v] = F32::zero();
        }
        for (int k = 0; k < n; ++k) {
          reg am[M];
          KERNELET_UNROLL
          for (int m = 0; m < M; ++m) am[m] = F32::load(as[m] + k * s.a_inner);
          KERNELET_UNROLL
          for (int v = 0; v < V; ++v) {
            const reg bv = F32::load(bs[v] + k * s.b_inner);
            KERNELET_UNROLL
            for (int m = 0; m < M; ++m) c[m][v] = F32::muladd(am[m], bv, c[m][v]);
          }
        }
        for (int m = 0; m < M && row + m < s.rows; ++m) {
          for (int v = 0; v < V && column + v < s.columns; ++v) {
            float* const to = dst + (static_cast<size_t>(row + m) * s.columns + column + v) * lanes;
            F32::store(to, F32::add(c[m][v], first ? F32::zero() : F32::load(to)));
          }
        }
      }
    }
  }
}

}  // namespace matmul
}  // namespace
}  // namespace KERNELET_ISA
}  // namespace kernelet
