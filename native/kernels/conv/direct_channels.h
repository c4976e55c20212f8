// Direct convolution with output channels in the SIMD lanes: the weight vector is loaded, pixels are broadcast
// from the input as it lies. For many channels; any stride and dilation, planes of any size without waste.
//
//   tile: P pixels x N registers of channels (N is 2, or 1 in the last panel)
//   per tap: N loads of weights, P broadcast pixels, P * N muladds
//
// A fused 2x2 pool is a maximum of whole registers: the four pixels of a window are four of the P. A tile is
// filled up with its last pixel (or window) where there are not P of them. A block of input channels whose weights fit
// the first-level cache passes over 16 tiles before the next one comes; their accumulators wait in scratch.
//
// weights: [group][panel][k][2 * lanes channels], zeros past the last channel
#pragma once

#include "common.h"

namespace kernelet {
namespace KERNELET_ISA {
namespace {
namespace direct_channels {

constexpr int vectors = 2;
constexpr int width = vectors * lanes;
// The P there are, by N; a window is four of them. 12 x 2 accumulators where there are 32 registers, 6 x 2 else.
constexpr bool many = F32::registers >= 32;
constexpr int most_pixels = many ? 16 : 12, most_pixels_of_two = many ? 12 : 6;
constexpr int window = 4;

KERNELET_COLD bool fits(const ConvArgs& s) { return has_direct && conv_m(s) >= lanes; }

KERNELET_INLINE int panels(const ConvArgs& s) { return (conv_m(s) + width - 1) / width; }
KERNELET_INLINE int registers_of(const ConvArgs& s, int panel) {
  return conv_m(s) - panel * width <= lanes ? 1 : vectors;
}
// Of a group: all its registers of channels, tap by tap.
KERNELET_INLINE size_t group_weights(const ConvArgs& s) {
  return static_cast<size_t>((conv_m(s) + lanes - 1) / lanes) * conv_k(s) * lanes;
}

KERNELET_COLD size_t weights_size(const ConvArgs& s) { return s.groups * group_weights(s); }

// Per group, per panel of N registers: [K][N * lanes channels], zeros past the last channel.
KERNELET_COLD void pack(const ConvArgs& s, const float* weight, float* packed) {
  const int m = conv_m(s), k = conv_k(s);
  for (int g = 0; g < s.groups; ++g) {
    for (int panel = 0; panel < panels(s); ++panel) {
      const int begin = panel * width, end = begin + registers_of(s, panel) * lanes;
      for (int p = 0; p < k; ++p) {
        for (int o = begin; o < end; ++o)
          *packed++ = o < m ? weight[(static_cast<size_t>(g) * m + o) * k + p] : 0.0f;
      }
    }
  }
}

// Weights of a block of input channels stay in the first-level cache while tiles pass over them.
constexpr int block_floats = 3072, tiles_of_long_chains = 16;
KERNELET_INLINE int channels_at_once(const ConvArgs& s) {
  const int channels = block_floats / (s.kh * s.kw * width);
  return channels > 1 ? channels : 1;
}
// Tiles whose accumulators wait in scratch for the next block; one where all channels are one block.
KERNELET_INLINE int tiles_of_block(const ConvArgs& s) {
  return channels_at_once(s) >= s.ic / s.groups ? 1 : tiles_of_long_chains;
}

KERNELET_COLD size_t scratch_size(const ConvArgs& s) {
  return padded_size(s) + static_cast<size_t>(tiles_of_block(s)) * most_pixels * width;
}

struct Tile {
  Plane plane;
  const float* pixel[most_pixels];  // first tap of each pixel, in the first channel of the block
  const float* weights;
  int channels;  // of the input, in this block
  bool first;    // whether the accumulation begins here, or goes on from sums
  float* sums;   // [pixels][N * lanes]
};

// With Pairs every second pixel lies one float behind the one before it: half as many addresses. A dozen of
// them would not fit the general registers.
template <int P, int N, bool Pairs>
void accumulate(const ConvArgs& s, const Tile& t) {
  constexpr int apart = Pairs ? 2 : 1;
  reg c[P][N];
  KERNELET_UNROLL
  for (int p = 0; p < P; ++p) {
    KERNELET_UNROLL
    for (int v = 0; v < N; ++v) c[p][v] = t.first ? F32::zero() : F32::load(t.sums + (p * N + v) * lanes);
  }
  const float* pixel[P / apart];
  KERNELET_UNROLL
  for (int p = 0; p < P / apart; ++p) pixel[p] = t.pixel[p * apart];
  const float* w = t.weights;
  const ptrdiff_t plane = static_cast<ptrdiff_t>(t.plane.h) * t.plane.w;
  const ptrdiff_t next_kh = static_cast<ptrdiff_t>(s.dh) * t.plane.w, next_kw = s.dw;
  ptrdiff_t tap_plane = 0;
  int ic = t.channels;
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
          const reg x = F32::splat(pixel[p / apart][tap + p % apart]);
          KERNELET_UNROLL
          for (int v = 0; v < N; ++v) c[p][v] = F32::muladd(x, wv[v], c[p][v]);
        }
        w += N * lanes;
        tap += next_kw;
      } while (--kw > 0);
      tap_row += next_kh;
    } while (--kh > 0);
    tap_plane += plane;
  } while (--ic > 0);
  KERNELET_UNROLL
  for (int p = 0; p < P; ++p) {
    KERNELET_UNROLL
    for (int v = 0; v < N; ++v) F32::store(t.sums + (p * N + v) * lanes, c[p][v]);
  }
}

using Kernel = void (*)(const ConvArgs&, const Tile&);

// A kernel for tiles of `pixels`; `paired` may be null.
struct Form {
  int pixels;
  Kernel kernel, paired;
};

// The smallest form that holds `pixels`, or the largest there is.
KERNELET_INLINE const Form& form_of(int registers, int pixels) {
  if constexpr (one_size) {
    static const Form forms[] = {{most_pixels, accumulate<most_pixels, 1, false>, nullptr},
                                 {most_pixels_of_two, accumulate<most_pixels_of_two, 2, false>, nullptr}};
    return forms[registers - 1];
  } else {
    static const Form one[] = {
        {4, accumulate<4, 1, false>, nullptr},
        {most_pixels, accumulate<most_pixels, 1, false>, accumulate<most_pixels, 1, true>}};
    constexpr int most = most_pixels_of_two, fewer = many ? 10 : 5;
    static const Form two[] = {{4, accumulate<4, 2, false>, nullptr},
                               {fewer, accumulate<fewer, 2, false>, nullptr},
                               {most, accumulate<most, 2, false>, accumulate<most, 2, true>}};
    const Form* form = registers == 1 ? one : two;
    while (form->pixels < pixels && form->paired == nullptr) ++form;
    return *form;
  }
}

// sums [pixels][registers * lanes] -> dst [channel][pixel], `channels` of them
KERNELET_INLINE void store_plain(const ConvArgs& s, const float* bias, float* sums, int registers, int pixels,
                                 int channels, float* dst) {
  const size_t plane = static_cast<size_t>(s.ph) * s.pw;
  const reg floor = floor_of(s.epilogue.after);
  const int row = registers * lanes;
  for (int v = 0; v * lanes < channels; ++v) {
    const int count = channels - v * lanes < lanes ? channels - v * lanes : lanes;
    const reg b = F32::load_first(bias + v * lanes, count);
    for (int p = 0; p < pixels; ++p) {
      float* sum = sums + p * row + v * lanes;
      F32::store(sum, F32::max(floor, F32::add(F32::load(sum), b)));
    }
  }
  for (int o = 0; o < channels; ++o) {
    for (int p = 0; p < pixels; ++p) dst[o * plane + p] = sums[p * row + o];
  }
}

// The four pixels of each window -> one output of each channel: dst [channel][window].
KERNELET_INLINE void store_pooled(const ConvArgs& s, const float* bias, float* sums, int registers,
                                  int windows, int channels, float* dst) {
  const size_t plane = static_cast<size_t>(s.ph) * s.pw;
  const reg floor = floor_of(s.epilogue.after);
  const int row = registers * lanes;
  for (int v = 0; v * lanes < channels; ++v) {
    const int count = channels - v * lanes < lanes ? channels - v * lanes : lanes;
    const reg b = F32::load_first(bias + v * lanes, count);
    for (int w = 0; w < windows; ++w) {
      float* sum = sums + w * window * row + v * lanes;
      const reg best =
          max4(F32::load(sum), F32::load(sum + row), F32::load(sum + 2 * row), F32::load(sum + 3 * row));
      F32::store(sum, F32::max(floor, F32::add(best, b)));
    }
  }
  for (int o = 0; o < channels; ++o) {
    for (int w = 0; w < windows; ++w) dst[o * plane + w] = sums[w * window * row + o];
  }
}

// Where the pixels of outputs [begin, begin + count) of a plane begin; the last one again up to `pixels`.
KERNELET_INLINE void place(const ConvArgs& s, Plane plane, const float* src, int begin, int count, int pixels,
                           const float** pixel) {
  const bool pooled = s.epilogue.pool != Pool::none;
  const int corners = pooled ? window : 1, step = pooled ? 2 : 1;
  const ptrdiff_t down = static_cast<ptrdiff_t>(s.sh) * plane.w;
  int y = begin / s.pw, x = begin % s.pw;
  for (int p = 0; p < pixels; p += corners) {
    const float* first = src + step * (y * down + static_cast<ptrdiff_t>(x) * s.sw);
    pixel[p] = first;
    if (pooled) {
      pixel[p + 1] = first + s.sw;
      pixel[p + 2] = first + down;
      pixel[p + 3] = first + down + s.sw;
    }
    if (p / corners + 1 < count && ++x == s.pw) {
      x = 0;
      ++y;
    }
  }
}

template <int Lanes>
KERNELET_INLINE void run_tiles(const ConvArgs& s, const float* src, float* dst, float* scratch) {
  const int m = conv_m(s), ic = s.ic / s.groups, window_taps = s.kh * s.kw;
  const Plane plane = padded_plane(s);
  const size_t plane_size = static_cast<size_t>(plane.h) * plane.w;
  float* const sums = scratch + padded_size(s);
  if (is_padded(s, plane)) {
    pad(s, plane, src, scratch);
    src = scratch;
  }
  const bool pooled = s.epilogue.pool != Pool::none;
  const int outputs = s.ph * s.pw, corners = pooled ? window : 1;
  const int block = channels_at_once(s), tiles_at_once = tiles_of_block(s);
  for (int g = 0; g < s.groups; ++g) {
    const float* group_src = src + static_cast<size_t>(g) * ic * plane_size;
    const float* weights = s.weights + g * group_weights(s);
    for (int panel = 0; panel < panels(s); ++panel) {
      const int channels = m - panel * width < width ? m - panel * width : width;
      const int registers = registers_of(s, panel);
      const int channel = g * m + panel * width;
      const int most = form_of(registers, most_pixels).pixels;
      // whole pairs, where pairs never straddle two rows
      const bool pairs = s.sw == 1 && (pooled || s.pw % 2 == 0);
      const int unit = pairs && !pooled ? 2 : 1, units = outputs / unit;
      const int tiles = parts_of(units, most / corners / unit);
      for (int first = 0; first < tiles; first += tiles_at_once) {
        const int last = tiles < first + tiles_at_once ? tiles : first + tiles_at_once;
        for (int c = 0; c < ic; c += block) {
          Tile t;
          t.plane = plane;
          t.weights = weights + static_cast<size_t>(s.from_ic + c) * window_taps * registers * lanes;
          t.channels = ic - c < block ? ic - c : block;
          t.first = c == 0;
          for (int tile = first; tile < last; ++tile) {
            const int begin = part_begin(units, tiles, tile) * unit;
            const int count = part_begin(units, tiles, tile + 1) * unit - begin;
            const Form& form = form_of(registers, count * corners);
            place(s, plane, group_src + c * plane_size, begin, count, form.pixels, t.pixel);
            t.sums = sums + static_cast<size_t>(tile - first) * most_pixels * width;
            const bool paired = pairs && form.paired != nullptr && (pooled || count == form.pixels);
            (paired ? form.paired : form.kernel)(s, t);
            if (c + block < ic) continue;
            float* to = dst + static_cast<size_t>(channel) * outputs + begin;
            (pooled ? store_pooled : store_plain)(s, s.bias + channel, t.sums, registers, count, channels,
                                                  to);
          }
        }
      }
      weights += static_cast<size_t>(registers) * packed_k(s) * lanes;
    }
  }
}

void run(const ConvArgs& s, const float* src, float* dst, float* scratch) {
  if constexpr (has_direct) run_tiles<lanes>(s, src, dst, scratch);
}

}  // namespace direct_channels
}  // namespace
}  // namespace KERNELET_ISA
}  // namespace kernelet
