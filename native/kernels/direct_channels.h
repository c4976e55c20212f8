// Direct convolution with output channels in the lanes: the weight vector is loaded, pixels are broadcast
// from the input as it lies. For many channels; any stride and dilation, planes of any size without waste.
//
//   tile: P pixels x V registers of channels
//   per tap: V loads of weights, P broadcast pixels, P * V muladds
//
// A fused 2x2 pool is a maximum of whole registers: the four pixels of a window are four of the P.
#pragma once

#include "conv_common.h"

namespace kernelet {
namespace KERNELET_ISA {
namespace {
namespace direct_channels {

constexpr int vectors = 2;
constexpr int width = vectors * lanes;
constexpr int most_pixels = 6;
constexpr int window = 4;

bool fits(const ConvArgs& s) { return lanes >= 4 && conv_m(s) >= lanes; }

KERNELET_INLINE int panels(const ConvArgs& s) { return (conv_m(s) + width - 1) / width; }

size_t weights_size(const ConvArgs& s) {
  return static_cast<size_t>(s.groups) * panels(s) * conv_k(s) * width;
}

// Per group, per panel of `width` channels: [K][width], zeros past the last channel.
KERNELET_COLD void pack(const ConvArgs& s, const float* weight, float* packed) {
  const int m = conv_m(s), k = conv_k(s);
  for (int g = 0; g < s.groups; ++g) {
    for (int panel = 0; panel < panels(s); ++panel) {
      for (int p = 0; p < k; ++p) {
        for (int j = 0; j < width; ++j) {
          const int o = panel * width + j;
          *packed++ = o < m ? weight[(static_cast<size_t>(g) * m + o) * k + p] : 0.0f;
        }
      }
    }
  }
}

size_t scratch_size(const ConvArgs& s) { return padded_size(s); }

struct Tile {
  Plane plane;
  const float* pixel[most_pixels];  // first tap of each pixel
  const float* weights;
  float* sums;  // [pixels][width]: the finished chains
};

// N <= V registers of channels: the last panel may need only one.
template <int P, int N>
void accumulate(const ConvArgs& s, const Tile& t) {
  reg c[P][N];
  KERNELET_UNROLL
  for (int p = 0; p < P; ++p) {
    KERNELET_UNROLL
    for (int v = 0; v < N; ++v) c[p][v] = F32::zero();
  }
  const float* pixel[P];
  KERNELET_UNROLL
  for (int p = 0; p < P; ++p) pixel[p] = t.pixel[p];
  const float* w = t.weights;
  const ptrdiff_t plane = static_cast<ptrdiff_t>(t.plane.h) * t.plane.w;
  const ptrdiff_t next_kh = static_cast<ptrdiff_t>(s.dh) * t.plane.w, next_kw = s.dw;
  ptrdiff_t tap_plane = 0;
  int ic = s.ic / s.groups;
  do {
    ptrdiff_t tap_row = tap_plane;
    int kh = s.kh;
    do {
      ptrdiff_t tap = tap_row;
      int kw = s.kw;
      do {
        reg wv[N];
        KERNELET_UNROLL
        for (int v = 0; v < N; ++v) wv[v] = F32::load(w + v * lanes);
        KERNELET_UNROLL
        for (int p = 0; p < P; ++p) {
          const reg x = F32::splat(pixel[p][tap]);
          KERNELET_UNROLL
          for (int v = 0; v < N; ++v) c[p][v] = F32::muladd(x, wv[v], c[p][v]);
        }
        w += width;
        tap += next_kw;
      } while (--kw > 0);
      tap_row += next_kh;
    } while (--kh > 0);
    tap_plane += plane;
  } while (--ic > 0);
  KERNELET_UNROLL
  for (int p = 0; p < P; ++p) {
    KERNELET_UNROLL
    for (int v = 0; v < N; ++v) F32::store(t.sums + p * width + v * lanes, c[p][v]);
  }
}

using Kernel = void (*)(const ConvArgs&, const Tile&);

KERNELET_INLINE Kernel kernel_of(int pixels, int registers) {
  static const Kernel one[] = {accumulate<1, 1>, accumulate<2, 1>, accumulate<3, 1>,
                               accumulate<4, 1>, accumulate<5, 1>, accumulate<6, 1>};
  static const Kernel two[] = {accumulate<1, 2>, accumulate<2, 2>, accumulate<3, 2>,
                               accumulate<4, 2>, accumulate<5, 2>, accumulate<6, 2>};
  return registers == 1 ? one[pixels - 1] : two[pixels - 1];
}

// sums [pixels][width], bias added -> dst [channel][pixel], `channels` of them
KERNELET_INLINE void store_plain(const ConvArgs& s, const float* bias, float* sums, int pixels, int channels,
                                 float* dst) {
  const size_t plane = static_cast<size_t>(s.ph) * s.pw;
  const bool simple = is_simple(s.epilogue);
  const reg floor = floor_of(s.epilogue.after);
  for (int v = 0; v * lanes < channels; ++v) {
    const int count = channels - v * lanes < lanes ? channels - v * lanes : lanes;
    const reg b = F32::load_first(bias + v * lanes, count);
    for (int p = 0; p < pixels; ++p) {
      float* sum = sums + p * width + v * lanes;
      const reg y = F32::add(F32::load(sum), b);
      F32::store(sum, simple ? F32::max(floor, y) : y);
    }
  }
  if (!simple) activate_in_place(s.epilogue.after, static_cast<size_t>(pixels) * width, sums);
  for (int o = 0; o < channels; ++o) {
    for (int p = 0; p < pixels; ++p) dst[o * plane + p] = sums[p * width + o];
  }
}

// The four pixels of one window -> one output of each channel.
KERNELET_INLINE void store_pooled(const ConvArgs& s, const float* bias, const float* sums, int channels,
                                  float* dst) {
  const size_t plane = static_cast<size_t>(s.ph) * s.pw;
  for (int v = 0; v * lanes < channels; ++v) {
    const int count = channels - v * lanes < lanes ? channels - v * lanes : lanes;
    const reg b = F32::load_first(bias + v * lanes, count);
    alignas(64) float corners[tile_width];
    for (int corner = 0; corner < tile_vectors; ++corner) {
      F32::store(corners + corner * lanes, F32::add(F32::load(sums + corner * width + v * lanes), b));
    }
    pool_corners(s.epilogue, corners);
    for (int o = 0; o < count; ++o) dst[(v * lanes + o) * plane] = corners[o];
  }
}

template <int Lanes>
KERNELET_INLINE void run_tiles(const ConvArgs& s, const float* src, float* dst, float* scratch) {
  const int m = conv_m(s), k = conv_k(s);
  const Plane plane = padded_plane(s);
  if (is_padded(s, plane)) {
    pad(s, plane, src, scratch);
    src = scratch;
  }
  const bool pooled = s.epilogue.pool != Pool::none;
  const int outputs = s.ph * s.pw;
  const int tiles = pooled ? outputs : parts_of(outputs, most_pixels);
  alignas(64) float sums[most_pixels * width];
  for (int g = 0; g < s.groups; ++g) {
    const float* group_src = src + static_cast<size_t>(g) * (s.ic / s.groups) * plane.h * plane.w;
    for (int panel = 0; panel < panels(s); ++panel) {
      const int channels = m - panel * width < width ? m - panel * width : width;
      const int registers = (channels + lanes - 1) / lanes;
      const int channel = g * m + panel * width;
      Tile t;
      t.plane = plane;
      t.weights = s.weights + static_cast<size_t>(g * panels(s) + panel) * k * width;
      t.sums = sums;
      for (int tile = 0; tile < tiles; ++tile) {
        const int begin = pooled ? tile : part_begin(outputs, tiles, tile);
        const int pixels = pooled ? window : part_begin(outputs, tiles, tile + 1) - begin;
        int y = begin / s.pw, x = begin % s.pw;
        if (pooled) {
          const float* corner = group_src + static_cast<size_t>(y) * 2 * s.sh * plane.w + 2 * x * s.sw;
          t.pixel[0] = corner;
          t.pixel[1] = corner + s.sw;
          t.pixel[2] = corner + static_cast<size_t>(s.sh) * plane.w;
          t.pixel[3] = t.pixel[2] + s.sw;
        }
        for (int p = 0; !pooled && p < pixels; ++p) {
          t.pixel[p] = group_src + static_cast<size_t>(y) * s.sh * plane.w + static_cast<size_t>(x) * s.sw;
          if (++x == s.pw) {
            x = 0;
            ++y;
          }
        }
        kernel_of(pixels, registers)(s, t);
        float* to = dst + static_cast<size_t>(channel) * outputs + begin;
        if (pooled) {
          store_pooled(s, s.bias + channel, sums, channels, to);
        } else {
          store_plain(s, s.bias + channel, sums, pixels, channels, to);
        }
      }
    }
  }
}

void run(const ConvArgs& s, const float* src, float* dst, float* scratch) {
  if constexpr (lanes >= 4) run_tiles<lanes>(s, src, dst, scratch);
}

}  // namespace direct_channels
}  // namespace
}  // namespace KERNELET_ISA
}  // namespace kernelet
