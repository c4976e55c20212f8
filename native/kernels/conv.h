// conv2d by im2col and packed GEMM, for every shape: M = output channels of a group, N = output pixels,
// K = taps (ic, kh, kw). src [ic][ih][iw], weights [oc][ic / groups][kh][kw], dst [oc][ph][pw].
#pragma once

#include "im2col.h"

namespace kernelet {
namespace KERNELET_ISA {
namespace {

// Taps in one block: a panel of B stays in the first-level cache while the rows of A go by.
constexpr int k_block = 192;

KERNELET_INLINE int conv_k(const ConvArgs& s) { return s.ic / s.groups * s.kh * s.kw; }
KERNELET_INLINE int conv_m(const ConvArgs& s) { return s.oc / s.groups; }

size_t conv_weights_size(const ConvArgs& s) { return static_cast<size_t>(s.oc) * conv_k(s); }

// Per group, per panel of rows: [K][rows of the panel].
void conv_pack(const ConvArgs& s, const float* weight, float* packed) {
  const int m = conv_m(s), k = conv_k(s);
  for (int g = 0; g < s.groups; ++g) {
    for (int panel = 0; panel < panels_of(m); ++panel) {
      const int begin = panel_begin(m, panel), end = panel_begin(m, panel + 1);
      for (int p = 0; p < k; ++p) {
        for (int row = begin; row < end; ++row) {
          *packed++ = weight[(static_cast<size_t>(g) * m + row) * k + p];
        }
      }
    }
  }
}

// [padded input][panel of B][chains between blocks of K]
size_t conv_padded_size(const ConvArgs& s) {
  const Plane plane = padded_plane(s);
  return is_padded(s, plane) ? static_cast<size_t>(s.ic) * plane.h * plane.w : 0;
}

size_t conv_scratch_size(const ConvArgs& s) {
  const int k = conv_k(s);
  const size_t panel = static_cast<size_t>(k < k_block ? k : k_block) * tile_width;
  const size_t chains = k > k_block ? static_cast<size_t>(conv_m(s)) * tile_width : 0;
  const size_t vectors = 16;  // keeps the parts 64-byte aligned
  return (conv_padded_size(s) + vectors - 1) / vectors * vectors + panel + chains;
}

void conv(const ConvArgs& s, const float* src, float* dst, float* scratch) {
  const int m = conv_m(s), k = conv_k(s);
  const int panels = panels_of(m);
  const Plane plane = padded_plane(s);
  if (is_padded(s, plane)) {
    pad(s, plane, src, scratch);
    src = scratch;
    scratch += (conv_padded_size(s) + 15) / 16 * 16;
  }
  float* const b = scratch;
  float* const chains = b + static_cast<size_t>(k < k_block ? k : k_block) * tile_width;
  const int pixels = s.ph * s.pw;
  const int step = s.epilogue.pool == Pool::none ? tile_width : lanes;

  for (int g = 0; g < s.groups; ++g) {
    const float* group_src = src + static_cast<size_t>(g) * (s.ic / s.groups) * plane.h * plane.w;
    const float* group_weights = s.weights + static_cast<size_t>(g) * m * k;
    for (int p = 0; p < pixels; p += step) {
      Columns columns;
      locate_columns(s, plane, p, pixels, columns);
      for (int k0 = 0; k0 < k; k0 += k_block) {
        const int k1 = k0 + k_block < k ? k0 + k_block : k;
        im2col_panel(s, plane, group_src, columns, k0, k1, b);
        for (int panel = 0; panel < panels; ++panel) {
          const int begin = panel_begin(m, panel), rows = panel_begin(m, panel + 1) - begin;
          const int channel = g * m + begin;
          TileArgs t;
          t.k = k1 - k0;
          t.a = group_weights + static_cast<size_t>(begin) * k + static_cast<size_t>(k0) * rows;
          t.a_row = 1;
          t.b = b;
          t.partial = chains + static_cast<size_t>(begin) * tile_width;
          t.first = k0 == 0;
          t.last = k1 == k;
          t.dst = dst + static_cast<size_t>(channel) * pixels + p;
          t.dst_row = pixels;
          t.count = pixels - p < step ? pixels - p : step;
          t.bias = s.bias + channel;
          t.epilogue = s.epilogue;
          conv_tile_of(rows)(t);
        }
      }
    }
  }
}

}  // namespace
}  // namespace KERNELET_ISA
}  // namespace kernelet
