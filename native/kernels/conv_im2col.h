// conv2d by im2col and packed GEMM, for every shape: M = output channels of a group, N = output pixels,
// K = taps (ic, kh, kw). src [ic][ih][iw], weights [oc][ic / groups][kh][kw], dst [oc][ph][pw].
#pragma once

#include "im2col.h"

namespace kernelet {
namespace KERNELET_ISA {
namespace {
namespace conv_im2col {

// Taps in one block: a panel of B stays in the first-level cache while the rows of A go by.
constexpr int k_block = 192;

bool fits(const ConvArgs&) { return true; }

size_t weights_size(const ConvArgs& s) { return static_cast<size_t>(s.oc) * conv_k(s); }

void pack(const ConvArgs& s, const float* weight, float* packed) {
  pack_groups(s, tile_rows, weight, packed);
}

// [padded input][panel of B][chains between blocks of K]
size_t scratch_size(const ConvArgs& s) {
  const int k = conv_k(s);
  const size_t panel = static_cast<size_t>(k < k_block ? k : k_block) * tile_width;
  const size_t chains = k > k_block ? static_cast<size_t>(conv_m(s)) * tile_width : 0;
  return padded_size(s) + panel + chains;
}

void run(const ConvArgs& s, const float* src, float* dst, float* scratch) {
  const int m = conv_m(s), k = conv_k(s);
  const int parts = parts_of(m, tile_rows);
  const Plane plane = padded_plane(s);
  if (is_padded(s, plane)) {
    pad(s, plane, src, scratch);
    src = scratch;
    scratch += padded_size(s);
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
        for (int part = 0; part < parts; ++part) {
          const int begin = part_begin(m, parts, part), rows = part_begin(m, parts, part + 1) - begin;
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

}  // namespace conv_im2col
}  // namespace
}  // namespace KERNELET_ISA
}  // namespace kernelet
