// Kernels over images in the lanes: every value is [elements][lanes], one lane an image, so that nothing is
// ever shuffled and every output is the same chain as alone. What batches of small networks run on.
#pragma once

#include "conv_common.h"
#include "pool.h"

namespace kernelet {
namespace KERNELET_ISA {
namespace {
namespace batch_lanes {

// src: `count` images of n floats, `image_stride` floats apart -> dst [n][lanes]; lanes past count are zero.
//
// A transpose by perfect unshuffles: splitting neighbouring pairs of registers into even and odd elements
// rotates the bits of an element's index by one, and log2(lanes) rotations swap row and column.
void interleave(size_t n, int count, const float* src, size_t image_stride, float* dst) {
  size_t i = 0;
  for (; count == lanes && i + lanes <= n; i += lanes) {
    reg row[lanes];
    KERNELET_UNROLL
    for (int image = 0; image < lanes; ++image) row[image] = F32::load(src + image * image_stride + i);
    KERNELET_UNROLL
    for (int step = 1; step < lanes; step *= 2) {
      reg next[lanes];
      KERNELET_UNROLL
      for (int pair = 0; pair < lanes / 2; ++pair) {
        next[pair] = F32::even(row[2 * pair], row[2 * pair + 1]);
        next[lanes / 2 + pair] = F32::odd(row[2 * pair], row[2 * pair + 1]);
      }
      KERNELET_UNROLL
      for (int j = 0; j < lanes; ++j) row[j] = next[j];
    }
    KERNELET_UNROLL
    for (int j = 0; j < lanes; ++j) F32::store(dst + (i + j) * lanes, row[j]);
  }
  for (; i < n; ++i) {
    for (int image = 0; image < lanes; ++image) {
      dst[i * lanes + image] = image < count ? src[image * image_stride + i] : 0.0f;
    }
  }
}

// src [n][lanes] -> `count` images of n floats, `image_stride` apart.
void deinterleave(size_t n, int count, const float* src, float* dst, size_t image_stride) {
  for (int image = 0; image < count; ++image) {
    for (size_t i = 0; i < n; ++i) dst[image * image_stride + i] = src[i * lanes + image];
  }
}

struct ConvTile {
  const float* pixel[tile_vectors];  // first tap of each pixel
  int y[tile_vectors], x[tile_vectors];
  const float* weights;
  const float* bias;
  float* dst;  // first channel, first pixel stored
  int pixels;  // of the four, stored
};

// tile: M channels x 4 pixels, weights broadcast. Taps outside the input read zeros, as if it were padded.
template <int M, bool Inside>
void conv_tile(const ConvArgs& s, const ConvTile& t) {
  reg c[M][tile_vectors];
  KERNELET_UNROLL
  for (int m = 0; m < M; ++m) {
    KERNELET_UNROLL
    for (int p = 0; p < tile_vectors; ++p) c[m][p] = F32::zero();
  }
  const float* pixel[tile_vectors];
  KERNELET_UNROLL
  for (int p = 0; p < tile_vectors; ++p) pixel[p] = t.pixel[p];
  const float* w = t.weights;
  const ptrdiff_t plane = static_cast<ptrdiff_t>(s.ih) * s.iw * lanes;
  const ptrdiff_t row = static_cast<ptrdiff_t>(s.dh) * s.iw * lanes;
  const int channels = s.ic / s.groups;
  for (int ic = 0; ic < channels; ++ic) {
    for (int kh = 0; kh < s.kh; ++kh) {
      ptrdiff_t tap = ic * plane + kh * row;
      for (int kw = 0; kw < s.kw; ++kw) {
        reg x[tile_vectors];
        KERNELET_UNROLL
        for (int p = 0; p < tile_vectors; ++p) {
          const bool inside = Inside || (static_cast<unsigned>(t.y[p] + kh * s.dh) < static_cast<unsigned>(s.ih) &&
                                         static_cast<unsigned>(t.x[p] + kw * s.dw) < static_cast<unsigned>(s.iw));
          x[p] = inside ? F32::load(pixel[p] + tap) : F32::zero();
        }
        KERNELET_UNROLL
        for (int m = 0; m < M; ++m) {
          const reg wm = F32::splat(w[m]);
          KERNELET_UNROLL
          for (int p = 0; p < tile_vectors; ++p) c[m][p] = F32::muladd(wm, x[p], c[m][p]);
        }
        w += M;
        tap += static_cast<ptrdiff_t>(s.dw) * lanes;
      }
    }
  }
  const Epilogue& e = s.epilogue;
  const size_t out_plane = static_cast<size_t>(s.ph) * s.pw * lanes;
  const bool pooled = e.pool != Pool::none;
  if ((!pooled && t.pixels < tile_vectors) || !is_simple(e)) {
    alignas(64) float sums[M * tile_width];
    keep_chains<M>(sums, c);
    for (int m = 0; m < M; ++m) {
      finish_conv_row(e, t.bias[m], sums + m * tile_width, t.dst + m * out_plane, t.pixels * lanes);
    }
    return;
  }
  const reg floor = floor_of(e.after);
  KERNELET_UNROLL
  for (int m = 0; m < M; ++m) {
    const reg bias = F32::splat(t.bias[m]);
    float* dst = t.dst + m * out_plane;
    if (pooled) {
      F32::store(dst, F32::max(floor, F32::add(max4(c[m][0], c[m][1], c[m][2], c[m][3]), bias)));
    } else {
      KERNELET_UNROLL
      for (int p = 0; p < tile_vectors; ++p) F32::store(dst + p * lanes, F32::max(floor, F32::add(c[m][p], bias)));
    }
  }
}

using ConvKernel = void (*)(const ConvArgs&, const ConvTile&);

template <bool Inside>
KERNELET_INLINE ConvKernel conv_kernel_of(int channels) {
  static const ConvKernel kernels[] = {conv_tile<1, Inside>, conv_tile<2, Inside>, conv_tile<3, Inside>,
#if !defined(KERNELET_ISA_SCALAR) && !defined(KERNELET_ISA_SSE) && !defined(KERNELET_ISA_AVX2)
                                       conv_tile<4, Inside>, conv_tile<5, Inside>, conv_tile<6, Inside>
#endif
  };
  static_assert(sizeof kernels / sizeof *kernels == tile_rows, "a tile for every number of channels");
  return kernels[channels - 1];
}

bool conv_fits(const ConvArgs&) { return true; }
size_t conv_weights_size(const ConvArgs& s) { return static_cast<size_t>(s.oc) * conv_k(s); }
void conv_pack(const ConvArgs& s, const float* weight, float* packed) { pack_groups(s, tile_rows, weight, packed); }
size_t conv_scratch_size(const ConvArgs&) { return 0; }

// src [ic][ih][iw][lanes] -> dst [oc][ph][pw][lanes]
void conv(const ConvArgs& s, const float* src, float* dst, float*) {
  const bool pooled = s.epilogue.pool != Pool::none;
  const int m = conv_m(s), k = conv_k(s), parts = parts_of(m, tile_rows);
  const int outputs = s.ph * s.pw, step = pooled ? 1 : tile_vectors;
  const ptrdiff_t plane = static_cast<ptrdiff_t>(s.ih) * s.iw * lanes;
  for (int g = 0; g < s.groups; ++g) {
    const float* group_src = src + static_cast<ptrdiff_t>(g) * (s.ic / s.groups) * plane;
    for (int first = 0; first < outputs; first += step) {
      ConvTile t;
      t.pixels = outputs - first < step ? outputs - first : step;
      bool inside = true;
      for (int p = 0; p < tile_vectors; ++p) {
        // past the end: the last pixel again, never stored
        const int o = pooled || first + p < outputs ? first + p : outputs - 1;
        const int y = pooled ? first / s.pw * 2 + p / 2 : o / s.pw;
        const int x = pooled ? first % s.pw * 2 + p % 2 : o % s.pw;
        t.y[p] = y * s.sh - s.pt;
        t.x[p] = x * s.sw - s.pl;
        t.pixel[p] = group_src + (static_cast<ptrdiff_t>(t.y[p]) * s.iw + t.x[p]) * lanes;
        inside = inside && t.y[p] >= 0 && t.x[p] >= 0 && t.y[p] + (s.kh - 1) * s.dh < s.ih &&
                 t.x[p] + (s.kw - 1) * s.dw < s.iw;
      }
      for (int part = 0; part < parts; ++part) {
        const int begin = part_begin(m, parts, part), channels = part_begin(m, parts, part + 1) - begin;
        const size_t channel = static_cast<size_t>(g) * m + begin;
        t.weights = s.weights + channel * k;
        t.bias = s.bias + channel;
        t.dst = dst + (channel * outputs + first) * lanes;
        (inside ? conv_kernel_of<true>(channels) : conv_kernel_of<false>(channels))(s, t);
      }
    }
  }
}

constexpr int most_outputs = 12;

size_t linear_weights_size(const LinearArgs& s) { return static_cast<size_t>(s.in) * s.out; }
size_t linear_bias_size(const LinearArgs& s) { return static_cast<size_t>(s.out); }
void linear_pack(const LinearArgs& s, const float* weight, float* packed) {
  pack_parts(s.out, s.in, most_outputs, weight, packed);
}

// tile: M outputs x 1 register of images
template <int M>
void linear_tile(const LinearArgs& s, const float* weights, const float* bias, const float* x, float* dst) {
  reg c[M];
  KERNELET_UNROLL
  for (int m = 0; m < M; ++m) c[m] = F32::zero();
  for (int k = 0; k < s.in; ++k) {
    const reg xk = F32::load(x + static_cast<size_t>(k) * lanes);
    KERNELET_UNROLL
    for (int m = 0; m < M; ++m) c[m] = F32::muladd(F32::splat(weights[m]), xk, c[m]);
    weights += M;
  }
  const reg floor = floor_of(is_simple(s.activation) ? s.activation : Activation::none);
  KERNELET_UNROLL
  for (int m = 0; m < M; ++m) {
    F32::store(dst + m * lanes, F32::max(floor, F32::add(c[m], F32::splat(bias[m]))));
  }
  if (!is_simple(s.activation)) activate_in_place(s.activation, M * lanes, dst);
}

using LinearKernel = void (*)(const LinearArgs&, const float*, const float*, const float*, float*);

// src [rows][in][lanes] -> dst [rows][out][lanes]
void linear(const LinearArgs& s, const float* src, float* dst) {
  static const LinearKernel kernels[] = {
      linear_tile<1>, linear_tile<2>, linear_tile<3>, linear_tile<4>,  linear_tile<5>,  linear_tile<6>,
      linear_tile<7>, linear_tile<8>, linear_tile<9>, linear_tile<10>, linear_tile<11>, linear_tile<12>,
  };
  static_assert(sizeof kernels / sizeof *kernels == most_outputs, "a tile for every number of outputs");
  const int parts = parts_of(s.out, most_outputs);
  for (int row = 0; row < s.rows; ++row) {
    for (int part = 0; part < parts; ++part) {
      const int begin = part_begin(s.out, parts, part), outputs = part_begin(s.out, parts, part + 1) - begin;
      kernels[outputs - 1](s, s.weights + static_cast<size_t>(begin) * s.in, s.bias + begin,
                           src + static_cast<size_t>(row) * s.in * lanes,
                           dst + (static_cast<size_t>(row) * s.out + begin) * lanes);
    }
  }
}

// Calls tap(pointer) for every tap of the window at (y0, x0) that lies inside the plane, row by row.
template <typename Tap>
KERNELET_INLINE void each_tap(const PoolArgs& s, const float* plane, int y0, int x0, Tap tap) {
  for (int r = 0; r < s.kh; ++r) {
    const int y = y0 + r * s.dh;
    if (y < 0 || y >= s.ih) continue;
    for (int t = 0; t < s.kw; ++t) {
      const int x = x0 + t * s.dw;
      if (x >= 0 && x < s.iw) tap(plane + (static_cast<size_t>(y) * s.iw + x) * lanes);
    }
  }
}

// src [c][ih][iw][lanes] -> dst [c][oh][ow][lanes]
void max_pool(const PoolArgs& s, const float* src, float* dst) {
  for (int c = 0; c < s.c; ++c) {
    for (int oy = 0; oy < s.oh; ++oy) {
      for (int ox = 0; ox < s.ow; ++ox) {
        reg best = F32::splat(-__builtin_inff());
        each_tap(s, src, oy * s.sh - s.pt, ox * s.sw - s.pl,
                 [&](const float* p) { best = running_max(best, F32::load(p)); });
        F32::store(dst, best);
        dst += lanes;
      }
    }
    src += static_cast<size_t>(s.ih) * s.iw * lanes;
  }
}

void avg_pool(const PoolArgs& s, const float* src, float* dst) {
  for (int c = 0; c < s.c; ++c) {
    for (int oy = 0; oy < s.oh; ++oy) {
      for (int ox = 0; ox < s.ow; ++ox) {
        const int y0 = oy * s.sh - s.pt, x0 = ox * s.sw - s.pl;
        reg sum = F32::zero();
        each_tap(s, src, y0, x0, [&](const float* p) { sum = F32::add(sum, F32::load(p)); });
        F32::store(dst, F32::div(sum, F32::splat(average_divisor(s, y0, x0))));
        dst += lanes;
      }
    }
    src += static_cast<size_t>(s.ih) * s.iw * lanes;
  }
}

}  // namespace batch_lanes
}  // namespace
}  // namespace KERNELET_ISA
}  // namespace kernelet
