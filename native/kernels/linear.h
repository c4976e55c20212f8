// linear: dst [rows][out] = src [rows][in] * weight^T + bias. Weights lie in panels of tile_width outputs,
// k-major, so that lanes are outputs and x[k] is broadcast:
//
//   packed [panel][in][tile_width]
#pragma once

#include "gemm.h"

namespace kernelet {
namespace KERNELET_ISA {
namespace {

KERNELET_INLINE int linear_panels(const LinearArgs& s) { return (s.out + tile_width - 1) / tile_width; }

size_t linear_weights_size(const LinearArgs& s) {
  return static_cast<size_t>(linear_panels(s)) * tile_width * s.in;
}

size_t linear_bias_size(const LinearArgs& s) { return static_cast<size_t>(linear_panels(s)) * tile_width; }

void linear_pack(const LinearArgs& s, const float* weight, float* packed) {
  for (int panel = 0; panel < linear_panels(s); ++panel) {
    for (int k = 0; k < s.in; ++k) {
      for (int j = 0; j < tile_width; ++j) {
        const int o = panel * tile_width + j;
        *packed++ = o < s.out ? weight[static_cast<size_t>(o) * s.in + k] : 0.0f;
      }
    }
  }
}

// One row against P panels side by side: enough independent chains to hide the latency of an FMA.
template <int P>
void linear_row(const LinearArgs& s, int first_panel, const float* x, float* dst) {
  const size_t panel_size = static_cast<size_t>(s.in) * tile_width;
  const float* w = s.weights + first_panel * panel_size;
  reg c[P][tile_vectors];
  KERNELET_UNROLL
  for (int q = 0; q < P; ++q) {
    KERNELET_UNROLL
    for (int v = 0; v < tile_vectors; ++v) c[q][v] = F32::zero();
  }
  for (int k = 0; k < s.in; ++k) {
    const reg xk = F32::splat(x[k]);
    KERNELET_UNROLL
    for (int q = 0; q < P; ++q) {
      KERNELET_UNROLL
      for (int v = 0; v < tile_vectors; ++v) {
        c[q][v] = F32::muladd(xk, F32::load(w + q * panel_size + v * lanes), c[q][v]);
      }
    }
    w += tile_width;
  }
  KERNELET_UNROLL
  for (int q = 0; q < P; ++q) {
    const int o = (first_panel + q) * tile_width;
    KERNELET_UNROLL
    for (int v = 0; v < tile_vectors; ++v) {
      c[q][v] = finish(s.activation, F32::add(c[q][v], F32::load(s.bias + o + v * lanes)));
    }
    store_row(dst + o, c[q], s.out - o < tile_width ? s.out - o : tile_width);
  }
}

void linear_one(const LinearArgs& s, const float* x, float* dst) {
  constexpr int most = tile_rows * tile_vectors >= 24 ? 6 : 3;
  const int panels = linear_panels(s);
  for (int q = 0; q < panels;) {
    const int left = panels - q;
    const int now = left < most ? left : most;
    switch (now) {
      case 1: linear_row<1>(s, q, x, dst); break;
      case 2: linear_row<2>(s, q, x, dst); break;
      case 3: linear_row<3>(s, q, x, dst); break;
      default:
        if constexpr (most == 6) {
          if (now == 4) linear_row<4>(s, q, x, dst);
          if (now == 5) linear_row<5>(s, q, x, dst);
          if (now == 6) linear_row<6>(s, q, x, dst);
        }
    }
    q += now;
  }
}

void linear(const LinearArgs& s, const float* src, float* dst) {
  if (s.rows == 1) return linear_one(s, src, dst);
  for (int panel = 0; panel < linear_panels(s); ++panel) {
    const int o = panel * tile_width;
    for (int row = 0; row < s.rows; row += tile_rows) {
      const int rows = s.rows - row < tile_rows ? s.rows - row : tile_rows;
      TileArgs t;
      t.k = s.in;
      t.a = src + static_cast<size_t>(row) * s.in;
      t.a_row = s.in;
      t.b = s.weights + static_cast<size_t>(o) * s.in;
      t.partial = nullptr;
      t.first = t.last = true;
      t.dst = dst + static_cast<size_t>(row) * s.out + o;
      t.dst_row = s.out;
      t.count = s.out - o < tile_width ? s.out - o : tile_width;
      t.bias = s.bias + o;
      t.epilogue = {Activation::none, Pool::none, s.activation};
      linear_tile_of(rows)(t);
    }
  }
}

}  // namespace
}  // namespace KERNELET_ISA
}  // namespace kernelet
