// What the convolution algorithms share: the zero-padded plane and panels of channels.
#pragma once

#include "kernels/gemm.h"

namespace kernelet {
namespace KERNELET_ISA {
namespace {

// Channels of a group, in and out. A small layer feels a division that it does without.
KERNELET_INLINE int group_ic(const ConvArgs& s) { return s.groups == 1 ? s.ic : s.ic / s.groups; }
KERNELET_INLINE int conv_m(const ConvArgs& s) { return s.groups == 1 ? s.oc : s.oc / s.groups; }
// Taps of one output: the products it accumulates.
KERNELET_INLINE int conv_k(const ConvArgs& s) { return group_ic(s) * s.kh * s.kw; }
// Of the packed weights, and where those begin that are used (`whole_ic` in table.h).
#if defined(KERNELET_VNNI)  // sums of integers are never in pieces
KERNELET_INLINE int packed_k(const ConvArgs& s) { return conv_k(s); }
KERNELET_INLINE int packed_from(const ConvArgs&) { return 0; }
#else
KERNELET_INLINE int packed_k(const ConvArgs& s) {
  return s.whole_ic > 0 ? s.whole_ic * s.kh * s.kw : conv_k(s);
}
KERNELET_INLINE int packed_from(const ConvArgs& s) { return s.from_ic * s.kh * s.kw; }
#endif

// Whether no sum is NaN, so that a plain maximum of them will do: it keeps a NaN as its second operand alone.
KERNELET_INLINE bool without_nan([[maybe_unused]] const ConvArgs& s) {
#if defined(KERNELET_VNNI)
  return true;  // integers
#else
  return s.no_nan;
#endif
}

// The plane that windows slide over: the input itself, or its zero-padded copy.
struct Plane {
  int h, w;
};

KERNELET_INLINE bool is_padded(const ConvArgs& s, Plane plane) { return plane.h != s.ih || plane.w != s.iw; }

KERNELET_INLINE Plane padded_plane(const ConvArgs& s) {
  const int reach_h = (s.oh - 1) * s.sh + (s.kh - 1) * s.dh + 1;
  const int reach_w = (s.ow - 1) * s.sw + (s.kw - 1) * s.dw + 1;
  const Plane plane = {s.pt + s.ih > reach_h ? s.pt + s.ih : reach_h,
                       s.pl + s.iw > reach_w ? s.pl + s.iw : reach_w};
  return plane;
}

// Floats of the padded copy, rounded up to whole cache lines; 0 where the input serves as it is.
KERNELET_INLINE size_t padded_size(const ConvArgs& s) {
  const Plane plane = padded_plane(s);
  if (!is_padded(s, plane)) return 0;
  return (static_cast<size_t>(s.ic) * plane.h * plane.w + 15) / 16 * 16;
}

// In line: a call would cost more than a row of a small plane.
KERNELET_INLINE void copy_row(const float* from, size_t n, float* to) {
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) F32::store(to + i, F32::load(from + i));
  for (; i < n; ++i) to[i] = from[i];
}

// src [ic][ih][iw] -> dst [ic][plane.h][plane.w], zeros around; a pixel is `width` floats. Without `clear` what
// lies around is zero already, from the group before.
inline void pad(const ConvArgs& s, Plane plane, const float* src, float* dst, int width = 1,
                bool clear = true) {
  const size_t row = static_cast<size_t>(s.iw) * width, padded_row = static_cast<size_t>(plane.w) * width;
  if (clear) memset(dst, s.zero, sizeof(float) * s.ic * plane.h * padded_row);
  for (int c = 0; c < s.ic; ++c) {
    float* to =
        dst + (static_cast<size_t>(c) * plane.h + s.pt) * padded_row + static_cast<size_t>(s.pl) * width;
    for (int y = 0; y < s.ih; ++y) {
      copy_row(src, row, to);
      to += padded_row;
      src += row;
    }
  }
}

// n things cut into the fewest parts of at most `most`, as even as can be: 16 by 6 -> 6 5 5.
KERNELET_INLINE int parts_of(int n, int most) { return (n + most - 1) / most; }
KERNELET_INLINE int part_begin(int n, int parts, int part) {
  const int base = n / parts, longer = n % parts;
  return part * base + (part < longer ? part : longer);
}
// The same for the rows of tiles, in pairs where these come for even numbers of rows: 16 by 6 -> 6 6 4.
struct RowParts {
  int n, parts, unit, base, longer;
  KERNELET_INLINE RowParts(int rows, int most) : n(rows), parts(parts_of(rows, most)) {
    unit = most % 2 == 0 && !has_every_size(most) ? 2 : 1;
    const int units = (n + unit - 1) / unit;
    base = parts > 0 ? units / parts : 0;
    longer = units - base * parts;
  }
  KERNELET_INLINE int begin(int part) const {
    const int row = (part * base + (part < longer ? part : longer)) * unit;
    return row < n ? row : n;
  }
  // of the part that begins here: `begin` without the multiplication
  KERNELET_INLINE int rows(int part, int row) const {
    const int all = part < longer ? base * unit + unit : base * unit;
    return row + all <= n ? all : n - row;
  }
};

// weight [rows][k] -> packed [k][wide], zeros for the rows that are not there. Some columns at a time, so that a cache line
// of each row is read once; whole registers of rows and columns are turned as such.
KERNELET_COLD inline void pack_transposed(int rows, int wide, int k, const float* weight, float* packed) {
  constexpr int columns = 16;
  for (int begin = 0; begin < k; begin += columns) {
    const int end = begin + columns < k ? begin + columns : k;
    int turned = 0;
#if !defined(KERNELET_VNNI)
    if constexpr (!one_size) {
      for (; end - begin == columns && turned + lanes <= rows; turned += lanes) {
        for (int i = begin; i < end; i += lanes) {
          reg block[lanes];
          KERNELET_UNROLL
          for (int j = 0; j < lanes; ++j)
            block[j] = F32::load(weight + static_cast<size_t>(turned + j) * k + i);
          transpose(block);
          KERNELET_UNROLL
          for (int j = 0; j < lanes; ++j)
            F32::store(packed + static_cast<size_t>(i + j) * wide + turned, block[j]);
        }
      }
    }
#endif
    for (int row = turned; row < wide; ++row) {
      for (int i = begin; i < end; ++i)
        packed[static_cast<size_t>(i) * wide + row] =
            row < rows ? weight[static_cast<size_t>(row) * k + i] : 0.0f;
    }
  }
}

// Rows of [n][k] weights in parts: [part][k][rows of the part].
KERNELET_COLD inline void pack_parts(int n, int k, int most, const float* weight, float* packed) {
  const RowParts cut(n, most);
  for (int part = 0; part < cut.parts; ++part) {
    const int begin = cut.begin(part), end = cut.begin(part + 1);
    for (int p = 0; p < k; ++p) {
      for (int row = begin; row < end; ++row) *packed++ = weight[static_cast<size_t>(row) * k + p];
    }
  }
}

// The same for every group of a convolution, and the slack.
KERNELET_COLD inline void pack_groups(const ConvArgs& s, int most, const float* weight, float* packed) {
  const size_t size = static_cast<size_t>(conv_m(s)) * conv_k(s);
  for (int g = 0; g < s.groups; ++g)
    pack_parts(conv_m(s), conv_k(s), most, weight + g * size, packed + g * size);
}
template <int Most>
KERNELET_INLINE void pack_with_slack(const ConvArgs& s, const float* weight, float* packed) {
  pack_groups(s, Most, weight, packed);
  memset(packed + s.groups * static_cast<size_t>(conv_m(s)) * conv_k(s), 0, sizeof(float) * slack<Most>);
}
template <int Most>
KERNELET_INLINE size_t packed_size(const ConvArgs& s) {
  return static_cast<size_t>(s.oc) * conv_k(s) + slack<Most>;
}

}  // namespace
}  // namespace KERNELET_ISA
}  // namespace kernelet
