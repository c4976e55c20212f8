// Direct convolution with neighbouring pixels of a row in the lanes: no im2col, nothing packed but weights.
// For few output channels and rows at least a register wide; horizontal stride 1.
//
//   tile: R rows x 1 register of pixels x M channels
//   per tap: R loads of the input, M broadcast weights, R * M muladds
//
// A fused 2x2 pool takes the maximum of two rows in registers, then of even and odd lanes.
// The last tile of a row or plane is moved back to overlap its neighbour: same chains, same bits, stored twice.
#pragma once

#include "conv_common.h"

namespace kernelet {
namespace KERNELET_ISA {
namespace {
namespace direct_pixels {

constexpr int most_channels = 6;
constexpr int most_rows = F32::registers >= 32 ? 4 : 2;

// Rows narrower than a register are computed past their end, in a plane padded that far.
KERNELET_INLINE ConvArgs widened(const ConvArgs& s) {
  ConvArgs wide = s;
  if (wide.ow < lanes) wide.ow = lanes;
  return wide;
}

bool fits(const ConvArgs& s) { return lanes >= 4 && s.sw == 1 && s.oh >= 2; }

size_t weights_size(const ConvArgs& s) { return static_cast<size_t>(s.oc) * conv_k(s); }

void pack(const ConvArgs& s, const float* weight, float* packed) { pack_groups(s, most_channels, weight, packed); }

size_t scratch_size(const ConvArgs& s) { return padded_size(widened(s)); }

// R rows of outputs of one part of the channels, tile by tile.
struct Rows {
  Plane plane;
  const float* src;  // first input channel of the group, first tap of the first row's first pixel
  const float* weights;
  const float* bias;
  float* dst;         // first channel, first stored row
  ptrdiff_t channel;  // floats between channels of dst
};

template <int M, int R>
KERNELET_INLINE void accumulate(const ConvArgs& s, const Rows& t, const float* src, reg (&c)[M][R]) {
  KERNELET_UNROLL
  for (int m = 0; m < M; ++m) {
    KERNELET_UNROLL
    for (int r = 0; r < R; ++r) c[m][r] = F32::zero();
  }
  const float* w = t.weights;
  const ptrdiff_t row_step = static_cast<ptrdiff_t>(s.sh) * t.plane.w;
  const ptrdiff_t plane = static_cast<ptrdiff_t>(t.plane.h) * t.plane.w;
  const ptrdiff_t next_kh = static_cast<ptrdiff_t>(s.dh) * t.plane.w, next_kw = s.dw;
  int ic = s.ic / s.groups;
  do {
    const float* tap_row = src;
    int kh = s.kh;
    do {
      const float* p = tap_row;
      int kw = s.kw;
      do {
        reg x[R];
        KERNELET_UNROLL
        for (int r = 0; r < R; ++r) x[r] = F32::load(p + r * row_step);
        KERNELET_UNROLL
        for (int m = 0; m < M; ++m) {
          const reg wm = F32::splat(w[m]);
          KERNELET_UNROLL
          for (int r = 0; r < R; ++r) c[m][r] = F32::muladd(wm, x[r], c[m][r]);
        }
        w += M;
        p += next_kw;
      } while (--kw > 0);
      tap_row += next_kh;
    } while (--kh > 0);
    src += plane;
  } while (--ic > 0);
}

// Any epilogue, any number of columns: sums [channels][rows][lanes] -> dst.
[[maybe_unused]] KERNELET_NOINLINE void finish_tile(const ConvArgs& s, const Rows& t, int channels, int rows,
                                                    int columns, float* sums, float* dst) {
  const Epilogue& e = s.epilogue;
  for (int m = 0; m < channels; ++m) {
    float* to = dst + m * t.channel;
    for (int r = 0; r < rows; ++r) add_bias(sums + (m * rows + r) * lanes, F32::splat(t.bias[m]));
    for (int r = 0; r < rows; r += e.pool == Pool::none ? 1 : 2) {
      float* top = sums + (m * rows + r) * lanes;
      if (e.pool == Pool::none) {
        activate_in_place(e.after, lanes, top);
      } else {
        const float* bottom = top + lanes;
        alignas(64) float corners[tile_width];  // windows in the first half of each corner's lanes
        for (int i = 0; i < tile_width; ++i) corners[i] = 0.0f;
        for (int i = 0; i < lanes / 2; ++i) {
          corners[i] = top[2 * i];
          corners[lanes + i] = top[2 * i + 1];
          corners[2 * lanes + i] = bottom[2 * i];
          corners[3 * lanes + i] = bottom[2 * i + 1];
        }
        pool_corners(e, corners);
        for (int i = 0; i < lanes / 2; ++i) top[i] = corners[i];
      }
      for (int i = 0; i < columns; ++i) to[i] = top[i];
      to += s.pw;
    }
  }
}

template <int M, int R>
KERNELET_INLINE void store_plain(const ConvArgs& s, const Rows& t, reg floor, const reg (&c)[M][R], float* dst) {
  KERNELET_UNROLL
  for (int m = 0; m < M; ++m) {
    const reg bias = F32::splat(t.bias[m]);
    KERNELET_UNROLL
    for (int r = 0; r < R; ++r) {
      F32::store(dst + m * t.channel + r * s.pw, F32::max(floor, F32::add(c[m][r], bias)));
    }
  }
}

// Two channels share a register: [lanes / 2 windows of the first | lanes / 2 of the second].
template <int M, int R>
KERNELET_INLINE void store_pooled(const ConvArgs& s, const Rows& t, reg floor, const reg (&c)[M][R], float* dst) {
  KERNELET_UNROLL
  for (int m = 0; m < M; m += 2) {
    const int partner = m + 1 < M ? m + 1 : m;
    const reg bias0 = F32::splat(t.bias[m]), bias1 = F32::splat(t.bias[partner]);
    KERNELET_UNROLL
    for (int r = 0; r < R; r += 2) {
      const reg a = F32::add(running_max(c[m][r], c[m][r + 1]), bias0);
      const reg b = F32::add(running_max(c[partner][r], c[partner][r + 1]), bias1);
      const reg y = running_max(F32::even(a, b), F32::odd(a, b));
      float* low = dst + m * t.channel + r / 2 * s.pw;
      F32::store_halves(low, low + (partner - m) * t.channel, F32::max(floor, y));
    }
  }
}

template <int M, int R, bool Pooled>
void rows(const ConvArgs& s, const Rows& t) {
  constexpr int shrink = Pooled ? 2 : 1;
  const bool in_registers = is_simple(s.epilogue) && s.ow >= lanes;
  const reg floor = floor_of(s.epilogue.after);
  for (int column = 0; column < s.ow; column += lanes) {
    const int x = column + lanes <= s.ow ? column : s.ow > lanes ? s.ow - lanes : 0;
    float* dst = t.dst + x / shrink;
    reg c[M][R];
    accumulate<M, R>(s, t, t.src + x, c);
    if (!in_registers) {
      alignas(64) float sums[M * R * lanes];
      KERNELET_UNROLL
      for (int m = 0; m < M; ++m) {
        KERNELET_UNROLL
        for (int r = 0; r < R; ++r) F32::store(sums + (m * R + r) * lanes, c[m][r]);
      }
      finish_tile(s, t, M, R, (s.ow < lanes ? s.ow : lanes) / shrink, sums, dst);
    } else if constexpr (Pooled) {
      store_pooled<M, R>(s, t, floor, c, dst);
    } else {
      store_plain<M, R>(s, t, floor, c, dst);
    }
  }
}

using Kernel = void (*)(const ConvArgs&, const Rows&);

template <int R, bool Pooled>
KERNELET_INLINE Kernel kernel_of(int channels) {
  static const Kernel kernels[] = {rows<1, R, Pooled>, rows<2, R, Pooled>, rows<3, R, Pooled>,
                                   rows<4, R, Pooled>, rows<5, R, Pooled>, rows<6, R, Pooled>};
  return kernels[channels - 1];
}

template <int R>
KERNELET_INLINE void run_rows(const ConvArgs& s, Plane plane, const float* src, float* dst) {
  const bool pooled = s.epilogue.pool != Pool::none;
  const int m = conv_m(s), k = conv_k(s), parts = parts_of(m, most_channels);
  const size_t out_plane = static_cast<size_t>(s.ph) * s.pw;
  const size_t group_size = static_cast<size_t>(s.ic / s.groups) * plane.h * plane.w;
  for (int g = 0; g < s.groups; ++g) {
    for (int row = 0; row < s.oh; row += R) {
      const int y = row + R <= s.oh ? row : s.oh - R;
      for (int part = 0; part < parts; ++part) {
        const int begin = part_begin(m, parts, part), channels = part_begin(m, parts, part + 1) - begin;
        const size_t channel = static_cast<size_t>(g) * m + begin;
        Rows t;
        t.plane = plane;
        t.src = src + g * group_size + static_cast<size_t>(y) * s.sh * plane.w;
        t.weights = s.weights + channel * k;
        t.bias = s.bias + channel;
        t.channel = static_cast<ptrdiff_t>(out_plane);
        t.dst = dst + channel * out_plane + static_cast<size_t>(pooled ? y / 2 : y) * s.pw;
        (pooled ? kernel_of<R, true>(channels) : kernel_of<R, false>(channels))(s, t);
      }
    }
  }
}

void run(const ConvArgs& s, const float* src, float* dst, float* scratch) {
  if constexpr (lanes >= 4) {
    const ConvArgs wide = widened(s);
    const Plane plane = padded_plane(wide);
    if (is_padded(wide, plane)) {
      pad(wide, plane, src, scratch);
      src = scratch;
    }
    if (s.oh >= most_rows) {
      run_rows<most_rows>(s, plane, src, dst);
    } else {
      run_rows<2>(s, plane, src, dst);
    }
  }
}

}  // namespace direct_pixels
}  // namespace
}  // namespace KERNELET_ISA
}  // namespace kernelet
