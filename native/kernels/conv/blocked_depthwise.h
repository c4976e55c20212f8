// Depthwise convolution over blocks of channels: src [c / lanes][ih][iw][lanes] -> dst [c / lanes][oh][ow][lanes], a SIMD
// lane a channel.
//
//   tile: P pixels of a row x 1 register of channels
//   per tap: 1 load of weights, P loads of the input, P muladds; of common windows (`is_wide`) each pixel is loaded once
//
// Rows of taps that lie in the padding are left out. Where columns may lie there, the rows that a row of outputs reads
// are copied with zeros around them, into a ring: a row is copied once, while it is near.
//
// Packed weights: [block][kh][kw][lanes], zeros beyond the last channel.
#pragma once

#include "blocked.h"

namespace kernelet {
namespace KERNELET_ISA {
namespace {
namespace blocked_depthwise {

using namespace blocked;  // NOLINT: blocks of channels, and what ends a tile

constexpr int most_pixels = one_size ? 4 : 8;
// That get their activation together.
constexpr int near_pixels = 64;

constexpr int least_wide = one_size ? 1 : 3;

// Windows of three or five columns next to each other, of which at most one or two lie in the padding at either side: each
// pixel is loaded once for all its taps, where it lies. Three columns without a stride have kernels for rows of any
// length; five, and strides of 2, only where all tiles of a row have 7 or 8 pixels.
KERNELET_INLINE bool is_wide(const ConvArgs& s) {
  if (s.dw != 1 || s.pl > s.kw / 2 || (s.ow - 1) * s.sw + s.kw - s.pl > s.iw + s.kw / 2) return false;
  if (s.kw == 3 && s.sw == 1) return s.ow >= least_wide;
  return !one_size && ((s.kw == 3 && s.sw == 2) || (s.kw == 5 && s.sw <= 2)) &&
         s.ow / parts_of(s.ow, most_pixels) >= most_pixels - 1;
}

// Rows as the tiles read them.
struct Ring {
  bool copied;
  int rows;       // a power of two
  ptrdiff_t row;  // floats
};

KERNELET_INLINE Ring ring_of(const ConvArgs& s) {
  Ring r;
  const int reach = (s.ow - 1) * s.sw + (s.kw - 1) * s.dw + 1;
  r.copied = (s.pl > 0 || reach > s.iw) && !is_wide(s);
  r.rows = 1;
  while (r.rows < (s.kh - 1) * s.dh + 1) r.rows *= 2;
  r.row = static_cast<ptrdiff_t>(r.copied ? reach : s.iw) * lanes;
  return r;
}

KERNELET_COLD bool fits(const ConvArgs& s) {
  return s.groups == s.ic && s.oc == s.ic && s.epilogue.pool == Pool::none &&
         static_cast<int64_t>(s.kh - 1) * s.dh < (1 << 20) &&
         ring_of(s).rows * static_cast<int64_t>(ring_of(s).row) < (int64_t{1} << 28);
}

KERNELET_COLD size_t weights_size(const ConvArgs& s) {
  return static_cast<size_t>(blocks_of(s.oc)) * lanes * taps_of(s);
}

KERNELET_COLD void pack(const ConvArgs& s, const float* weight, float* packed) {
  for (int block = 0; block < blocks_of(s.oc); ++block) {
    for (int tap = 0; tap < taps_of(s); ++tap) {
      for (int l = 0; l < lanes; ++l) {
        const int oc = block * lanes + l;
        *packed++ = oc < s.oc ? weight[static_cast<size_t>(oc) * taps_of(s) + tap] : 0.0f;
      }
    }
  }
}

KERNELET_INLINE size_t ring_floats(const ConvArgs& s) {
  const Ring r = ring_of(s);
  return r.copied ? (static_cast<size_t>(r.rows) * r.row + 15) / 16 * 16 : 0;
}
KERNELET_COLD size_t scratch_size(const ConvArgs& s) { return (s.parts > 1 ? s.parts : 1) * ring_floats(s); }

// A row of the input with the padding around it.
KERNELET_INLINE void copy_row(const ConvArgs& s, const Ring& r, const float* from, float* to) {
  const ptrdiff_t left = static_cast<ptrdiff_t>(s.pl) * lanes, inner = static_cast<ptrdiff_t>(s.iw) * lanes;
  const ptrdiff_t begin = left < r.row ? left : r.row;
  const ptrdiff_t end = left + inner < r.row ? left + inner : r.row;
  for (ptrdiff_t i = 0; i < begin; i += lanes) F32::store(to + i, F32::zero());
  for (ptrdiff_t i = begin; i < end; i += lanes) F32::store(to + i, F32::load(from + i - left));
  for (ptrdiff_t i = end; i < r.row; i += lanes) F32::store(to + i, F32::zero());
}

// Where a tile finds row y of a block, and its taps.
struct Rows {
  const float* first;
  ptrdiff_t row;
  int mask;  // of the ring; all ones where rows lie as in the input
  int y;     // of the first tap
  int begin, end;
  const float* weights;
};

template <int P>
struct DepthwiseKernel {
  static void run(const ConvArgs& s, const Rows& r, int x, const Tile& t);
};

template <int P>
KERNELET_NOINLINE void DepthwiseKernel<P>::run(const ConvArgs& s, const Rows& r, int x, const Tile& t) {
  if constexpr ((P & (P - 1)) != 0) {  // rare: of two others
    constexpr int some = P > 4 ? 4 : 2;
    DepthwiseKernel<some>::run(s, r, x, t);
    Tile rest = t;
    rest.dst += some * lanes;
    if (t.residual != nullptr) rest.residual += some * lanes;
    return DepthwiseKernel<P - some>::run(s, r, x + some, rest);
  }
  reg c[P][1];
  KERNELET_UNROLL
  for (int p = 0; p < P; ++p) c[p][0] = F32::zero();
  const ptrdiff_t right = static_cast<ptrdiff_t>(s.sw) * lanes, next = static_cast<ptrdiff_t>(s.dw) * lanes;
  const float* w = r.weights + static_cast<ptrdiff_t>(r.begin) * s.kw * lanes;
  for (int kh = r.begin; kh < r.end; ++kh) {
    const float* tap = r.first + ((r.y + kh * s.dh) & r.mask) * r.row + static_cast<ptrdiff_t>(x) * right;
    for (int kw = 0; kw < s.kw; ++kw, tap += next, w += lanes) {
      const reg weight = F32::load(w);
      KERNELET_UNROLL
      for (int p = 0; p < P; ++p) c[p][0] = F32::muladd(weight, F32::load(tap + p * right), c[p][0]);
    }
  }
  // (what is rarer than the windows below: one end for all, out of memory)
  KERNELET_UNROLL
  for (int p = 0; p < P; ++p) F32::store(t.dst + p * lanes, c[p][0]);
  finish_pixels(t, P, 1);
}

using Kernel = void (*)(const ConvArgs&, const Rows&, int, const Tile&);

// A window of K columns, S from one pixel to its neighbour.
template <int K, int S, int P>
struct WideKernel {
  static void run(const ConvArgs& s, const Rows& r, int x, const Tile& t);
};

template <int K, int S, int P>
KERNELET_NOINLINE void WideKernel<K, S, P>::run(const ConvArgs& s, const Rows& r, int x, const Tile& t) {
  constexpr int columns = (P - 1) * S + K;
  reg c[P][1];
  KERNELET_UNROLL
  for (int p = 0; p < P; ++p) c[p][0] = F32::zero();
  const int left = x * S - s.pl;
  const ptrdiff_t down = s.dh * r.row;
  const float* tap = r.first + (r.y + r.begin * s.dh) * r.row + static_cast<ptrdiff_t>(left) * lanes;
  const float* w = r.weights + static_cast<ptrdiff_t>(r.begin) * K * lanes;
  for (int kh = r.begin; kh < r.end; ++kh, tap += down, w += K * lanes) {
    reg weight[K];
    KERNELET_UNROLL
    for (int k = 0; k < K; ++k) weight[k] = F32::load(w + k * lanes);
    KERNELET_UNROLL
    for (int i = 0; i < columns; ++i) {
      const bool at_edge = i < K / 2 || i >= columns - K / 2;
      const bool inside = !at_edge || static_cast<unsigned>(left + i) < static_cast<unsigned>(s.iw);
      reg v = F32::load(inside ? tap + i * lanes : no_pixel);
      F32::keep(v);
      KERNELET_UNROLL
      for (int k = K - 1; k >= 0; --k) {
        const int p = (i - k) / S;
        if (i >= k && (i - k) % S == 0 && p < P) c[p][0] = F32::muladd(weight[k], v, c[p][0]);
      }
    }
  }
  store_tile<P, 1>(t, c);
}

template <int P>
using ThreeWide = WideKernel<3, 1, P>;

template <template <int> class K, int Least, int P = most_pixels>
Kernel kernel_from(int pixels) {
  if constexpr (P == Least) return K<P>::run;
  else return pixels >= P ? K<P>::run : kernel_from<K, Least, (one_size ? 1 : P - 1)>(pixels);
}
template <int K, int S>
Kernel whole_or_one_less(int pixels) {
  return pixels >= most_pixels ? WideKernel<K, S, most_pixels>::run : WideKernel<K, S, most_pixels - 1>::run;
}
KERNELET_COLD Kernel kernel_for(const ConvArgs& s, int pixels) {
  if (!is_wide(s)) return kernel_from<DepthwiseKernel, 1>(pixels);
  if constexpr (!one_size) {
    if (s.kw == 5) return s.sw == 1 ? whole_or_one_less<5, 1>(pixels) : whole_or_one_less<5, 2>(pixels);
    if (s.sw == 2) return whole_or_one_less<3, 2>(pixels);
  }
  return kernel_from<ThreeWide, least_wide>(pixels);
}

// By rows, if not where the layers around it are divided by panels (blocked.h), or where rows do not come out even.
KERNELET_SMALL Share share_of(const ConvArgs& s, int part, int parts) {
  const int blocks = blocks_of(s.oc);
  const size_t around =
      static_cast<size_t>(s.oc) * s.oc / 6;  // weights of an inverted residual's 1x1 convolutions
  const bool by_rows =
      around <= many_weights && parts_of(s.oh, parts) * blocks <= parts_of(blocks, parts) * s.oh;
  return blocked::share_of(by_rows, s.oh, blocks, part, parts);
}

// Planes of outputs lie `out_plane` floats apart. `rows` has room for a ring.
KERNELET_NOINLINE void convolve_blocks(const ConvArgs& s, const Share& share, const float* src, float* dst,
                                       ptrdiff_t out_plane, float* rows) {
  const Ring ring = ring_of(s);
  const ptrdiff_t out_row = static_cast<ptrdiff_t>(s.ow) * lanes,
                  in_row = static_cast<ptrdiff_t>(s.iw) * lanes;
  const Tiles cut(s.ow, most_pixels, one_size ? few : every_number);
  const Kernel longer = kernel_for(s, cut.base + (one_size ? 0 : 1));
  const Kernel usual = kernel_for(s, one_size ? 1 : cut.base);
  Tile t;
  t.args = &s;
  set_bounds(t, s.epilogue.after);
  t.block = t.residual_block = 0;
  t.last = true;
  const bool simple = in_registers(s.epilogue.after);
  const int rows_together = parts_of(near_pixels, s.ow);
  Rows r;
  r.row = ring.row;
  r.mask = ring.copied ? ring.rows - 1 : -1;
  for (int block = share.begin; block < share.end; ++block) {
    const float* const plane = src + static_cast<ptrdiff_t>(block) * s.ih * in_row;
    t.channel = block * lanes;
    r.first = ring.copied ? rows : plane;
    r.weights = s.weights + static_cast<ptrdiff_t>(block) * taps_of(s) * lanes;
    int copied = 0;  // rows so far
    for (int oy = share.top, waiting = oy; oy < share.bottom; ++oy) {
      r.y = oy * s.sh - s.pt;
      r.begin = 0;
      r.end = s.kh;
      while (r.begin < r.end && r.y + r.begin * s.dh < 0) ++r.begin;
      while (r.end > r.begin && r.y + (r.end - 1) * s.dh >= s.ih) --r.end;
      if (ring.copied && r.end > r.begin) {
        // from the window's first row on, as the next windows may want those between the taps
        const int low = r.y, high = r.y + (r.end - 1) * s.dh + 1;
        for (int y = copied > low ? copied : low; y < high; ++y)
          copy_row(s, ring, plane + y * in_row, rows + (y & r.mask) * ring.row);
        copied = high > copied ? high : copied;
      }
      const ptrdiff_t at = block * out_plane + oy * out_row;
      for (int tile = 0; tile < cut.count; ++tile) {
        const int x = cut.begin(tile);
        t.dst = dst + at + static_cast<ptrdiff_t>(x) * lanes;
        t.residual = s.residual != nullptr ? s.residual + at + static_cast<ptrdiff_t>(x) * lanes : nullptr;
        (tile < cut.longer ? longer : usual)(s, r, x, t);
      }
      if (!simple && (oy + 1 - waiting == rows_together || oy + 1 == share.bottom)) {
        activate_pixels(s, (oy + 1 - waiting) * s.ow, 1, dst + block * out_plane + waiting * out_row, 0);
        waiting = oy + 1;
      }
    }
  }
}

int32_t phases(const ConvArgs&) { return 1; }

void run_part(const ConvArgs& s, const float* src, float* dst, float* scratch, int32_t, int32_t part,
              int32_t parts) {
  convolve_blocks(s, share_of(s, part, parts), src, dst, static_cast<ptrdiff_t>(s.oh) * s.ow * lanes,
                  scratch + part * ring_floats(s));
}

void run(const ConvArgs& s, const float* src, float* dst, float* scratch) {
  run_part(s, src, dst, scratch, 0, 0, 1);
}

}  // namespace blocked_depthwise
}  // namespace
}  // namespace KERNELET_ISA
}  // namespace kernelet
