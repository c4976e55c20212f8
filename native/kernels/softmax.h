// softmax and log-softmax over the middle of [outer][n][inner], with the maximum subtracted. The sum has one
// accumulator, in class order whatever the layout, so a row gives the same bits along any dimension.
#pragma once

#include "activation.h"
#include "interleave.h"

namespace kernelet {
namespace KERNELET_ISA {
namespace {

// inner == 1: a row of n classes, lanes are classes. Maximum and sum are one chain: what few rows are left take.
KERNELET_COLD inline void softmax_row(bool logarithm, int n, const float* src, float* dst) {
  float best = src[0], sum = 0.0f;
  for (int i = 1; i < n; ++i) {
    if (src[i] > best || src[i] != src[i]) best = src[i];
  }
  for (int i = 0; i < n; i += lanes) {
    const int count = n - i < lanes ? n - i : lanes;
    float e[lanes];
    const reg shifted = F32::sub(F32::load_first(src + i, count), F32::splat(best));
    F32::store(e, slow_exp(shifted));
    F32::store_first(dst + i, logarithm ? shifted : F32::load(e), count);
    for (int j = 0; j < count; ++j) sum = sum + e[j];
  }
  const reg divisor = logarithm ? log(F32::splat(sum)) : F32::splat(sum);
  for (int i = 0; i < n; i += lanes) {
    const int count = n - i < lanes ? n - i : lanes;
    const reg x = F32::load_first(dst + i, count);
    F32::store_first(dst + i, logarithm ? F32::sub(x, divisor) : F32::div(x, divisor), count);
  }
}

// `lanes` rows side by side, `lanes` classes at a time: each row's sum is in class order too.
void softmax_rows(bool logarithm, int n, const float* src, float* dst) {
  alignas(64) float part[lanes * lanes], turned[lanes * lanes], best[lanes], sums[lanes];
  const size_t stride = static_cast<size_t>(n);
  const int wide = n < lanes ? n : lanes;
  for (int row = 0; row < lanes; ++row) {
    // the maxima of every `wide`, the last ones taken twice
    const float* const x = src + row * stride;
    reg most = F32::load_first(x, wide);
    for (int i = wide; i + wide < n; i += wide) most = running_max(most, F32::load(x + i));
    if (n > wide) most = running_max(most, F32::load(x + n - wide));
    F32::store_first(part + row * wide, most, wide);
  }
  batched::interleave(static_cast<size_t>(wide), lanes, part, static_cast<size_t>(wide), turned);
  reg all = F32::load(turned);
  for (int i = 1; i < wide; ++i) all = running_max(all, F32::load(turned + i * lanes));
  F32::store(best, all);
  reg sum = F32::zero();
  for (int i = 0; i < n; i += lanes) {
    const int count = n - i < lanes ? n - i : lanes;
    for (int row = 0; row < lanes; ++row) {
      const size_t at = row * stride + i;
      const reg shifted = F32::sub(F32::load_first(src + at, count), F32::splat(best[row])), e = exp(shifted);
      F32::store(part + row * lanes, e);
      F32::store_first(dst + at, logarithm ? shifted : e, count);
    }
    sum = add_rows(sum, count, part, lanes);
  }
  F32::store(sums, logarithm ? log(sum) : sum);
  for (int row = 0; row < lanes; ++row, dst += n) {
    const reg divisor = F32::splat(sums[row]);
    for (int i = 0; i < n; i += lanes) {
      const int count = n - i < lanes ? n - i : lanes;
      const reg x = F32::load_first(dst + i, count);
      F32::store_first(dst + i, logarithm ? F32::sub(x, divisor) : F32::div(x, divisor), count);
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
  for (; s.inner == 1 && lanes > 1 && o + lanes <= s.outer;
       o += lanes, src += lanes * block, dst += lanes * block)
    softmax_rows(s.log, s.n, src, dst);
  for (; o < s.outer; ++o, src += block, dst += block) {
    if (s.inner == 1) {
      softmax_row(s.log, s.n, src, dst);
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
