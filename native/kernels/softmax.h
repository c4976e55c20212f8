// softmax and log-softmax over the middle of [outer][n][inner], with the maximum subtracted. The sum has one
// accumulator, in class order whatever the layout, so a row gives the same bits along any dimension.
#pragma once

#include "activation.h"

namespace kernelet {
namespace KERNELET_ISA {
namespace {

// inner == 1: `rows` rows of n classes, lanes are classes. Maxima and sums are one chain a row, and four chains at once
// take hardly longer than one: an addition waits four cycles for the one before it.
template <int rows>
KERNELET_COLD inline void softmax_rows(bool logarithm, int n, const float* src, float* dst) {
  float best[rows], sum[rows];
  KERNELET_UNROLL
  for (int r = 0; r < rows; ++r) {
    best[r] = src[static_cast<size_t>(r) * n];
    sum[r] = 0.0f;
  }
  for (int i = 1; i < n; ++i) {
    KERNELET_UNROLL
    for (int r = 0; r < rows; ++r) {
      const float x = src[static_cast<size_t>(r) * n + i];
      if (x > best[r] || x != x) best[r] = x;
    }
  }
  for (int i = 0; i < n; i += lanes) {
    const int count = n - i < lanes ? n - i : lanes;
    float e[rows][lanes];
    for (int r = 0; r < rows; ++r) {
      const size_t at = static_cast<size_t>(r) * n + i;
      const reg shifted = F32::sub(F32::load_first(src + at, count), F32::splat(best[r]));
      F32::store(e[r], slow_exp(shifted));
      F32::store_first(dst + at, logarithm ? shifted : F32::load(e[r]), count);
    }
    for (int j = 0; j < count; ++j) {
      KERNELET_UNROLL
      for (int r = 0; r < rows; ++r) sum[r] = sum[r] + e[r][j];
    }
  }
  for (int r = 0; r < rows; ++r) {
    const reg divisor = logarithm ? log(F32::splat(sum[r])) : F32::splat(sum[r]);
    for (int i = 0; i < n; i += lanes) {
      const int count = n - i < lanes ? n - i : lanes;
      float* const at = dst + static_cast<size_t>(r) * n + i;
      const reg x = F32::load_first(at, count);
      F32::store_first(at, logarithm ? F32::sub(x, divisor) : F32::div(x, divisor), count);
    }
  }
}

// inner > 1: lanes are `count` neighbouring columns, each its own softmax.
KERNELET_COLD inline void softmax_columns(bool logarithm, int n, size_t inner, const float* src, float* dst,
                                          int count) {
  reg best = F32::load_first(src, count);
  for (int i = 1; i < n; ++i) best = running_max(best, F32::load_first(src + i * inner, count));
  reg sum = F32::zero();
  for (int i = 0; i < n; ++i) {
    const reg shifted = F32::sub(F32::load_first(src + i * inner, count), best);
    const reg e = slow_exp(shifted);
    sum = F32::add(sum, e);
    F32::store_first(dst + i * inner, logarithm ? shifted : e, count);
  }
  if (logarithm) sum = log(sum);
  for (int i = 0; i < n; ++i) {
    const reg x = F32::load_first(dst + i * inner, count);
    F32::store_first(dst + i * inner, logarithm ? F32::sub(x, sum) : F32::div(x, sum), count);
  }
}

KERNELET_COLD void softmax(const SoftmaxArgs& s, const float* src, float* dst) {
  const size_t block = static_cast<size_t>(s.n) * s.inner;
  int o = 0;
  if (s.inner == 1) {
    for (; o + 4 <= s.outer; o += 4, src += 4 * block, dst += 4 * block)
      softmax_rows<4>(s.log, s.n, src, dst);
  }
  for (; o < s.outer; ++o, src += block, dst += block) {
    if (s.inner == 1) {
      softmax_rows<1>(s.log, s.n, src, dst);
      continue;
    }
    for (int i = 0; i < s.inner; i += lanes) {
      softmax_columns(s.log, s.n, s.inner, src + i, dst + i, s.inner - i < lanes ? s.inner - i : lanes);
    }
  }
}

}  // namespace
}  // namespace KERNELET_ISA
}  // namespace kernelet
