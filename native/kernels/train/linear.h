// Linear layers backward. dX has the images in the lanes like everything else. dW = dY^T * X sums over images,
// so X is transposed into panels of the GEMM tile (k counts images and rows), and dY is broadcast from where
// it lies:
//
//   panels  [panel][k][tile_width]     4 registers of inputs
//   grad    [block][row][out][lanes]   M outputs, one image after another
#pragma once

#include "kernels/batched.h"

namespace kernelet {
namespace KERNELET_ISA {
namespace {
namespace train {

constexpr int dx_inputs = F32::registers >= 32 ? 16 : 8;

// tile: M inputs x 1 register of images; the weights of an output lie side by side.
template <int M>
void linear_dx_tile(const LinearArgs& s, const float* weight, const float* grad, float* dx) {
  reg c[M];
  KERNELET_UNROLL
  for (int m = 0; m < M; ++m) c[m] = F32::zero();
  int out = s.out;
  do {
    const reg y = F32::load(grad);
    KERNELET_UNROLL
    for (int m = 0; m < M; ++m) c[m] = F32::muladd(F32::splat(weight[m]), y, c[m]);
    weight += s.in;
    grad += lanes;
  } while (--out > 0);
  KERNELET_UNROLL
  for (int m = 0; m < M; ++m) F32::store(dx + m * lanes, c[m]);
}

// weight [out][in], grad [rows][out][lanes] -> dx [rows][in][lanes]
void linear_dx(const LinearArgs& s, const float* weight, const float* grad, float* dx) {
  for (int row = 0; row < s.rows; ++row) {
    int i = 0;
    for (; i + dx_inputs <= s.in; i += dx_inputs) {
      linear_dx_tile<dx_inputs>(s, weight + i, grad, dx + static_cast<size_t>(i) * lanes);
    }
    for (; i + 4 <= s.in; i += 4) linear_dx_tile<4>(s, weight + i, grad, dx + static_cast<size_t>(i) * lanes);
    for (; i < s.in; ++i) linear_dx_tile<1>(s, weight + i, grad, dx + static_cast<size_t>(i) * lanes);
    grad += static_cast<size_t>(s.out) * lanes;
    dx += static_cast<size_t>(s.in) * lanes;
  }
}

KERNELET_INLINE size_t panel_floats(const LinearGradArgs& s) {
  return static_cast<size_t>(s.images) * s.rows * tile_width;
}

size_t linear_panel_size(const LinearGradArgs& s) {
  return panel_floats(s) * ((s.in + tile_width - 1) / tile_width);
}

// src [rows][in][lanes] -> rows (first .. first + count) * rows of every panel; zeros past the last input
void linear_panels(const LinearGradArgs& s, int first, int count, const float* src, float* panels) {
  const size_t panel = panel_floats(s), image = static_cast<size_t>(s.rows) * tile_width;
  for (int row = 0; row < s.rows; ++row) {
    float* const to = panels + (static_cast<size_t>(first) * s.rows + row) * tile_width;
    for (int i = 0; i < s.in; i += lanes) {
      reg v[lanes];
      KERNELET_UNROLL
      for (int j = 0; j < lanes; ++j)
        v[j] = i + j < s.in ? F32::load(src + static_cast<size_t>(i + j) * lanes) : F32::zero();
      transpose(v);
      float* at = to + i / tile_width * panel + i % tile_width;
      KERNELET_UNROLL
      for (int j = 0; j < lanes; ++j) {
        if (j < count) F32::store(at + j * image, v[j]);
      }
    }
    for (int i = (s.in + lanes - 1) / lanes * lanes; i % tile_width != 0; i += lanes) {
      for (int j = 0; j < count; ++j)
        F32::store(to + i / tile_width * panel + i % tile_width + j * image, F32::zero());
    }
    src += static_cast<size_t>(s.in) * lanes;
  }
}

constexpr int linear_dw_rows = tile_rows < 4 ? tile_rows : 4;

struct LinearDw {
  template <int M>
  static void run(const LinearGradArgs& s, int outputs, const float* panel, const float* grad, float* dw,
                  int count);
};

// tile: M outputs x 4 registers of inputs, of which `count` floats are stored
template <int M>
void LinearDw::run(const LinearGradArgs& s, int outputs, const float* panel, const float* grad, float* dw,
                   int count) {
  outputs = rows_of<linear_dw_rows, M>(outputs);
  reg c[M][tile_vectors];
  KERNELET_UNROLL
  for (int m = 0; m < M; ++m) {
    KERNELET_UNROLL
    for (int v = 0; v < tile_vectors; ++v) c[m][v] = F32::zero();
  }
  const ptrdiff_t next_row = static_cast<ptrdiff_t>(s.out) * lanes, next_block = next_row * s.rows;
  for (int image = 0; image < s.images; ++image) {
    const float* a = grad + image / lanes * next_block + image % lanes;
    int rows = s.rows;
    do {
      reg am[M];
      KERNELET_UNROLL
      for (int m = 0; m < M; ++m) am[m] = F32::splat(a[row_at<linear_dw_rows, M>(m, outputs) * lanes]);
      KERNELET_UNROLL
      for (int v = 0; v < tile_vectors; ++v) {
        const reg b = F32::load(panel + v * lanes);
        KERNELET_UNROLL
        for (int m = 0; m < M; ++m) c[m][v] = F32::muladd(am[m], b, c[m][v]);
      }
      panel += tile_width;
      a += next_row;
    } while (--rows > 0);
  }
  KERNELET_UNROLL
  for (int m = 0; m < M; ++m) {
    float* const to = dw + row_at<linear_dw_rows, M>(m, outputs) * s.in;
    if (count == tile_width) {
      KERNELET_UNROLL
      for (int v = 0; v < tile_vectors; ++v) F32::store(to + v * lanes, c[m][v]);
    } else {
      alignas(64) float sums[tile_width];
      KERNELET_UNROLL
      for (int v = 0; v < tile_vectors; ++v) F32::store(sums + v * lanes, c[m][v]);
      for (int i = 0; i < count; ++i) to[i] = sums[i];
    }
  }
}

// Either may be null.
void linear_dw(const LinearGradArgs& s, int begin, int end, float* dw, float* db) {
  const RowParts cut(end - begin, linear_dw_rows);
  for (int i = 0; dw != nullptr && i < s.in; i += tile_width) {
    const float* panel = s.src + i / tile_width * panel_floats(s);
    const int count = s.in - i < tile_width ? s.in - i : tile_width;
    for (int part = 0; part < cut.parts; ++part) {
      const int from = begin + cut.begin(part);
      const int rows = begin + cut.begin(part + 1) - from;
      kernel_of<LinearDw, linear_dw_rows>(rows)(s, rows, panel, s.grad + static_cast<ptrdiff_t>(from) * lanes,
                                                dw + static_cast<ptrdiff_t>(from - begin) * s.in + i, count);
    }
  }
  if (db == nullptr) return;
  for (int o = begin; o < end; ++o) db[o - begin] = 0.0f;
  for (int image = 0; image < s.images; ++image) {
    for (int row = 0; row < s.rows; ++row) {
      const float* g =
          s.grad + ((image / lanes * static_cast<size_t>(s.rows) + row) * s.out) * lanes + image % lanes;
      for (int o = begin; o < end; ++o) db[o - begin] = db[o - begin] + g[static_cast<size_t>(o) * lanes];
    }
  }
}

// weight [rows][k] -> packed [k][rows], rows <= 8
void pack_rows(int rows, int k, const float* weight, float* packed) {
  int p = 0;
  // as many blocks of 8 columns as a square of the registers has
  constexpr int most = 8, blocks = lanes / most > 0 ? lanes / most : 1;
  for (; rows == most && lanes >= most && p + blocks * lanes <= k; p += blocks * lanes) {
    reg v[lanes];
    KERNELET_UNROLL
    for (int i = 0; i < lanes; ++i) {
      v[i] = F32::load(weight + static_cast<size_t>(i % most) * k + p + i / most * lanes);
    }
    transpose(v);
    KERNELET_UNROLL
    for (int i = 0; i < lanes; ++i) {
      if (blocks == 1) F32::store(packed + i * most, v[i]);
      else F32::store_halves(packed + i * most, packed + (lanes + i) * most, v[i]);
    }
    packed += blocks * lanes * most;
  }
  for (; p < k; ++p) {
    for (int row = 0; row < rows; ++row) *packed++ = weight[static_cast<size_t>(row) * k + p];
  }
}

}  // namespace train
}  // namespace
}  // namespace KERNELET_ISA
}  // namespace kernelet
