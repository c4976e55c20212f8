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
// An output is accumulated in the order (ic, kh, kw). Rows of taps that lie in the padding are left out. Columns are
// left out too, pixel by pixel, where rows are short; else tiles read a copy of the input (`stage`) with zeros for them,
// in which the pixels of a stride stand side by side. A 1x1 window is read where it lies, all pixels as one row.
//
// A 1x1 convolution of a value whose channels are multiplied by a number each (the gate of a squeeze and excitation)
// multiplies what a strip reads, right before.
//
// Packed weights: the offsets of the taps and their columns, then [panel][ic][kh][kw][N lanes], zeros beyond the last channel.
//
// Loops: strips of tiles, in them panels, in them runs of input channels (so that a panel's weights come from the
// second-level cache once for all tiles of a strip), in them tiles.
#pragma once

#include "blocked_stage.h"

namespace kernelet {
namespace KERNELET_ISA {
namespace {
namespace blocked {

bool fits(const ConvArgs& s) {
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

// Sums of a pooled convolution wait for their window in the scratch: [most_blocks][rows of a strip][ow][lanes].
KERNELET_INLINE int strip_rows(const ConvArgs& s) {
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
  if (s.epilogue.pool == Pool::none) return 0;
  return (static_cast<size_t>(most_blocks) * strip_rows(s) * s.ow * lanes + 15) / 16 * 16;
}

size_t scratch_size(const ConvArgs& s) {
  return staged_floats(s) + (s.parts > 1 ? s.parts : 1) * (sums_floats(group_of(s)) + gated_floats(s));
}

struct Tile {
  const float* src;     // channel 0 of the run, row of the first tap
  ptrdiff_t plane;      // to the next block, or channel
  const int32_t* taps;  // of each its offset and its column
  int tap_count, channels;
  int x, pixels;         // column of the first pixel's first tap; pixels of the tile
  const float* weights;  // of the first tap that counts
  ptrdiff_t skip;        // weights of those that do not
  bool first, last;
  float* dst;
  ptrdiff_t block;  // of dst, to the next N
  const ConvArgs* args;
  int channel;               // first output
  const float* residual;     // null, or what is added here
  ptrdiff_t residual_block;  // to its next N: of planes before a pool
  reg floor, ceiling;        // of the epilogue, where that is simple or a clip; else without effect
  // Weights that come after these, fetched into the second-level cache meanwhile: bytes from one tap to the next.
  const char* ahead;
  ptrdiff_t ahead_step;
};

KERNELET_INLINE bool in_registers(const Unary& f) { return is_simple(f) || f.f == Activation::clip; }
KERNELET_INLINE void set_bounds(Tile& t, const Unary& f) {
  t.floor = f.f == Activation::clip ? F32::splat(f.a) : floor_of(f);
  t.ceiling = F32::splat(f.f == Activation::clip ? f.b : __builtin_inff());
}

// Does nothing stand between bias and activation? Then the end of a tile is done in registers, but for an activation that
// costs more than a minimum and a maximum.
KERNELET_INLINE bool ends_in_registers(const Tile& t) {
  return t.args->scale == nullptr && t.residual == nullptr;
}

template <int P, int N>
KERNELET_INLINE void finish(const Tile& t, reg (&c)[P][N]) {
  KERNELET_UNROLL
  for (int n = 0; n < N; ++n) {
    const reg bias = F32::load(t.args->bias + t.channel + n * lanes);
    KERNELET_UNROLL
    for (int p = 0; p < P; ++p) c[p][n] = F32::min(t.ceiling, F32::max(t.floor, F32::add(c[p][n], bias)));
  }
}

// The same and all else from sums in memory: bias, scale and shift, the other value.
KERNELET_INLINE void finish_each(const Tile& t, int pixels, int blocks) {
  const ConvArgs& s = *t.args;
  for (int n = 0; n < blocks; ++n) {
    float* const dst = t.dst + n * t.block;
    const int channel = t.channel + n * lanes;
    const reg bias = F32::load(s.bias + channel);
    for (int i = 0; i < pixels * lanes; i += lanes) {
      reg y = F32::add(F32::load(dst + i), bias);
      if (s.scale != nullptr) y = F32::muladd(y, F32::load(s.scale + channel), F32::load(s.shift + channel));
      if (t.residual != nullptr) y = F32::add(y, F32::load(t.residual + n * t.residual_block + i));
      F32::store(dst + i, F32::min(t.ceiling, F32::max(t.floor, y)));
    }
  }
}

// What is left to do for sums in memory: all of it, or the activation alone.
KERNELET_NOINLINE void finish_in_memory(const Tile& t, int pixels, int blocks, bool all) {
  const Unary& after = t.args->epilogue.after;
  if (all) finish_each(t, pixels, blocks);
  for (int n = 0; n < blocks && !in_registers(after); ++n)
    activate_in_place(after, static_cast<size_t>(pixels) * lanes, t.dst + n * t.block);
}

// Sums go on, or are the last and get what follows them.
template <int P, int N>
KERNELET_INLINE void store_tile(const Tile& t, reg (&c)[P][N]) {
  const bool in_memory = !ends_in_registers(t);
  if (t.last && !in_memory) finish<P, N>(t, c);
  KERNELET_UNROLL
  for (int p = 0; p < P; ++p) {
    KERNELET_UNROLL
    for (int n = 0; n < N; ++n) F32::store(t.dst + n * t.block + p * lanes, c[p][n]);
  }
  if (t.last && (in_memory || !in_registers(t.args->epilogue.after))) finish_in_memory(t, P, N, in_memory);
}

// What a tile begins with. (Loaded as sums are that go on, for less code.)
alignas(64) const float no_sums[most_pixels * lanes] = {};

// X: floats from one pixel to its neighbour. Edge: columns of taps may lie in the padding.
template <int P, int N, int X, bool Edge>
struct TileKernel {
  static void run(const Tile& t);
};

template <int P, int N, int X, bool Edge>
KERNELET_NOINLINE void TileKernel<P, N, X, Edge>::run(const Tile& t) {
  const int iw = t.args->iw;
  reg c[P][N];
  const float* const from = t.first ? no_sums : t.dst;
  const ptrdiff_t next = t.first ? 0 : t.block;
  KERNELET_UNROLL
  for (int p = 0; p < P; ++p) {
    KERNELET_UNROLL
    for (int n = 0; n < N; ++n) c[p][n] = F32::load(from + n * next + p * lanes);
  }
  if (t.tap_count > 0) {
    const float* block = t.src;
    const float* w = t.weights;
    const char* ahead = t.ahead;
    const ptrdiff_t ahead_step = t.ahead_step;
    int left = t.channels;
    do {
      int count = left < X ? left : X;
      left -= count;
      const float* channel = block;
      do {
        const int32_t* tap = t.taps;
        const int32_t* const end = tap + 2 * t.tap_count;
        do {
          const float* const x = channel + *tap;
          reg wn[N];
          KERNELET_UNROLL
          for (int n = 0; n < N; ++n) wn[n] = F32::load(w + n * lanes);
          KERNELET_UNROLL
          for (int p = 0; p < P; ++p) {
            if (Edge && static_cast<unsigned>(t.x + tap[1] + p) >= static_cast<unsigned>(iw)) continue;
            const reg v = F32::splat(x[p * X]);
            KERNELET_UNROLL
            for (int n = 0; n < N; ++n) c[p][n] = F32::muladd(v, wn[n], c[p][n]);
          }
          w += N * lanes;
          F32::prefetch_far(ahead);
          ahead += ahead_step;
          tap += 2;
        } while (tap != end);
        w += t.skip;
        ++channel;
      } while (--count > 0);
      block += t.plane;
    } while (left > 0);
  }
  store_tile<P, N>(t, c);
}

using TileFunction = void (*)(const Tile&);

// Where tiles are large, rows of 3, 5 and 6 pixels are smaller ones: no longer row has such a rest.
constexpr bool in_pieces(int pixels) { return most_pixels > 8 && pixels < 7 && (pixels & (pixels - 1)) != 0; }

// Tiles that read planes, as first layers do, come in few sizes; small pictures, such as those of sound, have rows of 5.
enum Sizes { every_number, few, few_and_five };
constexpr Sizes sizes_of(int x) {
  return one_size ? few : x > 1 ? every_number : most_pixels > 8 ? few_and_five : few;
}
// The next smaller tile there is.
constexpr int smaller(int pixels, Sizes sizes) {
  if (one_size) return 1;
  if (sizes == every_number && !in_pieces(pixels - 1)) return pixels - 1;
  if (sizes == few_and_five && pixels > 5 && pixels <= 8) return 5;
  return pixels > 8 ? 8 : pixels > 4 ? 4 : pixels > 2 ? 2 : 1;
}
// Compared, not looked up: a table would be relocated at load time.
template <int N, int X, bool Edge, Sizes Some, int P>
TileFunction tile_from(int pixels) {
  if constexpr (P > 1) {
    constexpr int next = smaller(P, Some);
    if (pixels < P) return tile_from<N, X, Edge, Some, next>(pixels);
  }
  return TileKernel<P, N, X, Edge>::run;
}

// A short row: the largest tile of few sizes, then the next.
template <int N, int X, bool Edge>
KERNELET_NOINLINE void piece_by_piece(const Tile& whole) {
  Tile t = whole;
  for (int left = whole.pixels; left > 0;) {
    int size = most_pixels;
    while (size > left) size = smaller(size, few);
    tile_from<N, X, Edge, few, most_pixels>(size)(t);
    t.src += size * X;
    t.x += size;
    t.dst += size * lanes;
    if (t.residual != nullptr) t.residual += size * lanes;
    left -= size;
  }
}

template <int X, bool Edge>
KERNELET_COLD KERNELET_NOINLINE TileFunction tile_of(int pixels, int blocks) {
  constexpr Sizes some = sizes_of(X);
  if constexpr (most_pixels > 8 && some == every_number) {
    if (in_pieces(pixels)) return blocks == 1 ? piece_by_piece<1, X, Edge> : piece_by_piece<2, X, Edge>;
  }
  if constexpr (Edge) {  // one block of channels is what an odd number of them leaves
    if (blocks == 1) return piece_by_piece<1, X, Edge>;
  } else {
    if (blocks == 1) return tile_from<1, X, Edge, some, most_pixels>(pixels);
  }
  return tile_from<2, X, Edge, some, most_pixels>(pixels);
}

// Pixels of a row in tiles, as even as can be; in few sizes whole tiles first, then smaller and smaller ones.
template <int Most, Sizes Some>
struct Tiles {
  int count, base, longer, rest;  // `longer` tiles first, of the most pixels or of one more than the others
  explicit Tiles(int pixels)
      : count(parts_of(pixels, Most)), base(pixels / count), longer(pixels % count), rest(0) {
    if (Some == every_number) return;
    base = Most;
    longer = pixels / Most;
    rest = pixels % Most;
    count = longer;
    for (int left = rest; left > 0; ++count) left -= piece(left);
  }
  KERNELET_INLINE int begin(int tile) const {
    if (Some == every_number) return tile * base + (tile < longer ? tile : longer);
    if (tile <= longer) return tile * base;
    int left = rest;
    for (int i = longer; i < tile; ++i) left -= piece(left);
    return longer * base + rest - left;
  }
  KERNELET_INLINE int pixels(int tile) const {
    if (Some == every_number) return base + (tile < longer ? 1 : 0);
    return begin(tile + 1) - begin(tile);
  }

 private:
  static int piece(int left) {
    int size = Most;
    while (size > left) size = smaller(size, Some);
    return size;
  }
};

// Part `part`: some panels, where there are enough and their weights are what counts, else some tiles.
template <int X>
KERNELET_NOINLINE void convolve(const ConvArgs& s, const Stage& g, const float* packed, const float* src,
                                float* dst, float* sums, int part, int parts) {
  const bool flat = is_flat(s, g), pooled = s.epilogue.pool != Pool::none;
  const int rows = flat ? 1 : s.oh, width = flat ? s.oh * s.ow : s.ow, taps = taps_of(s);
  constexpr Sizes some = sizes_of(X);
  const Tiles<most_pixels, some> cut(width);
  const int blocks = blocks_of(s.oc), panels = parts_of(blocks, most_blocks);
  const size_t channel_weights = static_cast<size_t>(taps) * most_blocks * lanes;
  const size_t weights = static_cast<size_t>(blocks) * lanes * s.ic * taps;
  // what is cut: single tiles, rows, or pairs of rows
  const int unit = flat ? 1 : pooled ? 2 * cut.count : cut.count;
  const int units = rows * cut.count / unit;
  const bool by_panels = panels >= parts && (weights > many_weights || units < parts);
  const int first_block = by_panels ? part_begin(panels, parts, part) * most_blocks : 0;
  const int panels_end = by_panels ? part_begin(panels, parts, part + 1) * most_blocks : blocks;
  const int last_block = panels_end < blocks ? panels_end : blocks;
  const int first_tile = by_panels ? 0 : part_begin(units, parts, part) * unit;
  const int last_tile = (by_panels ? units : part_begin(units, parts, part + 1)) * unit;
  const int all = last_tile - first_tile;
  if (all <= 0 || first_block >= last_block) return;

  int strip = all;
  if (flat) {
    strip = flat_strip(s, weights, cut.base, all);
  } else if (weights / many_weights < static_cast<size_t>(panels) || pooled) {
    strip = strip_rows(s) * cut.count;
  }
  if (s.strip > 0 && !pooled) strip = s.strip;
  strip = strip < 1 ? 1 : strip > all ? all : strip;
  // whole blocks of channels, fewer where several tiles share what is near
  int run = s.ic;
  if (strip > 2) {
    const int most = static_cast<int>(run_weights / channel_weights) / X * X;
    const int runs = parts_of(s.ic, most < X ? X : most);
    run = parts_of(parts_of(s.ic, X), runs) * X;
  }

  Tile t;
  ptrdiff_t in_plane = g.plane;
  t.args = &s;
  set_bounds(t, s.epilogue.after);
  const ptrdiff_t out_plane = static_cast<ptrdiff_t>(s.ph) * s.pw * lanes;
  t.residual_block = static_cast<ptrdiff_t>(s.oh) * s.ow * lanes;
  const ptrdiff_t strip_plane = pooled ? static_cast<ptrdiff_t>(strip / cut.count) * s.ow * lanes : out_plane;
  t.block = strip_plane;
  for (int begin = first_tile; begin < last_tile; begin += strip) {
    const int end = begin + strip < last_tile ? begin + strip : last_tile;
    const int first_row = begin / cut.count;
    const float* input = src;
    if (X == lanes && s.gated) {
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
      // (planes are never read at an edge)
      constexpr bool edges = X == lanes;
      const int most = cut.base + (some == every_number ? 1 : 0);
      const TileFunction longer = tile_of<X, false>(most, n), usual = tile_of<X, false>(cut.base, n);
      const TileFunction longer_edge = edges ? tile_of<X, edges>(most, n) : longer;
      const TileFunction usual_edge = edges ? tile_of<X, edges>(cut.base, n) : usual;
      for (int from = 0; from < s.ic; from += run) {
        t.channels = s.ic - from < run ? s.ic - from : run;
        t.first = from == 0;
        t.last = from + run >= s.ic;
        const float* const channels = input + static_cast<ptrdiff_t>(from / X) * in_plane;
        const float* const w = panel + static_cast<size_t>(from) * taps * wide;
        // what the next run reads begins where this one ends
        const ptrdiff_t bytes = static_cast<ptrdiff_t>(sizeof(float)) * t.channels * taps * wide;
        const ptrdiff_t share = weights > many_weights ? bytes / (end - begin) : 0;
        t.ahead = reinterpret_cast<const char*>(w) + (share > 0 ? bytes : 0);
        int row = first_row, tile = begin - row * cut.count;
        for (int i = begin; i < end; ++row, tile = 0) {
          // rows of taps inside the input
          const int y = row * g.down - g.top;
          int low = 0, high = s.kh;
          while (low < high && y + low * s.dh < 0) ++low;
          while (high > low && y + (high - 1) * s.dh >= g.rows) --high;
          t.taps = s.taps + 2 * low * s.kw;
          t.tap_count = (high - low) * s.kw;
          t.skip = (taps - t.tap_count) * wide;
          t.weights = w + low * s.kw * wide;
          const float* const line = channels + y * g.row - (g.copied ? 0 : s.pl * X);
          for (; tile < cut.count && i < end; ++tile, ++i) {
            const int x = cut.begin(tile);
            t.src = line + static_cast<ptrdiff_t>(x) * X;
            const ptrdiff_t pixel = (static_cast<ptrdiff_t>(row) * width + x) * lanes;
            const ptrdiff_t at = block * out_plane + pixel;
            t.residual = s.residual != nullptr ? s.residual + block * t.residual_block + pixel : nullptr;
            t.dst = pooled ? sums + (static_cast<ptrdiff_t>(row - first_row) * width + x) * lanes : dst + at;
            t.ahead_step = share / (static_cast<ptrdiff_t>(t.channels) * (t.tap_count > 0 ? t.tap_count : 1));
            t.x = x - s.pl;
            t.pixels = cut.pixels(tile);
            const int right = t.x + t.pixels - 1 + (s.kw - 1) * s.dw;
            const bool edge = !g.copied && (t.x < 0 || right >= s.iw) && !flat;
            if (tile < cut.longer) (edge ? longer_edge : longer)(t);
            else if (some == every_number) (edge ? usual_edge : usual)(t);
            else (edge ? tile_of<X, edges>(t.pixels, n) : tile_of<X, false>(t.pixels, n))(t);
            t.ahead += share;
          }
        }
      }
      for (int j = 0; pooled && j < n; ++j) {
        const int strip_height = (end - begin) / cut.count;
        pool_rows(strip_height, s.ow, sums + j * strip_plane,
                  dst + (block + j) * out_plane + static_cast<ptrdiff_t>(first_row / 2) * s.pw * lanes);
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
    convolve<lanes>(one, g, s.weights + group * weights, src + group * planes * g.plane,
                    dst + group * blocks * s.ph * s.pw, sums, apart ? 0 : part, apart ? 1 : parts);
  }
}

template <int X>
KERNELET_INLINE void run_phase(const ConvArgs& s, const float* src, float* dst, float* scratch, int phase,
                               int part, int parts) {
  const Stage g = stage_of(s);
  const int planes = planes_of(s);
  if (g.copied && phase == 0)
    return stage<X>(s, g, src, part_begin(planes, parts, part), part_begin(planes, parts, part + 1), scratch);
  const float* const from = g.copied ? scratch : src;
  float* const sums = scratch + staged_floats(s);
  // (groups are read from blocks alone)
  if (X == lanes && s.groups > 1) return convolve_groups(s, g, from, dst, sums, part, parts);
  convolve<X>(s, g, s.weights, from, dst, sums + part * (sums_floats(s) + gated_floats(s)), part, parts);
}

void run_part(const ConvArgs& s, const float* src, float* dst, float* scratch, int32_t phase, int32_t part,
              int32_t parts) {
  if (s.src_blocked) run_phase<lanes>(s, src, dst, scratch, phase, part, parts);
  else run_phase<1>(s, src, dst, scratch, phase, part, parts);
}

void run(const ConvArgs& s, const float* src, float* dst, float* scratch) {
  for (int phase = 0; phase < phases(s); ++phase) run_part(s, src, dst, scratch, phase, 0, 1);
}

}  // namespace blocked
}  // namespace
}  // namespace KERNELET_ISA
}  // namespace kernelet
