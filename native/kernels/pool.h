// Stand-alone pooling, any window: src [c][ih][iw] -> dst [c][oh][ow]. What the tile epilogue cannot fuse.
#pragma once

#include "interleave.h"
#include "table.h"
#include "vec.h"

namespace kernelet {
namespace KERNELET_ISA {
namespace {

// Lanes are `lanes` neighbouring outputs of a row; `step` floats lie between their inputs.
KERNELET_INLINE reg load_strided(const float* p, int step, int n) {
  if (step == 1) return n == lanes ? F32::load(p) : F32::load_first(p, n);
  float all[lanes];
  for (int i = 0; i < lanes; ++i) all[i] = i < n ? p[static_cast<ptrdiff_t>(i) * step] : 0.0f;
  return F32::load(all);
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

KERNELET_COLD inline float max_at(const PoolArgs& s, const float* src, int y0, int x0) {
  float best = -__builtin_inff();
  for (int r = 0; r < s.kh; ++r) {
    const int y = y0 + r * s.dh;
    if (y < 0 || y >= s.ih) continue;
    for (int t = 0; t < s.kw; ++t) {
      const int x = x0 + t * s.dw;
      if (x < 0 || x >= s.iw) continue;
      const float v = src[static_cast<size_t>(y) * s.iw + x];
      if (v > best || v != v) best = v;
    }
  }
  return best;
}

void max_pool(const PoolArgs& s, const float* src, float* dst) {
  int begin, end;
  inner_range(s.ow, s.iw, s.kw, s.sw, s.dw, s.pl, begin, end);
  for (int c = 0; c < s.c; ++c) {
    for (int oy = 0; oy < s.oh; ++oy) {
      const int y0 = oy * s.sh - s.pt;
      for (int ox = 0; ox < begin; ++ox) dst[ox] = max_at(s, src, y0, ox * s.sw - s.pl);
      for (int ox = begin; ox < end; ox += lanes) {
        const int n = end - ox < lanes ? end - ox : lanes;
        reg best = F32::splat(-__builtin_inff());
        for (int r = 0; r < s.kh; ++r) {
          const int y = y0 + r * s.dh;
          if (y < 0 || y >= s.ih) continue;
          const float* row = src + static_cast<size_t>(y) * s.iw + ox * s.sw - s.pl;
          for (int t = 0; t < s.kw; ++t) best = running_max(best, load_strided(row + t * s.dw, s.sw, n));
        }
        F32::store_first(dst + ox, best, n);
      }
      for (int ox = end; ox < s.ow; ++ox) dst[ox] = max_at(s, src, y0, ox * s.sw - s.pl);
      dst += s.ow;
    }
    src += static_cast<size_t>(s.ih) * s.iw;
  }
}

// Taps of a window from `start` on that lie in [low, high).
KERNELET_COLD inline int taps_within(int start, int k, int dilation, int low, int high) {
  int taps = 0;
  for (int i = 0; i < k; ++i) {
    if (start + i * dilation >= low && start + i * dilation < high) ++taps;
  }
  return taps;
}

// PyTorch's divisor: the window cut to the padded plane, or to the plane itself without count_include_pad.
// 1 where nothing of the window lies inside: the average of no taps is 0.
KERNELET_COLD inline float average_divisor(const PoolArgs& s, int y0, int x0) {
  const int inside = taps_within(y0, s.kh, s.dh, 0, s.ih) * taps_within(x0, s.kw, s.dw, 0, s.iw);
  if (inside == 0) return 1.0f;
  return static_cast<float>(!s.count_include_pad ? inside
                                                 : taps_within(y0, s.kh, s.dh, y0, s.ih + s.pb) *
                                                       taps_within(x0, s.kw, s.dw, x0, s.iw + s.pr));
}

KERNELET_COLD inline float average_at(const PoolArgs& s, const float* src, int y0, int x0) {
  float sum = 0.0f;
  for (int r = 0; r < s.kh; ++r) {
    const int y = y0 + r * s.dh;
    if (y < 0 || y >= s.ih) continue;
    for (int t = 0; t < s.kw; ++t) {
      const int x = x0 + t * s.dw;
      if (x >= 0 && x < s.iw) sum = sum + src[static_cast<size_t>(y) * s.iw + x];
    }
  }
  return sum / average_divisor(s, y0, x0);
}

KERNELET_COLD void avg_pool(const PoolArgs& s, const float* src, float* dst) {
  int begin, end;
  inner_range(s.ow, s.iw, s.kw, s.sw, s.dw, s.pl, begin, end);
  const reg area = F32::splat(static_cast<float>(s.kh * s.kw));
  for (int c = 0; c < s.c; ++c) {
    for (int oy = 0; oy < s.oh; ++oy) {
      const int y0 = oy * s.sh - s.pt;
      const bool whole = y0 >= 0 && y0 + (s.kh - 1) * s.dh < s.ih;
      const int from = whole ? begin : s.ow, to = whole ? end : s.ow;
      for (int ox = 0; ox < from; ++ox) dst[ox] = average_at(s, src, y0, ox * s.sw - s.pl);
      for (int ox = from; ox < to; ox += lanes) {
        const int n = to - ox < lanes ? to - ox : lanes;
        reg sum = F32::zero();
        for (int r = 0; r < s.kh; ++r) {
          const float* row = src + static_cast<size_t>(y0 + r * s.dh) * s.iw + ox * s.sw - s.pl;
          for (int t = 0; t < s.kw; ++t) sum = F32::add(sum, load_strided(row + t * s.dw, s.sw, n));
        }
        F32::store_first(dst + ox, F32::div(sum, area), n);
      }
      for (int ox = to; ox < s.ow; ++ox) dst[ox] = average_at(s, src, y0, ox * s.sw - s.pl);
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

// `lanes` channels go side by side.
KERNELET_COLD void adaptive_pool(const PoolArgs& s, Pool pool, const float* src, float* dst) {
  const int in = s.ih * s.iw, out = s.oh * s.ow;
  for (int c = 0; c < s.c; c += lanes) {
    const int n = s.c - c < lanes ? s.c - c : lanes;
    for (int o = 0; o < out; ++o) {
      const int oy = o / s.ow, ox = o % s.ow;
      const int y0 = bin_begin(oy, s.ih, s.oh), y1 = bin_end(oy, s.ih, s.oh);
      const int x0 = bin_begin(ox, s.iw, s.ow), x1 = bin_end(ox, s.iw, s.ow);
      reg all = pool == Pool::max ? F32::splat(-__builtin_inff()) : F32::zero();
      const bool planes = out == 1 && n == lanes && pool != Pool::max;
      for (int i = 0; planes && i < in; i += lanes)
        all = add_rows(all, in - i < lanes ? in - i : lanes, src + static_cast<size_t>(c) * in + i, in);
      for (int y = planes ? y1 : y0; y < y1; ++y) {
        for (int x = x0; x < x1; ++x) {
          const float* const p = src + static_cast<size_t>(c) * in + static_cast<size_t>(y) * s.iw + x;
          const reg tap = load_strided(p, in, n);
          all = pool == Pool::max ? running_max(all, tap) : F32::add(all, tap);
        }
      }
      if (pool != Pool::max) all = F32::div(all, F32::splat(static_cast<float>((y1 - y0) * (x1 - x0))));
      float values[lanes];
      F32::store(values, all);
      for (int i = 0; i < n; ++i) dst[(static_cast<size_t>(c) + i) * out + o] = values[i];
    }
  }
}

}  // namespace
}  // namespace KERNELET_ISA
}  // namespace kernelet
