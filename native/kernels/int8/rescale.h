// Between sums, floats and bytes of an int8 step, where bytes are held as floats: a float is exact up to 2^24, so
// the kernels of floats sum products of integers as exactly as those of bytes do. The same operations in the same
// order as int8x4.h: mul, max, min, round.
#pragma once

#include "kernels/activation.h"

namespace kernelet {
namespace KERNELET_ISA {
namespace {

KERNELET_INLINE reg rescaled(const RescaleArgs& s, reg x, reg scale) {
  x = F32::mul(x, scale);
  if (!s.to_bytes) return x;
  x = F32::max(x, F32::splat(s.low));  // the lowest for NaN
  // (not F32::round, which has zeros of either sign)
  const reg magic = F32::splat(12582912.0f);  // 1.5 * 2^23
  return F32::sub(F32::add(F32::select_gt(x, F32::splat(s.high), F32::splat(s.high), x), magic), magic);
}

// src [channels][positions] -> dst alike, perhaps in place: bytes less their zero, or floats
KERNELET_COLD void rescale(const RescaleArgs& s, const float* src, float* dst) {
  const bool across = s.positions == 1;  // channels in the SIMD lanes
  const size_t rows = across ? 1 : static_cast<size_t>(s.channels);
  const size_t n = across ? static_cast<size_t>(s.channels) : s.positions;
  for (size_t row = 0; row < rows; ++row) {
    for (size_t i = 0; i < n; i += lanes) {
      const int count = n - i < lanes ? static_cast<int>(n - i) : lanes;
      const reg scale = across && s.per_channel ? F32::load_first(s.scale + i, count)
                                                : F32::splat(s.scale[s.per_channel ? row : 0]);
      if (count < lanes) {
        F32::store_first(dst + i, rescaled(s, F32::load_first(src + i, count), scale), count);
      } else {
        F32::store(dst + i, rescaled(s, F32::load(src + i), scale));
      }
    }
    src += n;
    dst += n;
  }
}

}  // namespace
}  // namespace KERNELET_ISA
}  // namespace kernelet
