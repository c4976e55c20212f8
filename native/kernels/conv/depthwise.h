// Depthwise convolution with channels in the SIMD lanes: for planes too small to fill registers with their rows.
//
// `lanes` channels at a time are transposed to [pixel][lanes] and back, as images of a batch are; in between
// every tap is a register of weights times a register of pixels. Taps in the padding are left out: they would
// add zeros.
//
//   tile: P pixels of a row x 1 register of channels
//   per tap: P loads of the input, 1 of weights, P muladds
//
// The last channels, where there are fewer than `lanes`, are moved back over their neighbours.
#pragma once

#include "kernels/batched.h"

namespace kernelet {
namespace KERNELET_ISA {
namespace {
namespace depthwise {

constexpr int most_pixels = 8;
// Input and output of `lanes` channels that stay in the second-level cache: floats.
constexpr size_t most_floats = (size_t{384} << 10) / sizeof(float);

KERNELET_INLINE size_t in_floats(const ConvArgs& s) { return static_cast<size_t>(s.ih) * s.iw * lanes; }
KERNELET_INLINE size_t out_floats(const ConvArgs& s) { return static_cast<size_t>(s.oh) * s.ow * lanes; }

KERNELET_COLD bool fits(const ConvArgs& s) {
  return has_direct && s.groups == s.ic && s.oc == s.ic && s.oc >= lanes && s.epilogue.pool == Pool::none &&
         in_floats(s) + out_floats(s) <= most_floats;
}

KERNELET_INLINE int panels(const ConvArgs& s) { return (s.oc + lanes - 1) / lanes; }
KERNELET_INLINE int first_channel(const ConvArgs& s, int panel) {
  return (panel + 1) * lanes <= s.oc ? panel * lanes : s.oc - lanes;
}

KERNELET_COLD size_t weights_size(const ConvArgs& s) {
  return static_cast<size_t>(panels(s)) * conv_k(s) * lanes;
}

// [panel][tap][lanes]
KERNELET_COLD void pack(const ConvArgs& s, const float* weight, float* packed) {
  const int k = conv_k(s);
  for (int panel = 0; panel < panels(s); ++panel) {
    const float* const from = weight + static_cast<size_t>(first_channel(s, panel)) * k;
    for (int tap = 0; tap < k; ++tap) {
      for (int l = 0; l < lanes; ++l) *packed++ = from[l * k + tap];
    }
  }
}

KERNELET_COLD size_t scratch_size(const ConvArgs& s) { return in_floats(s) + out_floats(s); }

// Taps [begin, end) of a window that starts at `at` and lie inside [0, size).
struct Taps {
  int begin, end;
};
KERNELET_INLINE Taps inside(int at, int taps, int dilation, int size) {
  Taps t = {0, taps};
  while (t.begin < taps && at + t.begin * dilation < 0) ++t.begin;
  while (t.end > t.begin && at + (t.end - 1) * dilation >= size) --t.end;
  return t;
}

// P neighbouring outputs of a row, all with the same taps inside. src: the first one's first tap, also where
// that lies outside.
template <int P>
KERNELET_INLINE void tile(const ConvArgs& s, Taps rows, Taps columns, const float* src, const float* weights,
                          reg bias, reg floor, float* dst) {
  reg c[P];
  KERNELET_UNROLL
  for (int p = 0; p < P; ++p) c[p] = F32::zero();
  const ptrdiff_t right = static_cast<ptrdiff_t>(s.sw) * lanes;
  for (int kh = rows.begin; kh < rows.end; ++kh) {
    const ptrdiff_t row = static_cast<ptrdiff_t>(kh) * s.dh * s.iw * lanes;
    for (int kw = columns.begin; kw < columns.end; ++kw) {
      const reg w = F32::load(weights + (kh * s.kw + kw) * lanes);
      const float* x = src + row + static_cast<ptrdiff_t>(kw) * s.dw * lanes;
      KERNELET_UNROLL
      for (int p = 0; p < P; ++p) c[p] = F32::muladd(w, F32::load(x + p * right), c[p]);
    }
  }
  KERNELET_UNROLL
  for (int p = 0; p < P; ++p) F32::store(dst + p * lanes, F32::max(floor, F32::add(c[p], bias)));
}

// src [ih][iw][lanes] -> dst [oh][ow][lanes]
[[maybe_unused]] void panel(const ConvArgs& s, const float* src, const float* weights, const float* bias_of,
                            float* dst) {
  const reg bias = F32::load(bias_of);
  const reg floor = floor_of(s.epilogue.after);
  for (int oy = 0; oy < s.oh; ++oy) {
    const int y = oy * s.sh - s.pt;
    const Taps rows = inside(y, s.kh, s.dh, s.ih);
    for (int ox = 0; ox < s.ow;) {
      const int x = ox * s.sw - s.pl;
      const Taps columns = inside(x, s.kw, s.dw, s.iw);
      const float* const at = src + (static_cast<ptrdiff_t>(y) * s.iw + x) * lanes;
      const bool whole = columns.begin == 0 && columns.end == s.kw;
      // the last of `pixels` windows that begin here has all its taps inside, too
      const auto fit = [&](int pixels) {
        return whole && ox + pixels <= s.ow && x + (pixels - 1) * s.sw + (s.kw - 1) * s.dw < s.iw;
      };
      if (fit(most_pixels)) {
        tile<most_pixels>(s, rows, columns, at, weights, bias, floor, dst);
        ox += most_pixels;
        dst += most_pixels * lanes;
      } else if (fit(4)) {
        tile<4>(s, rows, columns, at, weights, bias, floor, dst);
        ox += 4;
        dst += 4 * lanes;
      } else {
        tile<1>(s, rows, columns, at, weights, bias, floor, dst);
        ox += 1;
        dst += lanes;
      }
    }
  }
}

void run(const ConvArgs& s, const float* src, float* dst, float* scratch) {
  if constexpr (has_direct) {
    float* const in = scratch;
    float* const out = scratch + in_floats(s);
    const size_t in_plane = static_cast<size_t>(s.ih) * s.iw, out_plane = static_cast<size_t>(s.oh) * s.ow;
    for (int p = 0; p < panels(s); ++p) {
      const int channel = first_channel(s, p);
      batched::interleave(in_plane, lanes, src + channel * in_plane, in_plane, in);
      panel(s, in, s.weights + static_cast<size_t>(p) * conv_k(s) * lanes, s.bias + channel, out);
      batched::deinterleave(out_plane, lanes, out, dst + channel * out_plane, out_plane);
    }
  }
}

}  // namespace depthwise
}  // namespace
}  // namespace KERNELET_ISA
}  // namespace kernelet
