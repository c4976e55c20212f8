// conv2d by im2col and packed GEMM, for every shape: M = output channels of a group, N = output pixels,
// K = taps (ic, kh, kw). src [ic][ih][iw], weights [oc][ic / groups][kh][kw], dst [oc][ph][pw].
#pragma once

#include "columns.h"

namespace kernelet {
namespace KERNELET_ISA {
namespace {
namespace conv_im2col {

// Taps in one block: a panel of B stays in the first-level cache while the rows of A go by.
constexpr int k_block = 192;
// Panels packed one after another: neighbours in a row of the input are read as one stream, tap by tap, and
// together they stay in the second-level cache.
constexpr int panels_at_once = 4;

KERNELET_COLD bool fits(const ConvArgs&) { return true; }

KERNELET_COLD size_t weights_size(const ConvArgs& s) { return packed_size<tile_rows>(s); }

void pack(const ConvArgs& s, const float* weight, float* packed) {
  pack_with_slack<tile_rows>(s, weight, packed);
}

KERNELET_INLINE int block_of(int k) { return k < k_block ? k : k_block; }

// [padded input][panels of B][accumulators between blocks of K, panel by panel]
KERNELET_COLD size_t scratch_size(const ConvArgs& s) {
  const int k = conv_k(s);
  const size_t panel = static_cast<size_t>(block_of(k)) * tile_width;
  const size_t partial = k > k_block ? static_cast<size_t>(conv_m(s)) * tile_width : 0;
  return padded_size(s) + panels_at_once * (panel + partial);
}

void run(const ConvArgs& s, const float* src, float* dst, float* scratch) {
  const int m = conv_m(s), k = conv_k(s), all = packed_k(s), from = packed_from(s);
  const RowParts cut(m, tile_rows);
  const Plane plane = padded_plane(s);
  if (is_padded(s, plane)) {
    pad(s, plane, src, scratch);
    src = scratch;
    scratch += padded_size(s);
  }
  const size_t panel_size = static_cast<size_t>(block_of(k)) * tile_width;
  const size_t partial_size = static_cast<size_t>(m) * tile_width;
  float* const b = scratch;
  float* const partial = b + panels_at_once * panel_size;
  const int pixels = s.ph * s.pw;
  const int step = s.epilogue.pool == Pool::none ? tile_width : lanes;

  for (int g = 0; g < s.groups; ++g) {
    const float* group_src = src + static_cast<size_t>(g) * (s.ic / s.groups) * plane.h * plane.w;
    const float* group_weights = s.weights + static_cast<size_t>(g) * m * all;
    for (int first = 0; first < pixels; first += panels_at_once * step) {
      const int left = (pixels - first + step - 1) / step;
      const int panels = left < panels_at_once ? left : panels_at_once;
      Columns columns[panels_at_once];
      for (int i = 0; i < panels; ++i) locate_columns(s, plane, first + i * step, pixels, columns[i]);
      for (int k0 = 0; k0 < k; k0 += k_block) {
        const int k1 = k0 + k_block < k ? k0 + k_block : k;
        im2col_panels(s, plane, group_src, columns, panels, k0, k1, b, panel_size);
        // a part of A, read once, passes by all the panels
        for (int part = 0; part < cut.parts; ++part) {
          const int begin = cut.begin(part);
          const int rows = cut.begin(part + 1) - begin;
          for (int i = 0; i < panels; ++i) {
            const int p = first + i * step;
            const int channel = g * m + begin;
            TileArgs t;
            t.rows = rows;
            t.k = k1 - k0;
            t.a = group_weights + static_cast<size_t>(begin) * all + static_cast<size_t>(from + k0) * rows;
            t.a_row = 1;
            t.b = b + i * panel_size;
            t.partial = partial + i * partial_size + static_cast<size_t>(begin) * tile_width;
            t.first = k0 == 0;
            t.last = k1 == k;
            t.dst = dst + static_cast<size_t>(channel) * pixels + p;
            t.dst_row = pixels;
            t.count = pixels - p < step ? pixels - p : step;
            t.bias = s.bias + channel;
            t.epilogue = s.epilogue;
            kernel_of<ConvTile, tile_rows>(rows)(t);
          }
        }
      }
    }
  }
}

}  // namespace conv_im2col
}  // namespace
}  // namespace KERNELET_ISA
}  // namespace kernelet
