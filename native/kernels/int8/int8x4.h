// int8x4: four bytes in a lane, made of floats or of an int8 step's sums. Of the four channels of a position,
//
//   [channels / 4][positions]   byte j of word q: channel 4 q + j, zeros past the last channel
//
// or, for few channels, of four neighbours in a row, so that a window's taps along kw are the four bytes:
//
//   [channels][rows][row_int8x4]   byte j of word x: column x + j, counted from the left padding
#pragma once

#include "kernels/vec.h"

namespace kernelet {
namespace KERNELET_ISA {
namespace {
namespace int8x4 {

KERNELET_INLINE __mmask16 first(int n) { return floats::F32::first(n); }

template <bool Sums>
KERNELET_INLINE __m512 load(const float* p, __mmask16 mask) {
  const __m512 x = _mm512_maskz_loadu_ps(mask, p);
  return Sums ? _mm512_cvtepi32_ps(_mm512_castps_si512(x)) : x;
}

// The bytes, a lane each. As rescale.h.
KERNELET_INLINE __m512i bytes(const RescaleArgs& s, __m512 x, __m512 scale) {
  x = _mm512_max_ps(_mm512_mul_ps(x, scale), _mm512_set1_ps(s.low));
  x = _mm512_min_ps(x, _mm512_set1_ps(s.high));
  const __m512i rounded = _mm512_cvt_roundps_epi32(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  return _mm512_add_epi32(rounded, _mm512_set1_epi32(s.zero));
}

KERNELET_INLINE __m512 scale_of(const RescaleArgs& s, int channel) {
  return _mm512_set1_ps(s.scale[s.per_channel ? channel : 0]);
}

// Channels one behind another: sixteen become four words.
template <bool Sums>
KERNELET_INLINE void pack_neighbours(const RescaleArgs& s, const float* src, float* dst) {
  for (int c = 0; c < s.channels; c += lanes) {
    const int count = s.channels - c < lanes ? s.channels - c : lanes;
    const __m512 scale = s.per_channel ? _mm512_maskz_loadu_ps(first(count), s.scale + c) : scale_of(s, 0);
    const __m128i all = _mm512_cvtepi32_epi8(bytes(s, load<Sums>(src + c, first(count)), scale));
    _mm_mask_storeu_epi8(dst + c / 4, first((count + 3) / 4 * 4), all);
  }
}

template <bool Sums>
void pack(const RescaleArgs& s, const float* src, float* dst) {
  if (s.positions == 1) return pack_neighbours<Sums>(s, src, dst);
  for (int c = 0; c < s.channels; c += 4) {
    const int channels = s.channels - c < 4 ? s.channels - c : 4;
    __m512 scale[4];
    for (int j = 0; j < 4; ++j) scale[j] = scale_of(s, j < channels ? c + j : c);
    for (size_t i = 0; i < s.positions; i += lanes) {
      const __mmask16 mask =
          s.positions - i < lanes ? first(static_cast<int>(s.positions - i)) : first(lanes);
      __m512i four = bytes(s, load<Sums>(src + i, mask), scale[0]);
      for (int j = 1; j < channels; ++j) {
        const __m512i next = bytes(s, load<Sums>(src + j * s.positions + i, mask), scale[j]);
        four = _mm512_or_si512(four, _mm512_sllv_epi32(next, _mm512_set1_epi32(8 * j)));
      }
      _mm512_mask_storeu_ps(dst + i, mask, _mm512_castsi512_ps(four));
    }
    src += 4 * s.positions;
    dst += s.positions;
  }
}

// A row of an image alone: src [columns] -> dst [row_int8x4]
KERNELET_INLINE void pack_row(const RescaleArgs& s, const float* src, float* dst) {
  const __m512i zero = _mm512_set1_epi32(s.zero);
  for (int x = 0; x < s.row_int8x4; x += lanes) {
    __m512i four = _mm512_setzero_si512();
    KERNELET_UNROLL
    for (int j = 3; j >= 0; --j) {
      // columns [begin, begin + lanes) of the input, of which [-begin, columns - begin) are there
      const int begin = x + j - s.left, end = s.columns - begin;
      const __mmask16 before = begin >= 0 ? 0 : begin > -lanes ? first(-begin) : first(lanes);
      const __mmask16 mask = static_cast<__mmask16>((end >= lanes ? first(lanes)
                                                     : end > 0    ? first(end)
                                                                  : 0) &
                                                    ~before);
      const __m512i next = bytes(s, load<false>(src + begin, mask), scale_of(s, 0));
      four = _mm512_or_si512(_mm512_slli_epi32(four, 8), _mm512_mask_mov_epi32(zero, mask, next));
    }
    const int count = s.row_int8x4 - x < lanes ? s.row_int8x4 - x : lanes;
    _mm512_mask_storeu_ps(dst + x, first(count), _mm512_castsi512_ps(four));
  }
}

// The same with images in the lanes: src [columns][lanes] -> dst [row_int8x4][lanes], from right to left.
KERNELET_INLINE void pack_row_of_lanes(const RescaleArgs& s, const float* src, float* dst) {
  const __m512 scale = scale_of(s, 0);
  __m512i four = _mm512_setzero_si512();
  for (int x = s.row_int8x4 + 2; x >= 0; --x) {
    const int column = x - s.left;
    const bool inside = column >= 0 && column < s.columns;
    const __m512i next = inside
                             ? bytes(s, _mm512_loadu_ps(src + static_cast<ptrdiff_t>(column) * lanes), scale)
                             : _mm512_set1_epi32(s.zero);
    four = _mm512_or_si512(_mm512_slli_epi32(four, 8), next);
    if (x < s.row_int8x4)
      _mm512_storeu_ps(dst + static_cast<ptrdiff_t>(x) * lanes, _mm512_castsi512_ps(four));
  }
}

// src [rows of all channels][columns][width] -> dst [rows][row_int8x4][width]; width is 1 or lanes
void pack_rows(const RescaleArgs& s, const float* src, float* dst) {
  const bool alone = s.positions == static_cast<size_t>(s.rows) * s.columns;
  const size_t width = alone ? 1 : lanes;
  for (int row = 0; row < s.channels * s.rows; ++row) {
    (alone ? pack_row : pack_row_of_lanes)(s, src, dst);
    src += static_cast<size_t>(s.columns) * width;
    dst += static_cast<size_t>(s.row_int8x4) * width;
  }
}

// Sums [channels][positions] -> floats alike, perhaps in place.
void to_floats(const RescaleArgs& s, const float* src, float* dst) {
  const bool across = s.positions == 1;
  const size_t rows = across ? 1 : static_cast<size_t>(s.channels);
  const size_t n = across ? static_cast<size_t>(s.channels) : s.positions;
  for (size_t row = 0; row < rows; ++row) {
    for (size_t i = 0; i < n; i += lanes) {
      const __mmask16 mask = n - i < lanes ? first(static_cast<int>(n - i)) : first(lanes);
      const __m512 scale =
          across ? _mm512_maskz_loadu_ps(mask, s.scale + i) : scale_of(s, static_cast<int>(row));
      _mm512_mask_storeu_ps(dst + i, mask, _mm512_mul_ps(load<true>(src + i, mask), scale));
    }
    src += n;
    dst += n;
  }
}

}  // namespace int8x4
}  // namespace
}  // namespace KERNELET_ISA
}  // namespace kernelet
