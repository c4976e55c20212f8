// How the tiles of a convolution over blocks (blocked.h) find their input: where it lies, or in a copy with zeros for the
// columns of the padding, in which the pixels of a stride stand side by side:
//
//   sw = 2, pl = 1:  . a b c d e f .   ->   . b d f | a c e .    a phase a column of taps
// Here too: the sizes of tiles and strips, what a gate multiplies, and maxima.
#pragma once

#include "common.h"

namespace kernelet {
namespace KERNELET_ISA {
namespace {
namespace blocked {

KERNELET_INLINE int blocks_of(int channels) { return (channels + lanes - 1) / lanes; }
KERNELET_INLINE int taps_of(const ConvArgs& s) { return s.kh * s.kw; }

// Columns of taps in the padding are left out, pixel by pixel, rather than read as zeros of a copy, where that pays. Wide
// tiles ask of the two pixels at either end alone, which costs them nothing; small ones ask of each and are slower for it,
// so that rows have to be short.
constexpr bool asks_always = lanes == 16;
constexpr int asked_pixels = 2, short_row = lanes == 8 ? 4 : 16;

// Of a tile.
constexpr int most_blocks = 2;
constexpr int most_pixels = one_size ? 4 : F32::registers == 16 ? 6 : lanes == 16 ? 14 : 12;
// Weights that stay in the second-level cache beside other things: floats.
constexpr size_t many_weights = size_t{64} << 10;
// What tiles of a strip read, in the first-level cache, and rows of it, in the second: floats.
constexpr size_t near_floats = size_t{5} << 10, strip_floats = size_t{40} << 10;

// How the input lies for the tiles.
struct Stage {
  bool copied;
  bool strided;          // planes that are read in place, every other pixel
  bool rows_of_three;    // may be read by tiles of that name (blocked_tile.h)
  int pixel;             // floats from one pixel to its neighbour
  int rows, columns;     // of a plane, and of one phase of the stride
  int phases;            // columns 0, sw, 2 sw … are a phase, 1, sw + 1 … the next
  int down;              // rows from one output row to the next
  int top;               // rows of padding
  ptrdiff_t row, plane;  // floats; a plane is that of a block, where these lie in blocks
};

// Are there tiles for every other pixel of planes? For first layers: of few channels, whose sums are complete at once (some
// pixels are computed twice).
KERNELET_INLINE bool is_strided(const ConvArgs& s) {
  return lanes == 16 && s.sw == 2 && !s.src_blocked && s.ow >= most_pixels && taps_of(s) > 1 && s.piece == 0;
}

KERNELET_NOINLINE Stage stage_of(const ConvArgs& s) {
  Stage g;
  g.pixel = s.src_blocked ? lanes : 1;
  const int reach = (s.ow - 1) * s.sw + (s.kw - 1) * s.dw + 1;
  const bool padded = s.pl > 0 || reach > s.iw;
  const bool three = lanes == 16 && s.src_blocked && s.kw == 3 && s.sw == 1 && s.dw == 1;
  const bool zeros = three && s.pl <= 1 && reach - s.pl <= s.iw + 1;  // tiles have them at hand
  const int asked = asked_pixels * (s.sw == 2 ? 2 : 1);
  const bool near = s.pl <= asked && reach - s.pl <= s.iw + asked;
  const bool left_out = s.src_blocked && (asks_always ? near : s.ow <= short_row);
  g.strided = near && is_strided(s);
  g.copied = !g.strided && (s.sw > 1 || (padded && !left_out));
  g.rows_of_three = zeros || (three && g.copied);
  g.rows = s.ih;
  g.columns = s.iw;
  g.phases = 1;
  g.down = s.sh;
  g.top = s.pt;
  if (g.copied) {
    g.phases = s.kw == 1 || s.dw % s.sw == 0 ? 1 : s.sw;
    g.columns = s.ow + (s.kw - 1) * s.dw / s.sw;
    if (s.kh == 1) {  // only the rows that are read
      g.rows = s.oh;
      g.down = 1;
      g.top = 0;
    }
  }
  g.row = static_cast<ptrdiff_t>(g.phases) * g.columns * g.pixel;
  g.plane = g.rows * g.row;
  return g;
}

KERNELET_INLINE int planes_of(const ConvArgs& s) { return s.src_blocked ? blocks_of(s.ic) : s.ic; }

// One row of the input as the tiles want it. X: floats of a pixel.
template <int X>
KERNELET_INLINE void stage_row(const ConvArgs& s, const Stage& g, const float* from, float* to) {
  for (int phase = 0; phase < g.phases; ++phase, to += static_cast<ptrdiff_t>(g.columns) * X) {
    // columns [begin, end) lie inside the input
    const int at = phase - s.pl;
    int begin = at < 0 ? (-at + s.sw - 1) / s.sw : 0, end = at < s.iw ? (s.iw - at + s.sw - 1) / s.sw : 0;
    if (from == nullptr) begin = end = 0;
    if (end > g.columns) end = g.columns;
    if (begin > end) begin = end;
    memset(to, 0, sizeof(float) * begin * X);
    memset(to + static_cast<ptrdiff_t>(end) * X, 0, sizeof(float) * (g.columns - end) * X);
    int i = begin;
    if constexpr (X == 1 && lanes > 1) {
      for (; s.sw == 1 && i + lanes <= end; i += lanes) F32::store(to + i, F32::load(from + at + i));
      for (; s.sw == 2 && i + lanes <= end && at + 2 * (i + lanes) <= s.iw; i += lanes) {
        const float* const x = from + at + 2 * i;
        F32::store(to + i, F32::even(F32::load(x), F32::load(x + lanes)));
      }
    }
    for (; i < end; ++i) {
      const ptrdiff_t x = at + static_cast<ptrdiff_t>(i) * s.sw;
      if constexpr (X == 1) to[i] = from[x];
      else F32::store(to + static_cast<ptrdiff_t>(i) * X, F32::load(from + x * X));
    }
  }
}

// What a part computes: rows [top, bottom) of planes [begin, end).
struct Share {
  int top, bottom, begin, end;
};
// Some rows of all planes, which are near where the layers before and behind are divided so, or some planes.
KERNELET_SMALL Share share_of(bool by_rows, int rows, int planes, int part, int parts) {
  const int n = by_rows ? rows : planes, begin = part_begin(n, parts, part),
            end = part_begin(n, parts, part + 1);
  return by_rows ? Share{begin, end, 0, planes} : Share{0, rows, begin, end};
}

KERNELET_SMALL void stage(const ConvArgs& s, const Stage& g, const Share& share, const float* src,
                          float* to) {
  for (int p = share.begin; p < share.end; ++p) {
    for (int r = share.top; r < share.bottom; ++r) {
      const int y = s.kh == 1 ? r * s.sh - s.pt : r;
      const bool inside = y >= 0 && y < s.ih;
      const float* const from =
          inside ? src + (static_cast<ptrdiff_t>(p) * s.ih + y) * s.iw * g.pixel : nullptr;
      float* const row = to + p * g.plane + r * g.row;
      if (g.pixel == lanes) stage_row<lanes>(s, g, from, row);
      else stage_row<1>(s, g, from, row);
    }
  }
}

// Tiles of fewer pixels are none of rows that are not short.
constexpr int least_row = most_pixels > 8 ? 8 : 4;
static_assert(most_pixels * most_blocks + most_blocks + 1 <= F32::registers || one_size,
              "the tile does not fit the registers");

// Some panels of blocks, where there are enough and their weights are what counts, else some units (of rows): those of the
// two that come out even, if the others do not. 3 panels are no work for two threads.
KERNELET_SMALL Share share_of_panels(bool many, int units, int blocks, int part, int parts) {
  const int panels = parts_of(blocks, most_blocks);
  const int most = parts_of(panels, parts) * most_blocks;  // blocks of a part
  const bool even =
      int64_t{9} * (most < blocks ? most : blocks) * units <= int64_t{10} * parts_of(units, parts) * blocks;
  const bool by_panels = panels >= parts && ((many && even) || units < parts);
  Share share = share_of(!by_panels, units, panels, part, parts);
  share.begin *= most_blocks;
  share.end = share.end * most_blocks < blocks ? share.end * most_blocks : blocks;
  return share;
}

// Do sums wait in the scratch until a strip of rows is there?
KERNELET_INLINE bool is_late(const ConvArgs& s) { return s.epilogue.pool != Pool::none || s.spread_w > 0; }

// 1x1 whose pixels lie one after another: rows are no matter.
KERNELET_INLINE bool is_flat(const ConvArgs& s, const Stage& g) {
  return taps_of(s) == 1 && g.down == 1 && g.top == 0 && g.rows == s.oh && g.columns == s.ow && !is_late(s);
}

// One of the groups, which are whole blocks.
KERNELET_INLINE ConvArgs group_of(const ConvArgs& s) {
  ConvArgs one = s;
  one.ic /= s.groups;
  one.oc /= s.groups;
  one.groups = 1;
  return one;
}

KERNELET_COLD size_t weights_size(const ConvArgs& s) {
  return static_cast<size_t>(blocks_of(s.oc)) * lanes * (s.ic / s.groups) * taps_of(s);
}

// Tiles of a strip of pixels that lie as one row, and what of it is multiplied by `gate`.
KERNELET_INLINE int flat_strip(const ConvArgs& s, size_t weights, int base, int all) {
  int strip = all;
  if (weights <= many_weights) {
    strip = static_cast<int>(near_floats / (static_cast<size_t>(base) * s.ic));
    // pieces pay for several tiles alone
    if (F32::registers == 16 && s.piece > 0 && strip < 8) strip = 8;
  } else if (F32::registers == 16) {
    // each of the many panels of narrow tiles reads all of a strip
    const int near = static_cast<int>(many_weights / (static_cast<size_t>(base) * s.ic));
    if (near < strip) strip = near < 8 ? 8 : near;
  }
  if (s.strip > 0) strip = s.strip;
  return strip < 1 ? 1 : strip > all ? all : strip;
}
KERNELET_INLINE size_t gated_floats(const ConvArgs& s) {
  if (!s.gated) return 0;
  const int pixels = s.oh * s.ow, all = parts_of(pixels, most_pixels);
  int most = one_size ? pixels : flat_strip(s, weights_size(s), pixels / all, all) * most_pixels;
  most = most < pixels ? most : pixels;
  return (static_cast<size_t>(blocks_of(s.ic)) * lanes * most + 15) / 16 * 16;
}

// Pixels of each block times its channels' numbers: src [blocks][..][lanes], `plane` floats apart -> to [blocks][pixels][lanes]
KERNELET_NOINLINE void gate_pixels(int blocks, int pixels, const float* src, ptrdiff_t plane,
                                   const float* gate, float* to) {
  for (int block = 0; block < blocks; ++block, src += plane, to += static_cast<ptrdiff_t>(pixels) * lanes) {
    const reg factor = F32::load(gate + block * lanes);
    for (int i = 0; i < pixels * lanes; i += lanes) F32::store(to + i, F32::mul(F32::load(src + i), factor));
  }
}

// 2x2 maxima of rows of sums: src [rows][ow][lanes] -> dst [rows / 2][ow / 2][lanes]
KERNELET_INLINE void pool_rows(int rows, int ow, const float* src, float* dst) {
  for (int y = 0; y + 1 < rows; y += 2, src += static_cast<ptrdiff_t>(2) * ow * lanes) {
    for (int x = 0; x + 1 < ow; x += 2, dst += lanes) {
      const float* const a = src + static_cast<ptrdiff_t>(x) * lanes;
      const float* const b = a + static_cast<ptrdiff_t>(ow) * lanes;
      F32::store(dst, max4(F32::load(a), F32::load(a + lanes), F32::load(b), F32::load(b + lanes)));
    }
  }
}

// Of a transposed convolution: where its block, one of all there are, begins in dst.
KERNELET_SMALL ptrdiff_t place_of(const ConvArgs& s, int block, int blocks) {
  const int each = blocks / (s.spread_h * s.spread_w), place = block / each;
  const int row = place / s.spread_w, column = place % s.spread_w;
  return (static_cast<ptrdiff_t>(block % each) * s.ph * s.pw + static_cast<ptrdiff_t>(row) * s.pw + column) *
         lanes;
}

// Rows of sums to where they belong: src [rows][ow][lanes] -> every spread_w-th pixel of every spread_h-th row of dst
KERNELET_NOINLINE void spread_rows(const ConvArgs& s, int rows, const float* src, float* dst) {
  const ptrdiff_t row = static_cast<ptrdiff_t>(s.spread_h) * s.pw * lanes,
                  step = ptrdiff_t{s.spread_w} * lanes;
  for (int y = 0; y < rows; ++y, src += static_cast<ptrdiff_t>(s.ow) * lanes, dst += row) {
    for (int x = 0; x < s.ow; ++x)
      F32::store(dst + x * step, F32::load(src + static_cast<ptrdiff_t>(x) * lanes));
  }
}

}  // namespace blocked
}  // namespace
}  // namespace KERNELET_ISA
}  // namespace kernelet
