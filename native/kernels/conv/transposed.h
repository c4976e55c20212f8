// Transposed convolution, the way back of a convolution: src [ic][ih][iw] -> dst [oc][oh][ow], a pixel being `width`
// floats: one of an image alone, or the lanes of a block of images. weight [ic][oc / groups][kh][kw].
//
// Outputs sh and sw apart are a phase, and see the same taps: each phase is a dense convolution of the input, of stride
// 1 and with the taps that reach it, from the input's last pixel to its first as the window goes by:
//
//   stride 2, kernel 3:   output   y0    y1    y2    y3    y4
//                         taps     k0    k1  k0 k2   k1  k0 k2
//                         input    x0    x0  x1 x0   x1  x2 x1
//
// The input is copied with zeros around, so that all its rows are one long row: neighbours in it are neighbours in a
// phase, across the ends of rows too, whatever the width of an image. What is computed for pixels between two rows is not
// stored. A row's zeros at its right end serve the next row at its left.
//
// weights: [group][part of its channels][phase][ic][taps of the phase][channels of the part]
#pragma once

#include "common.h"

namespace kernelet {
namespace KERNELET_ISA {
namespace {
namespace transposed {

// One of the two axes. Tap k of the window reaches outputs p with p + pad - k d divisible by s.
struct Axis {
  int in, out, k, s, d, pad;
  int step, inverse;  // from one tap of a phase to the next: s / gcd; of d / gcd, modulo step
  int before, after;  // zeros that are read around the input
};

KERNELET_COLD KERNELET_NOINLINE Axis axis_of(int in, int out, int k, int s, int d, int pad) {
  Axis a = {in, out, k, s, d, pad, 0, 0, 0, 0};
  // Euclid: last = gcd(s, d), and times d it is from * d modulo s
  int64_t last = s, rest = d, from = 0, next = 1;
  while (rest != 0) {
    const int64_t q = last / rest, r = last - q * rest, t = from - q * next;
    last = rest;
    rest = r;
    from = next;
    next = t;
  }
  a.step = s / static_cast<int>(last);
  a.inverse = static_cast<int>((from % a.step + a.step) % a.step);
  const int reach = (k - 1) * d - pad;
  a.before = reach > 0 ? reach / s : 0;
  const int end = static_cast<int>((int64_t{out} - 1 + pad) / s);
  a.after = end > in - 1 ? end - (in - 1) : 0;
  return a;
}

// Taps `first`, first + step, … `count` of them; the first one reads input `at` for the first output of the phase, each
// further one `back` before.
struct Taps {
  int first, count, at, back;
};

KERNELET_COLD KERNELET_NOINLINE Taps taps_of(const Axis& a, int phase) {
  const int divisor = a.s / a.step, place = phase + a.pad;
  Taps t = {0, 0, 0, a.d / divisor};
  if (place % divisor != 0) return t;
  t.first = static_cast<int>(static_cast<int64_t>(place / divisor % a.step) * a.inverse % a.step);
  if (t.first >= a.k) return t;
  t.count = (a.k - 1 - t.first) / a.step + 1;
  t.at = (place - t.first * a.d) / a.s;
  return t;
}
KERNELET_INLINE int phases(const Axis& a) { return a.s < a.out ? a.s : a.out; }
KERNELET_INLINE int outputs_of(const Axis& a, int phase) { return (a.out - 1 - phase) / a.s + 1; }

// The padded copy of the input: rows of `w` pixels, h of them in a plane.
struct Grid {
  Axis y, x;
  int h, w;
};

KERNELET_COLD KERNELET_NOINLINE Grid grid_of(const ConvArgs& s) {
  Grid g = {axis_of(s.ih, s.oh, s.kh, s.sh, s.dh, s.pt), axis_of(s.iw, s.ow, s.kw, s.sw, s.dw, s.pl), 0, 0};
  g.h = g.y.before + s.ih + g.y.after;
  g.w = s.iw + (g.x.before > g.x.after ? g.x.before : g.x.after);
  return g;
}

// The input, and what the last tile reads beyond it.
KERNELET_INLINE size_t copy_size(const ConvArgs& s, const Grid& g, int width) {
  return (static_cast<size_t>(s.ic) * g.h * g.w + g.x.before) * width + tile_width;
}

// Rows of a phase whose sums wait to be stored: some hundred floats, and at least one row.
KERNELET_INLINE int rows_at_once(const Grid& g, int width) {
  const size_t row = static_cast<size_t>(g.w) * width;
  return row < 512 ? static_cast<int>(512 / row) : 1;
}
KERNELET_COLD KERNELET_NOINLINE size_t sums_size(const Grid& g, int width) {
  int rows = rows_at_once(g, width);
  const int most = outputs_of(g.y, 0);
  if (rows > most) rows = most;
  // whole tiles, and whole registers of the last row
  return (static_cast<size_t>(rows) * g.w * width + lanes + tile_width - 1) / tile_width * tile_width;
}

// Two phases are stored together where their pixels alternate.
KERNELET_INLINE int phases_at_once(const ConvArgs& s, int width) { return s.sw == 2 && width == 1 ? 2 : 1; }

KERNELET_COLD size_t weights_size(const ConvArgs& s) { return packed_size<tile_rows>(s); }
KERNELET_COLD size_t scratch_size(const ConvArgs& s, int32_t width) {
  const Grid g = grid_of(s);
  const size_t copy = (copy_size(s, g, width) + 15) / 16 * 16;
  return copy + static_cast<size_t>(phases_at_once(s, width)) * tile_rows * sums_size(g, width);
}

// Input channels [begin, end) of weight [ic][oc / groups][kh][kw].
KERNELET_COLD void pack(const ConvArgs& s, int32_t begin, int32_t end, const float* weight, float* packed) {
  const Grid grid = grid_of(s);
  const int m = conv_m(s), ic = group_ic(s);
  const RowParts cut(m, tile_rows);
  float* at = packed;
  for (int g = 0; g < s.groups; ++g) {
    for (int part = 0; part < cut.parts; ++part) {
      const int first = cut.begin(part), rows = cut.begin(part + 1) - first;
      for (int phase = 0; phase < phases(grid.y) * phases(grid.x); ++phase) {
        const Taps y = taps_of(grid.y, phase / phases(grid.x)), x = taps_of(grid.x, phase % phases(grid.x));
        const size_t size = static_cast<size_t>(y.count) * x.count * rows;
        for (int i = 0; i < ic; ++i, at += size) {
          const int channel = g * ic + i;
          if (channel < begin || channel >= end) continue;
          float* to = at;
          for (int r = 0; r < y.count; ++r) {
            for (int t = 0; t < x.count; ++t) {
              const int kh = y.first + r * grid.y.step, kw = x.first + t * grid.x.step;
              for (int row = 0; row < rows; ++row) {
                const size_t filter = static_cast<size_t>(channel) * m + first + row;
                *to++ = weight[(filter * s.kh + kh) * s.kw + kw];
              }
            }
          }
        }
      }
    }
  }
  // taps that reach no output, and the slack
  if (begin == 0) memset(at, 0, sizeof(float) * (weights_size(s) - static_cast<size_t>(at - packed)));
}

// One tile of sums: M channels x 4 registers of neighbours.
struct Tile {
  const float* src;  // what the first tap reads for the first neighbour
  const float* weights;
  float* sums;
  size_t next_channel;  // of sums
  ptrdiff_t plane, back,
      left;  // from a channel of the input to the next, from a tap's row or pixel to the next one's
  int channels, ic, kh, kw;
};

struct Kernel {
  template <int M>
  static void run(const Tile& t);
};

template <int M>
void Kernel::run(const Tile& t) {
  reg c[M][tile_vectors];
  KERNELET_UNROLL
  for (int m = 0; m < M; ++m) {
    KERNELET_UNROLL
    for (int v = 0; v < tile_vectors; ++v) c[m][v] = F32::zero();
  }
  const int channels = rows_of<tile_rows, M>(t.channels);
  const float *w = t.weights, *src = t.src;
  int ic = t.ic;
  do {
    const float* tap_row = src;
    int kh = t.kh;
    do {
      const float* tap = tap_row;
      int kw = t.kw;
      do {
        reg wm[M];
        KERNELET_UNROLL
        for (int m = 0; m < M; ++m) wm[m] = F32::splat(w[m]);
        KERNELET_UNROLL
        for (int v = 0; v < tile_vectors; ++v) {
          const reg x = F32::load(tap + v * lanes);
          KERNELET_UNROLL
          for (int m = 0; m < M; ++m) c[m][v] = F32::muladd(x, wm[m], c[m][v]);
        }
        w += channels;
        tap -= t.left;
      } while (--kw > 0);
      tap_row -= t.back;
    } while (--kh > 0);
    src += t.plane;
  } while (--ic > 0);
  KERNELET_UNROLL
  for (int m = 0; m < M; ++m) {
    if (!is_there<tile_rows, M>(m, channels)) continue;
    KERNELET_UNROLL
    for (int v = 0; v < tile_vectors; ++v) F32::store(t.sums + m * t.next_channel + v * lanes, c[m][v]);
  }
}

KERNELET_INLINE auto kernel_for(int channels) {
  const auto kernel = kernel_of<Kernel, tile_rows>(channels);
  if constexpr (!one_size && !every_size<tile_rows>) return channels == 1 ? Kernel::run<1> : kernel;
  else return kernel;
}

// Sums of one row of a phase -> every sw-th pixel of a row of outputs.
KERNELET_INLINE void store_row(const ConvArgs& s, int width, reg bias, reg floor, float* sums, int pixels,
                               float* dst) {
  const ptrdiff_t n = static_cast<ptrdiff_t>(pixels) * width;
  for (ptrdiff_t i = 0; i < n; i += lanes) {
    const reg y = F32::max(floor, F32::add(F32::load(sums + i), bias));
    const int count = n - i < lanes ? static_cast<int>(n - i) : lanes;
    if (s.sw == 1) F32::store_first(dst + i, y, count);
    else if (width == lanes) F32::store(dst + i * s.sw, y);
    else F32::store_first(sums + i, y, count);
  }
  if (s.sw == 1 || width == lanes) return;
  for (ptrdiff_t i = 0; i < n; ++i) dst[i * s.sw] = sums[i];
}

// Two phases whose pixels alternate, a first: `pixels` of both together.
KERNELET_INLINE void store_pairs(reg bias, reg floor, const float* a, const float* b, int pixels,
                                 float* dst) {
  for (int i = 0; i < pixels; i += 2 * lanes) {
    reg low = F32::max(floor, F32::add(F32::load(a + i / 2), bias));
    reg high = F32::max(floor, F32::add(F32::load(b + i / 2), bias));
    alternate(low, high);
    const int left = pixels - i;
    if (left >= 2 * lanes) {
      F32::store(dst + i, low);
      F32::store(dst + i + lanes, high);
    } else {
      F32::store_first(dst + i, low, left < lanes ? left : lanes);
      if (left > lanes) F32::store_first(dst + i + lanes, high, left - lanes);
    }
  }
}

// What all of a part's sums have in common.
struct Part {
  const float* copy;  // the group's first channel
  const float* weights;
  const float* bias;
  float* dst;  // first channel
  int channels;
};

// Rows [first, first + rows) of phase (py, px) -> sums; returns how many weights it has.
KERNELET_COLD KERNELET_NOINLINE size_t sum_phase(const ConvArgs& s, const Grid& g, int width, const Part& p,
                                                 const Taps& y, int px, int first, int rows,
                                                 const float* weights, float* sums) {
  const Taps x = taps_of(g.x, px);
  const size_t row = static_cast<size_t>(g.w) * width, next_channel = sums_size(g, width);
  const size_t n = static_cast<size_t>(rows - 1) * row + static_cast<size_t>(outputs_of(g.x, px)) * width;
  if (y.count == 0 || x.count == 0) {
    for (int m = 0; m < p.channels; ++m) memset(sums + m * next_channel, 0, sizeof(float) * n);
    return 0;
  }
  Tile t;
  t.plane = static_cast<ptrdiff_t>(g.h * row);
  t.back = static_cast<ptrdiff_t>(y.back * row);
  t.left = static_cast<ptrdiff_t>(x.back) * width;
  t.channels = p.channels;
  t.ic = group_ic(s);
  t.kh = y.count;
  t.kw = x.count;
  t.weights = weights;
  t.next_channel = next_channel;
  const float* src = p.copy + static_cast<size_t>(first + g.y.before + y.at) * row +
                     static_cast<size_t>(g.x.before + x.at) * width;
  for (size_t i = 0; i < n; i += tile_width) {
    t.src = src + i;
    t.sums = sums + i;
    kernel_for(p.channels)(t);
  }
  return static_cast<size_t>(t.ic) * y.count * x.count * p.channels;
}

KERNELET_NOINLINE void store_rows(const ConvArgs& s, const Grid& g, int width, const Part& p, int py, int px,
                                  int first, int rows, float* sums) {
  const size_t next_channel = sums_size(g, width);
  const reg floor = floor_of(s.epilogue.after);
  for (int m = 0; m < p.channels; ++m) {
    const reg bias = F32::splat(p.bias[m]);
    for (int r = 0; r < rows; ++r) {
      float* from = sums + m * next_channel + static_cast<size_t>(r) * g.w * width;
      const size_t y = static_cast<size_t>(first + r) * s.sh + py;
      float* to = p.dst + ((static_cast<size_t>(m) * s.oh + y) * s.ow + px) * width;
      if (phases_at_once(s, width) == 2) {
        store_pairs(bias, floor, from, from + tile_rows * next_channel, s.ow, to);
      } else {
        store_row(s, width, bias, floor, from, outputs_of(g.x, px), to);
      }
    }
  }
}

KERNELET_COLD void run(const ConvArgs& s, int32_t width, const float* src, float* dst, float* scratch) {
  const Grid g = grid_of(s);
  const size_t row = static_cast<size_t>(g.w) * width, plane = g.h * row, copy = copy_size(s, g, width);
  memset(scratch, 0, sizeof(float) * copy);
  const size_t in_row = static_cast<size_t>(s.iw) * width;
  for (int c = 0; c < s.ic; ++c) {
    float* to = scratch + c * plane + g.y.before * row + static_cast<size_t>(g.x.before) * width;
    for (int y = 0; y < s.ih; ++y, src += in_row, to += row) copy_row(src, in_row, to);
  }
  float* const sums = scratch + (copy + 15) / 16 * 16;
  const int m = conv_m(s), at_once = phases_at_once(s, width), rows_of_strip = rows_at_once(g, width);
  const RowParts cut(m, tile_rows);
  const float* weights = s.weights;
  for (int channel = 0, part = 0; channel < s.oc; part = part + 1 < cut.parts ? part + 1 : 0) {
    Part p;
    p.copy = scratch + static_cast<size_t>(channel / m) * group_ic(s) * plane;
    p.bias = s.bias + channel;
    p.dst = dst + static_cast<size_t>(channel) * s.oh * s.ow * width;
    p.channels = cut.begin(part + 1) - cut.begin(part);
    for (int py = 0; py < phases(g.y); ++py) {
      const Taps y = taps_of(g.y, py);
      const int all_rows = outputs_of(g.y, py);
      const float* next = weights;
      for (int first = 0; first < all_rows; first += rows_of_strip) {
        const int rows = all_rows - first < rows_of_strip ? all_rows - first : rows_of_strip;
        next = weights;
        for (int px = 0; px < phases(g.x); px += at_once) {
          for (int i = 0; i < at_once && px + i < phases(g.x); ++i) {
            next += sum_phase(s, g, width, p, y, px + i, first, rows, next,
                              sums + static_cast<size_t>(i) * tile_rows * sums_size(g, width));
          }
          store_rows(s, g, width, p, py, px, first, rows, sums);
        }
      }
      weights = next;
    }
    channel += p.channels;
  }
}

}  // namespace transposed
}  // namespace
}  // namespace KERNELET_ISA
}  // namespace kernelet
