// Convolution over blocks of channels: dst [oc / lanes][oh][ow][lanes], a SIMD lane a channel, so that what one layer
// writes the next one reads as it is. src lies so too, or is planes [ic][ih][iw], as the caller's input does.
//
//   tile: P pixels of a row x N registers of channels
//
//            channels ->
//        +----+----+      per tap: N loads of weights, P broadcasts of the input, P N muladds
//   P    |    |    |
//   px   +----+----+
//
//   tier     lanes  P   N
//   scalar     1    4   2
//   sse        4    4   2
//   avx2       8    6   2
//   avx512    16   14   2
//   neon       4   12   2
//
// With one register of channels (an odd number of blocks leaves it) a pixel would be read for each muladd: where windows
// are 3 wide, avx512's tiles keep P + 2 pixels in registers for three taps side by side (rows_of_three), and have zeros at
// hand for a column of padding on each side.
//
// An output is accumulated in the order (ic, kh, kw). Rows of taps that lie in the padding are left out. Columns are left
// out too, pixel by pixel: with avx512 at the ends of any row, else of short ones (`stage_of` says where). Where they are
// not, tiles read a copy of the input (`stage`) with zeros for them, in which the pixels of a stride stand side by side. (Of
// planes avx512 has tiles that read every other pixel.) A 1x1 window is read where it lies, or in such a copy, all pixels as
// one row.
//
// A 1x1 convolution of a value whose channels are multiplied by a number each (the gate of a squeeze and excitation)
// multiplies what a strip reads, right before.
//
// Packed weights: the offsets of the taps and their columns, then [panel][ic][kh][kw][N lanes], zeros beyond the last channel.
//
// Loops: strips of tiles, in them panels, in them pieces of the sum (so that a panel's weights come from the second-level
// cache once for all tiles of a strip), in them tiles.
#pragma once

// (Few Macs have AVX-512, and their binary is full.)
#if defined(KERNELET_ISA_AVX512) && !defined(__APPLE__)
#define KERNELET_HALF_TILES
#include "blocked_half.h"
#else
#include "blocked_choice.h"
#endif

namespace kernelet {
namespace KERNELET_ISA {
namespace {
namespace blocked {

KERNELET_COLD bool fits(const ConvArgs& s) {
  // offsets of taps are 32 bits, also where the input turns out to come in blocks
  const Stage g = stage_of(s);
  const int64_t pixels = static_cast<int64_t>(g.rows) * g.row / g.pixel;
  const bool whole = s.groups == 1 || (s.ic / s.groups % lanes == 0 && s.oc / s.groups % lanes == 0);
  return whole && pixels * lanes < (int64_t{1} << 31);
}

KERNELET_COLD void pack(const ConvArgs& s, const float* weight, float* packed) {
  const int outputs = s.oc / s.groups, blocks = blocks_of(outputs), k = s.ic / s.groups * taps_of(s);
  for (int group = 0; group < s.groups; ++group, weight += static_cast<size_t>(outputs) * k) {
    for (int block = 0; block < blocks; block += most_blocks) {
      const int wide = lanes * (blocks - block < most_blocks ? blocks - block : most_blocks);
      const int oc = block * lanes, rows = outputs - oc < wide ? outputs - oc : wide;
      pack_transposed(rows, wide, k, weight + static_cast<size_t>(oc) * k, packed);
      packed += static_cast<size_t>(wide) * k;
    }
  }
}

// Of each tap its offset and its column.
KERNELET_COLD void taps(const ConvArgs& s, int32_t* to) {
  const Stage g = stage_of(s);
  for (int kh = 0; kh < s.kh; ++kh) {
    for (int kw = 0; kw < s.kw; ++kw) {
      const int x = kw * s.dw, column = g.copied ? (x % s.sw) * g.columns + x / s.sw : x;
      *to++ = static_cast<int32_t>(kh * s.dh * g.row + static_cast<ptrdiff_t>(column) * g.pixel);
      *to++ = x;
    }
  }
}

// Sums of a pooled convolution wait for their window in the scratch: [most_blocks][rows of a strip][ow][lanes]. Those of a
// transposed one wait there to be spread, in the first-level cache.
KERNELET_INLINE int strip_rows(const ConvArgs& s) {
  if (s.spread_w > 0) {
    const int some = static_cast<int>(near_floats / (static_cast<size_t>(s.ow) * most_blocks * lanes));
    return some < 1 ? 1 : some > s.oh ? s.oh : some;
  }
  const int64_t row = static_cast<int64_t>(s.ic) * s.iw * s.sh;
  const int rows = static_cast<int>(static_cast<int64_t>(strip_floats) / (row > 0 ? row : 1));
  const int even = s.epilogue.pool != Pool::none ? rows / 2 * 2 : rows;
  const int least = s.epilogue.pool != Pool::none ? 2 : 1;
  return even < least ? least : even > s.oh ? s.oh : even;
}

KERNELET_INLINE size_t staged_floats(const ConvArgs& s) {
  const Stage g = stage_of(s);
  return g.copied ? (static_cast<size_t>(planes_of(s)) * g.plane + 15) / 16 * 16 : 0;
}

KERNELET_INLINE size_t sums_floats(const ConvArgs& s) {
  if (!is_late(s)) return 0;
  return (static_cast<size_t>(most_blocks) * strip_rows(s) * s.ow * lanes + 15) / 16 * 16;
}

KERNELET_COLD size_t scratch_size(const ConvArgs& s) {
  return staged_floats(s) + (s.parts > 1 ? s.parts : 1) * (sums_floats(group_of(s)) + gated_floats(s));
}

// Pixels of a row in tiles, as even as can be; in few sizes whole tiles first, then smaller and smaller ones.
struct Tiles {
  int most;
  Sizes some;
  int count, base, longer, rest;  // `longer` tiles first, of the most pixels or of one more than the others
  KERNELET_INLINE Tiles(int pixels, int most_of_tile, Sizes sizes)
      : most(most_of_tile),
        some(sizes),
        count(parts_of(pixels, most_of_tile)),
        base(pixels / count),
        longer(pixels % count),
        rest(0) {
    if (some == every_number) return;
    base = most;
    longer = pixels / most;
    rest = pixels % most;
    count = longer;
    for (int left = rest; left > 0; ++count) left -= piece(left);
  }
  KERNELET_INLINE int begin(int tile) const {
    if (some == every_number) return tile * base + (tile < longer ? tile : longer);
    return tile <= longer ? tile * base : longer * base + pieces(tile - longer);
  }
  // where tile `tile` of rows begins that lie one after another, in pixels
  KERNELET_INLINE int64_t begin_of_all(int tile, int width) const {
    return int64_t{tile / count} * width + begin(tile % count);
  }
  KERNELET_INLINE int pixels(int tile) const {
    if (some == every_number) return base + (tile < longer ? 1 : 0);
    return begin(tile + 1) - begin(tile);
  }

 private:
  // pixels of so many smaller tiles
  KERNELET_NOINLINE int pieces(int tiles) const {
    int left = rest;
    for (; tiles > 0; --tiles) left -= piece(left);
    return rest - left;
  }
  KERNELET_INLINE int piece(int left) const {
    int size = most;
    while (size > left) size = smaller(size, some);
    return size;
  }
};

// Rows of taps inside the input, of the window whose first one is row y.
struct Taps {
  int low, high;
};
KERNELET_INLINE Taps taps_inside(const ConvArgs& s, const Stage& g, int y) {
  int low = 0, high = s.kh;
  while (low < high && y + low * s.dh < 0) ++low;
  while (high > low && y + (high - 1) * s.dh >= g.rows) --high;
  return {low, high};
}

KERNELET_NOINLINE void convolve(const ConvArgs& s, const Stage& g, const float* packed, const float* src,
                                float* dst, float* sums, int part, int parts) {
  const bool flat = is_flat(s, g), pooled = s.epilogue.pool != Pool::none;
  const bool late = is_late(s);
  const int rows = flat ? 1 : s.oh, width = flat ? s.oh * s.ow : s.ow, taps = taps_of(s);
  const int together = g.pixel, stride = g.strided ? 2 : 1;
  const int x_step = together * stride;  // floats from one pixel to its neighbour
  const bool in_blocks = together == lanes;
  const Sizes some = sizes_of(x_step);
  Tiles cut(width, most_pixels, some);
  // all tiles of a row whole: the last one begins where it must, and computes again what it shares with the one before
  if (g.strided) cut.base = most_pixels, cut.longer = 0;
  const int last_x = g.strided ? width - most_pixels : width;
  const int blocks = blocks_of(s.oc), panels = parts_of(blocks, most_blocks);
  const size_t weights = static_cast<size_t>(blocks) * lanes * s.ic * taps;
  // what is cut: single tiles, rows, or pairs of rows
  const int unit = flat ? 1 : pooled ? 2 * cut.count : cut.count;
  const int units = rows * cut.count / unit;
  const Share share = share_of_panels(weights > many_weights, units, blocks, part, parts);
  const int first_block = share.begin, last_block = share.end;
  const int first_tile = share.top * unit, last_tile = share.bottom * unit;
  const int all = last_tile - first_tile;
  if (all <= 0 || first_block >= last_block) return;

  int strip = all;
  if (flat) {
    strip = flat_strip(s, weights, cut.base, all);
  } else if (weights / many_weights < static_cast<size_t>(panels) || late) {
    strip = strip_rows(s) * cut.count;
  }
  if (s.strip > 0 && !late && !g.strided) strip = s.strip;
  strip = strip < 1 ? 1 : strip > all ? all : strip;
  // a piece of the sum at a time: its weights are near while the tiles of a strip pass over them
  const int run = s.piece > 0 ? s.piece : s.ic;

  const bool in_place = !g.copied && !flat, short_rows = in_two_rows(width) && in_blocks && !flat;
  Tile t;
  ptrdiff_t in_plane = g.plane;
  t.args = &s;
  t.next_row = g.down * g.row;
  if (in_place) t.columns = s.iw;
  set_bounds(t, s.epilogue.after);
  const ptrdiff_t out_plane = static_cast<ptrdiff_t>(s.ph) * s.pw * lanes;
  t.residual_block = static_cast<ptrdiff_t>(s.oh) * s.ow * lanes;
  const ptrdiff_t strip_plane = late ? static_cast<ptrdiff_t>(strip / cut.count) * s.ow * lanes : out_plane;
  t.block = strip_plane;
  for (int begin = first_tile; begin < last_tile; begin += strip) {
    const int end = begin + strip < last_tile ? begin + strip : last_tile;
    const int first_row = begin / cut.count;
    const float* input = src;
    if (in_blocks && s.gated) {
      const int x = cut.begin(begin), pixels = cut.begin(end) - x;
      gate_pixels(blocks_of(s.ic), pixels, src + static_cast<ptrdiff_t>(x) * lanes, g.plane, s.gate, sums);
      in_plane = static_cast<ptrdiff_t>(pixels) * lanes;
      input = sums - static_cast<ptrdiff_t>(x) * lanes;
    }
    t.plane = in_plane;
    for (int block = first_block; block < last_block; block += most_blocks) {
      const int n = blocks - block < most_blocks ? blocks - block : most_blocks;
      const ptrdiff_t wide = static_cast<ptrdiff_t>(n) * lanes;
      const float* const panel = packed + static_cast<size_t>(block) * lanes * s.ic * taps;
      t.channel = block * lanes;
      const int most = cut.base + (some == every_number ? 1 : 0);
      TileFunction longer = tile_of(x_step, false, most, n), usual = tile_of(x_step, false, cut.base, n);
      TileFunction longer_edge = tile_of(x_step, true, most, n),
                   usual_edge = tile_of(x_step, true, cut.base, n);
#if defined(KERNELET_HALF_TILES)
      if (2 * (s.oc - t.channel) <= (2 * n - 1) * lanes) {
        if (const TileFunction half = half_tile_of(x_step, most, n)) longer = longer_edge = half;
        if (const TileFunction half = half_tile_of(x_step, cut.base, n)) usual = usual_edge = half;
      }
#endif
      if constexpr (lanes == 16) {
        const bool three = n == 1 && g.rows_of_three && cut.base >= least_row;
        if (three) longer = longer_edge = rows_of_three_from(most);
        if (three) usual = usual_edge = rows_of_three_from(cut.base);
      }
      for (int from = 0; from < s.ic; from += run) {
        t.channels = s.ic - from < run ? s.ic - from : run;
        t.joins = from > 0;
        t.last = from + run >= s.ic;
        const float* const channels = input + static_cast<ptrdiff_t>(from / together) * in_plane;
        const float* const w = panel + static_cast<size_t>(from) * taps * wide;
        // what the next run reads begins where this one ends
        const ptrdiff_t bytes = static_cast<ptrdiff_t>(sizeof(float)) * t.channels * taps * wide;
        const ptrdiff_t share = weights > many_weights ? bytes / (end - begin) : 0;
        t.ahead = reinterpret_cast<const char*>(w) + (share > 0 ? bytes : 0);
        int row = first_row, tile = begin - row * cut.count;
        for (int i = begin; i < end; ++row, tile = 0) {
          const int y = row * g.down - g.top;
          Taps rows = taps_inside(s, g, y);
          bool two = false;
          if (short_rows) {
            two = n == 2 && i + 1 < end;
            const Taps below = two ? taps_inside(s, g, y + g.down) : Taps{rows.low, rows.low};
            const int low = below.low < rows.low ? below.low : rows.low;
            t.upper = (rows.low - low) * s.kw;
            t.upper_count = (rows.high - rows.low) * s.kw;
            t.lower = (below.low - low) * s.kw;
            t.lower_count = (below.high - below.low) * s.kw;
            rows = {low, below.high > rows.high ? below.high : rows.high};
          }
          t.taps = s.taps + 2 * rows.low * s.kw;
          t.tap_count = (rows.high - rows.low) * s.kw;
          t.skip = (taps - t.tap_count) * wide;
          t.weights = w + rows.low * s.kw * wide;
          const ptrdiff_t here = two ? 2 * share : share;
          t.ahead_step = here / (static_cast<ptrdiff_t>(t.channels) * (t.tap_count > 0 ? t.tap_count : 1));
          const float* const line = channels + y * g.row - (g.copied ? 0 : s.pl * together);
          for (; tile < cut.count && i < end; ++tile, ++i) {
            const int begins = cut.begin(tile), x = begins < last_x ? begins : last_x;
            t.src = line + static_cast<ptrdiff_t>(x) * x_step;
            const ptrdiff_t pixel = (static_cast<ptrdiff_t>(row) * width + x) * lanes;
            const ptrdiff_t at = block * out_plane + pixel;
            t.residual = s.residual != nullptr ? s.residual + block * t.residual_block + pixel : nullptr;
            t.dst = late ? sums + (static_cast<ptrdiff_t>(row - first_row) * width + x) * lanes : dst + at;
            t.x = in_place ? x * stride - s.pl : 0;
            t.pixels = two ? 2 * width : cut.pixels(tile);
            const int right = t.x + (t.pixels - 1) * stride + (s.kw - 1) * s.dw;
            t.lacks_left = t.x < 0;
            t.lacks_right = in_place && right >= s.iw;
            const bool edge = t.lacks_left || t.lacks_right;
            if (tile < cut.longer) (edge ? longer_edge : longer)(t);
            else if (some == every_number) (edge ? usual_edge : usual)(t);
            else tile_of(x_step, edge, t.pixels, n)(t);
            t.ahead += here;
          }
          if (two) ++row, ++i;
        }
      }
      if (!in_registers(s.epilogue.after)) {
        const int64_t first = cut.begin_of_all(begin, width), pixels = cut.begin_of_all(end, width) - first;
        activate_pixels(s, static_cast<int>(pixels), n, late ? sums : dst + block * out_plane + first * lanes,
                        strip_plane);
      }
      for (int j = 0; late && j < n; ++j) {
        const int height = (end - begin) / cut.count;
        const float* const from = sums + j * strip_plane;
        float* const to = dst + (block + j) * out_plane;
        const ptrdiff_t row = static_cast<ptrdiff_t>(s.pw) * lanes;
        if (pooled) pool_rows(height, s.ow, from, to + first_row / 2 * row);
        else
          spread_rows(s, height, from, dst + place_of(s, block + j, blocks) + first_row * s.spread_h * row);
      }
    }
  }
}

// Phases: the copy of the input, where there is one, then the tiles.
int32_t phases(const ConvArgs& s) { return stage_of(s).copied ? 2 : 1; }

// Group by group: parts take groups where there are enough, else share each.
KERNELET_COLD KERNELET_NOINLINE void convolve_groups(const ConvArgs& s, const Stage& g, const float* src,
                                                     float* dst, float* sums, int part, int parts) {
  ConvArgs one = group_of(s);
  const size_t weights = weights_size(one);
  const ptrdiff_t planes = planes_of(one), blocks = blocks_of(one.oc) * lanes;
  const bool apart = s.groups >= parts;
  const int end = apart ? part_begin(s.groups, parts, part + 1) : s.groups;
  sums += part * sums_floats(one);
  for (int group = apart ? part_begin(s.groups, parts, part) : 0; group < end; ++group) {
    const ptrdiff_t channel = static_cast<ptrdiff_t>(group) * one.oc;
    one.bias = s.bias + channel;
    if (s.scale != nullptr) one.scale = s.scale + channel;
    if (s.scale != nullptr) one.shift = s.shift + channel;
    if (s.residual != nullptr) one.residual = s.residual + group * blocks * s.oh * s.ow;
    convolve(one, g, s.weights + group * weights, src + group * planes * g.plane,
             dst + group * blocks * s.ph * s.pw, sums, apart ? 0 : part, apart ? 1 : parts);
  }
}

void run_part(const ConvArgs& s, const float* src, float* dst, float* scratch, int32_t phase, int32_t part,
              int32_t parts) {
  const Stage g = stage_of(s);
  if (g.copied && phase == 0)
    return stage(s, g, share_of(g.rows >= 8 * parts, g.rows, planes_of(s), part, parts), src, scratch);
  const float* const from = g.copied ? scratch : src;
  float* const sums = scratch + staged_floats(s);
  // (groups are read from blocks alone)
  if (s.src_blocked && s.groups > 1) return convolve_groups(s, g, from, dst, sums, part, parts);
  convolve(s, g, s.weights, from, dst, sums + part * (sums_floats(s) + gated_floats(s)), part, parts);
}

void run(const ConvArgs& s, const float* src, float* dst, float* scratch) {
  for (int phase = 0; phase < phases(s); ++phase) run_part(s, src, dst, scratch, phase, 0, 1);
}

}  // namespace blocked
}  // namespace
}  // namespace KERNELET_ISA
}  // namespace kernelet
