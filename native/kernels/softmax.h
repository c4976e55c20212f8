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

// `lanes` rows side by side, some classes at a time: a row in each lane, whose sum is in class order too.
void softmax_rows(bool logarithm, int classes, const float* src, float* dst) {
  constexpr size_t some = 4 * lanes;
  alignas(64) float part[some * lanes];
  const size_t n = static_cast<size_t>(classes);
  reg best = F32::splat(-__builtin_inff()), sum = F32::zero();
  // of each row the maxima of every so many, the last of them taken twice, then side by side
  const size_t wide = n < lanes ? n : lanes;
  for (int row = 0; row < lanes; ++row) {
    const int first = static_cast<int>(wide);
    const float* const x = src + static_cast<size_t>(row) * n;
    reg most = F32::load_first(x, first);
    for (size_t i = wide; i + wide < n; i += wide) most = running_max(most, F32::load(x + i));
    if (n > wide) most = running_max(most, F32::load(x + n - wide));
    F32::store_first(part + static_cast<size_t>(row) * wide, most, first);
  }
  float* const maxima = part + lanes * lanes;
  batched::interleave(wide, lanes, part, wide, maxima);
  for (size_t j = 0; j < wide; ++j) best = running_max(best, F32::load(maxima + j * lanes));
  for (size_t i = 0; i < n; i += some) {
    const size_t count = n - i < some ? n - i : some;
    batched::interleave(count, lanes, src + i, n, part);
    for (size_t j = 0; j < count; ++j) {
      const reg shifted = F32::sub(F32::load(part + j * lanes), best), e = exp(shifted);
      sum = F32::add(sum, e);
      F32::store(part + j * lanes, logarithm ? shifted : e);
    }
    batched::deinterleave(count, lanes, part, dst + i, n);
  }
  if (logarithm) sum = log(sum);
  F32::store(part, sum);
  for (int row = 0; row < lanes; ++row, dst += n) {
    const reg divisor = F32::splat(part[row]);
    for (size_t i = 0; i < n; i += lanes) {
      const int count = n - i < lanes ? static_cast<int>(n - i) : lanes;
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
