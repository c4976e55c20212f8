// Rows side by side, one in each SIMD lane, and back: images of a batch, planes of a sum, rows of a softmax.
#pragma once

#include "vec.h"

namespace kernelet {
namespace KERNELET_ISA {
namespace {
namespace batched {

// src: `count` images of n floats, `image_stride` floats apart -> dst [n][lanes]; lanes past count are zero.
void interleave(size_t n, int count, const float* src, size_t image_stride, float* dst) {
  size_t i = 0;
  for (; count == lanes && i + lanes <= n; i += lanes) {
    reg row[lanes];
    KERNELET_UNROLL
    for (int image = 0; image < lanes; ++image) row[image] = F32::load(src + image * image_stride + i);
    transpose(row);
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
  size_t i = 0;
  for (; count == lanes && i + lanes <= n; i += lanes) {
    reg row[lanes];
    KERNELET_UNROLL
    for (int j = 0; j < lanes; ++j) row[j] = F32::load(src + (i + j) * lanes);
    transpose(row);
    KERNELET_UNROLL
    for (int image = 0; image < lanes; ++image) F32::store(dst + image * image_stride + i, row[image]);
  }
  for (; i < n; ++i) {
    for (int image = 0; image < count; ++image) dst[image * image_stride + i] = src[i * lanes + image];
  }
}

}  // namespace batched

// sum[r] + the first `count` numbers of row r, one after the other. A zero added behind them changes nothing: a sum that
// began with +0 is never -0.
KERNELET_NOINLINE reg add_rows(reg sum, int count, const float* src, size_t stride) {
  reg row[lanes];
  KERNELET_UNROLL
  for (int r = 0; r < lanes; ++r)
    row[r] = count == lanes ? F32::load(src + r * stride) : F32::load_first(src + r * stride, count);
  transpose(row);
  KERNELET_UNROLL
  for (int j = 0; j < lanes; ++j) sum = F32::add(sum, row[j]);
  return sum;
}

}  // namespace
}  // namespace KERNELET_ISA
}  // namespace kernelet
