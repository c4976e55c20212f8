// Sums over images in an order that does not depend on the tier: a block of 16 images is a binary tree over
// neighbours, ((0 1)(2 3))((4 5)(6 7))…, of which a register holds a whole subtree.
#pragma once

#include "kernels/vec.h"

namespace kernelet {
namespace KERNELET_ISA {
namespace {

constexpr int block_images = 16;

// Lane i of the result: the tree over the lanes of v[i]. A pair of registers gives its sums of neighbours in
// one; log2(lanes) rounds of that leave one register.
KERNELET_INLINE reg sum_lanes(reg (&v)[lanes]) {
  KERNELET_UNROLL
  for (int n = lanes; n > 1; n /= 2) {
    KERNELET_UNROLL
    for (int i = 0; i < n / 2; ++i) {
      v[i] = F32::add(F32::even(v[2 * i], v[2 * i + 1]), F32::odd(v[2 * i], v[2 * i + 1]));
    }
  }
  return v[0];
}

// src [n][lanes] -> dst [n]
void sum_images(size_t n, const float* src, float* dst) {
  for (size_t i = 0; i < n; i += lanes) {
    const int count = n - i < static_cast<size_t>(lanes) ? static_cast<int>(n - i) : lanes;
    reg v[lanes];
    if (count == lanes) {
      KERNELET_UNROLL
      for (int j = 0; j < lanes; ++j) v[j] = F32::load(src + (i + j) * lanes);
    } else {
      for (int j = 0; j < lanes; ++j) v[j] = j < count ? F32::load(src + (i + j) * lanes) : F32::zero();
    }
    F32::store_first(dst + i, sum_lanes(v), count);
  }
}

float square_sum(size_t n, const float* src, float limit) {
  constexpr int registers = block_images / lanes;
  const reg high = F32::splat(limit), low = F32::splat(-limit);
  reg sums[registers];
  for (int r = 0; r < registers; ++r) sums[r] = F32::zero();
  for (size_t i = 0; i < n; i += block_images) {
    for (int r = 0; r < registers; ++r) {
      const size_t at = i + static_cast<size_t>(r) * lanes;
      const int count = at >= n ? 0 : n - at < static_cast<size_t>(lanes) ? static_cast<int>(n - at) : lanes;
      reg x = count == lanes ? F32::load(src + at) : F32::load_first(src + (at < n ? at : 0), count);
      x = F32::select_gt(x, high, high, F32::select_gt(low, x, low, x));  // a NaN stays
      sums[r] = F32::muladd(x, x, sums[r]);
    }
  }
  float all[block_images];
  for (int r = 0; r < registers; ++r) F32::store(all + r * lanes, sums[r]);
  for (int step = 1; step < block_images; step *= 2) {
    for (int i = 0; i < block_images; i += 2 * step) all[i] = all[i] + all[i + step];
  }
  return all[0];
}

}  // namespace
}  // namespace KERNELET_ISA
}  // namespace kernelet
