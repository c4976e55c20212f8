// Stand-alone pooling, any window: src [c][ih][iw] -> dst [c][oh][ow]. What the tile epilogue cannot fuse.
#pragma once

#include "interleave.h"
#include "table.h"
#include "vec.h"

namespace kernelet {
namespace KERNELET_ISA {
namespace {

// `n` neighbouring outputs of a row in the lanes; `step` floats lie between their inputs. (No call: whoever sums in a loop
// would keep its sum in memory.)
KERNELET_INLINE reg load_strided(const float* p, int step, int n) {
  if (step == 1) return n == lanes ? F32::load(p) : F32::load_first(p, n);
  if (step == 2 && !one_size) {
    const int all = 2 * n - 1;
    if (all <= lanes) return F32::even(F32::load_first(p, all), F32::zero());
    return F32::even(F32::load(p), F32::load_first(p + lanes, all - lanes));
  }
  float all[lanes];
  for (int i = 0; i < lanes; ++i) all[i] = i < n ? p[static_cast<ptrdiff_t>(i) * step] : 0.0f;
  return F32::load(all);
}

// Maxima, or sums divided, of `count` windows beside each other that lie in the plane: `rows` rows `down` floats apart. `room`:
// dst has whole registers, which are soon read as such.
template <bool Max>
KERNELET_NOINLINE void fold_windows(const PoolArgs& s, int count, int columns, int step, int rows,
                                    ptrdiff_t down, const float* src, reg divisor, bool room, float* dst) {
  for (int o = 0; o < count; o += lanes) {
    const int n = count - o < lanes ? count - o : lanes;
    const float* row = src + static_cast<ptrdiff_t>(o) * step;
    reg all = Max ? F32::splat(-__builtin_inff()) : F32::zero();
    for (int r = 0; r < rows; ++r, row += down) {
      for (int t = 0; t < columns; ++t) {
        const reg x = load_strided(row + t * s.dw, step, n);
        all = Max ? running_max(all, x) : F32::add(all, x);
      }
    }
    if (!Max) all = F32::div(all, divisor);
    if (n == lanes || room) F32::store(dst + o, all);
    else F32::store_first(dst + o, all, n);
  }
}

// Outputs [begin, end) of a row have every tap of the window inside the row.
KERNELET_INLINE void inner_range(int out, int in, int k, int stride, int dilation, int pad, int& begin,
                                 int& end) {
  const int last_start = in - 1 - (k - 1) * dilation + pad;  // largest x * stride that fits
  begin = (pad + stride - 1) / stride;
  end = last_start < 0 ? 0 : last_start / stride + 1;
  if (end > out) end = out;
  if (begin > end) begin = end;
}

// Of a window's taps from `start` on [from, to) lie in [0, size); PyTorch divides by `count` along this dimension: those of
// the window cut to the padded plane, or to the plane itself without count_include_pad. 1 where nothing lies inside: the
// average of no taps is 0.
struct Taps {
  int from, to, count;
};
KERNELET_NOINLINE Taps taps_of(const PoolArgs& s, int start, int k, int dilation, int size, int pad) {
  Taps taps = {0, k, 1};
  while (taps.from < k && start + taps.from * dilation < 0) ++taps.from;
  if (s.count_include_pad) {
    while (taps.to > taps.from && start + (taps.to - 1) * dilation >= size + pad) --taps.to;
    taps.count = taps.to;
  }
  while (taps.to > taps.from && start + (taps.to - 1) * dilation >= size) --taps.to;
  if (!s.count_include_pad || taps.to == taps.from) taps.count = taps.to - taps.from;
  if (taps.count == 0) taps.count = 1;
  return taps;
}
KERNELET_INLINE Taps rows_of_window(const PoolArgs& s, int y0) {
  return taps_of(s, y0, s.kh, s.dh, s.ih, s.pb);
}
KERNELET_INLINE Taps columns_of_window(const PoolArgs& s, int x0) {
  return taps_of(s, x0, s.kw, s.dw, s.iw, s.pr);
}

// The running maximum of the taps of a window in a row of the plane.
KERNELET_NOINLINE float max_of_row(const PoolArgs& s, const float* row, int x0, float best) {
  const Taps taps = columns_of_window(s, x0);
  for (int t = taps.from; t < taps.to; ++t) {
    const float v = row[x0 + t * s.dw];
    if (v > best || v != v) best = v;
  }
  return best;
}

// First along a window's columns, then over its rows, a band of rows at a time: that leaves the first of equals, and the last
// NaN, where they are.
void max_pool(const PoolArgs& s, const float* src, float* dst) {
  constexpr int wide = 64, most = 64, most_span = 5 * wide;
  constexpr float lowest = -__builtin_inff();
  alignas(64) float maxima[most * wide];  // over columns, of rows of the plane
  float padded[most_span];
  int begin, end;
  inner_range(s.ow, s.iw, s.kw, s.sw, s.dw, s.pl, begin, end);
  for (int c = 0; c < s.c; ++c) {
    for (int x = 0; x < s.ow; x += wide) {
      const int count = s.ow - x < wide ? s.ow - x : wide;
      // rows get what is missing around them where windows go beyond the plane, unless that is much
      const int x0 = x * s.sw - s.pl, span = (count - 1) * s.sw + (s.kw - 1) * s.dw + 1;
      const bool inside = begin <= x && x + count <= end, copies = !inside && span <= most_span;
      const int left = x0 < 0 ? -x0 : 0, taken = (x0 + span < s.iw ? x0 + span : s.iw) - x0 - left;
      for (int i = 0; copies && i < span; ++i) padded[i] = lowest;
      int first = 0, next = 0;  // rows of the plane in `maxima`
      for (int oy = 0; oy < s.oh; ++oy) {
        const int y0 = oy * s.sh - s.pt;
        const Taps taps = rows_of_window(s, y0);
        const int from = y0 + taps.from * s.dh, last = y0 + (taps.to - 1) * s.dh;
        float* const out = dst + static_cast<size_t>(oy) * s.ow + x;
        if ((s.kh - 1) * s.dh >= most || (!inside && !copies)) {  // a large window, for few outputs
          for (int i = 0; i < count; ++i) {
            out[i] = lowest;
            for (int y = from; y <= last; y += s.dh)
              out[i] = max_of_row(s, src + static_cast<size_t>(y) * s.iw, x0 + i * s.sw, out[i]);
          }
          continue;
        }
        const int low = y0 > 0 ? y0 : 0;  // of this and all later windows
        if (last >= first + most) first = next = low;
        if (next < low) next = low;
        for (; next <= last; ++next) {
          const float* row = src + static_cast<ptrdiff_t>(next) * s.iw + x0;
          if (copies && taken > 0) memcpy(padded + left, row + left, sizeof(float) * taken);
          fold_windows<true>(s, count, s.kw, s.sw, 1, 0, copies ? padded : row, F32::zero(), true,
                             maxima + static_cast<ptrdiff_t>(next - first) * wide);
        }
        fold_windows<true>(s, count, 1, 1, taps.to - taps.from, static_cast<ptrdiff_t>(s.dh) * wide,
                           maxima + static_cast<ptrdiff_t>(from - first) * wide, F32::zero(), false, out);
      }
    }
    src += static_cast<size_t>(s.ih) * s.iw;
    dst += static_cast<size_t>(s.oh) * s.ow;
  }
}

KERNELET_COLD inline float average_divisor(const PoolArgs& s, int y0, int x0) {
  return static_cast<float>(rows_of_window(s, y0).count * columns_of_window(s, x0).count);
}

void avg_pool(const PoolArgs& s, const float* src, float* dst) {
  int begin, end;
  inner_range(s.ow, s.iw, s.kw, s.sw, s.dw, s.pl, begin, end);
  for (int c = 0; c < s.c; ++c) {
    for (int oy = 0; oy < s.oh; ++oy) {
      const int y0 = oy * s.sh - s.pt;
      const Taps ys = rows_of_window(s, y0);
      const float* const first = src + static_cast<ptrdiff_t>(y0 + ys.from * s.dh) * s.iw - s.pl;
      const ptrdiff_t down = static_cast<ptrdiff_t>(s.dh) * s.iw;
      const reg area = F32::splat(static_cast<float>(ys.count * s.kw));
      fold_windows<false>(s, end - begin, s.kw, s.sw, ys.to - ys.from, down, first + begin * s.sw, area,
                          false, dst + begin);
      for (int ox = begin > 0 ? 0 : end; ox < s.ow; ox = ox + 1 == begin ? end : ox + 1) {
        const int x0 = ox * s.sw - s.pl;
        const Taps xs = columns_of_window(s, x0);
        const float* row = first + ox * s.sw;
        float sum = 0.0f;
        for (int r = ys.from; r < ys.to; ++r, row += down) {
          for (int t = xs.from; t < xs.to; ++t) sum = sum + row[t * s.dw];
        }
        dst[ox] = sum / static_cast<float>(ys.count * xs.count);
      }
      dst += s.ow;
    }
    src += static_cast<size_t>(s.ih) * s.iw;
  }
}

// Output i of `out` has the elements from floor(i in / out) to ceil((i + 1) in / out).
KERNELET_INLINE int bin_begin(int i, int in, int out) {
  return static_cast<int>(static_cast<int64_t>(i) * in / out);
}
KERNELET_INLINE int bin_end(int i, int in, int out) {
  return static_cast<int>((static_cast<int64_t>(i + 1) * in + out - 1) / out);
}

// Numbers of an average of n that are summed at a time.
KERNELET_INLINE int piece_of_average(int n) { return n > long_average ? average_piece : n; }

// Sums of `lanes` planes of n numbers, each in order, brought side by side some numbers at a time.
KERNELET_NOINLINE reg sum_planes(int n, const float* src) {
  constexpr int some = 4 * lanes;
  static_assert(average_piece % some == 0, "pieces are whole parts");
  alignas(64) float part[some * lanes];
  reg sum = F32::zero(), all = sum;
  for (int i = 0; i < n; i += some) {
    const int count = n - i < some ? n - i : some;
    batched::interleave(count, lanes, src + i, n, part);
    for (int j = 0; j < count; ++j) sum = F32::add(sum, F32::load(part + j * lanes));
    if (n <= long_average || (i + some) % average_piece != 0) continue;
    all = F32::add(all, sum);
    sum = F32::zero();
  }
  return F32::add(all, sum);
}

// `lanes` channels go side by side.
KERNELET_COLD void adaptive_pool(const PoolArgs& s, Pool pool, const float* src, float* dst) {
  const int in = s.ih * s.iw, out = s.oh * s.ow;
  for (int c = 0; c < s.c; c += lanes) {
    const int n = s.c - c < lanes ? s.c - c : lanes;
    for (int o = 0; o < out; ++o) {
      const int oy = o / s.ow, ox = o % s.ow;
      const int y0 = bin_begin(oy, s.ih, s.oh), y1 = bin_end(oy, s.ih, s.oh);
      const int x0 = bin_begin(ox, s.iw, s.ow), x1 = bin_end(ox, s.iw, s.ow);
      reg all = pool == Pool::max ? F32::splat(-__builtin_inff()) : F32::zero(), sum = F32::zero();
      const bool planes = out == 1 && n == lanes && pool != Pool::max;
      if (planes) all = sum_planes(in, src + static_cast<size_t>(c) * in);
      const int piece = piece_of_average((y1 - y0) * (x1 - x0));
      int left = piece;
      for (int y = planes ? y1 : y0; y < y1; ++y) {
        for (int x = x0; x < x1; ++x) {
          const float* const p = src + static_cast<size_t>(c) * in + static_cast<size_t>(y) * s.iw + x;
          const reg tap = load_strided(p, in, n);
          all = pool == Pool::max ? running_max(all, tap) : F32::add(all, tap);
          if (pool == Pool::max || --left > 0) continue;
          sum = F32::add(sum, all);
          all = F32::zero();
          left = piece;
        }
      }
      if (pool != Pool::max)
        all = F32::div(F32::add(sum, all), F32::splat(static_cast<float>((y1 - y0) * (x1 - x0))));
      float values[lanes];
      F32::store(values, all);
      for (int i = 0; i < n; ++i) dst[(static_cast<size_t>(c) + i) * out + o] = values[i];
    }
  }
}

}  // namespace
}  // namespace KERNELET_ISA
}  // namespace kernelet
