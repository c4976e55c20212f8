// softmax and log-softmax over the middle of [outer][n][inner], with the maximum subtracted. The sum has sixteen
// accumulators, class i in number i mod 16, joined as a tree of neighbours, whatever the lanes and the layout: a row gives
// the same bits along any dimension.
#pragma once

#include "elementary.h"

namespace kernelet {
namespace KERNELET_ISA {
namespace {
namespace classes {

constexpr int sums = 16, sum_registers = sums / lanes;

// Zeros, then -infinity: added to what load_first makes of a tail, so that nothing beyond takes part in maximum and sum.
using Padding = float[2 * sums];

KERNELET_INLINE int count_of(int rest) { return rest < 0 ? 0 : rest < lanes ? rest : lanes; }
KERNELET_INLINE reg load_padded(const float* p, int count, const Padding& padding) {
  return F32::add(F32::load_first(p, count), F32::load(padding + sums - count));
}

// R registers of x - best, of which `rest` floats are there: stored, or their exponentials, which are summed.
template <int R, bool Whole>
KERNELET_INLINE void add_exps(bool logarithm, const float* src, int rest, const Padding& padding, reg best,
                              float* dst, reg (&sum)[sum_registers]) {
  reg x[R], e[R];
  KERNELET_UNROLL
  for (int i = 0; i < R; ++i) {
    const float* const p = src + i * lanes;
    x[i] = F32::sub(Whole ? F32::load(p) : load_padded(p, count_of(rest - i * lanes), padding), best);
    e[i] = x[i];
  }
  exps<R, false>(e);
  KERNELET_UNROLL
  for (int i = 0; i < R; ++i) {
    const reg y = logarithm ? x[i] : e[i];
    if (Whole) F32::store(dst + i * lanes, y);
    else F32::store_first(dst + i * lanes, y, count_of(rest - i * lanes));
    sum[i % sum_registers] = F32::add(sum[i % sum_registers], e[i]);
  }
}

// A row of n classes: lanes are classes.
void row(bool logarithm, int n, const float* src, float* dst, const Padding& padding) {
  constexpr int together = sum_registers < 2 ? 2 : sum_registers;
  const int whole = n / lanes * lanes, rest = n - whole;
  reg best = F32::splat(-__builtin_inff()), sum[sum_registers];
  for (int i = 0; i < whole; i += lanes) best = F32::max(F32::load(src + i), best);
  if (rest > 0) best = F32::max(load_padded(src + whole, rest, padding), best);
  for (int i = lanes; i > 1; i /= 2) best = F32::pair_max(best, best);
  for (reg& one : sum) one = F32::zero();
  int i = 0;
  if constexpr (one_size) {
    for (; i < n; i += lanes) {
      const int count = count_of(n - i);
      const reg x = F32::sub(load_padded(src + i, count, padding), best), e = slow_exp(x);
      F32::store_first(dst + i, logarithm ? x : e, count);
      reg& own = sum[i / lanes % sum_registers];
      own = F32::add(own, e);
    }
  } else {
    for (; i + together * lanes <= n; i += together * lanes)
      add_exps<together, true>(logarithm, src + i, 0, padding, best, dst + i, sum);
    for (; i < n; i += sums)
      add_exps<sum_registers, false>(logarithm, src + i, n - i, padding, best, dst + i, sum);
  }
  for (int count = sum_registers / 2; count > 0; count /= 2) {
    for (int j = 0; j < count; ++j)
      sum[j] = F32::add(F32::even(sum[2 * j], sum[2 * j + 1]), F32::odd(sum[2 * j], sum[2 * j + 1]));
  }
  for (int j = lanes; j > 1; j /= 2) sum[0] = F32::add(F32::even(sum[0], sum[0]), F32::odd(sum[0], sum[0]));
  const reg divisor = logarithm ? log(sum[0]) : sum[0];
  const auto finished = [&](reg x) { return logarithm ? F32::sub(x, divisor) : F32::div(x, divisor); };
  for (i = 0; i < whole; i += lanes) F32::store(dst + i, finished(F32::load(dst + i)));
  if (rest > 0) F32::store_first(dst + i, finished(F32::load_first(dst + i, rest)), rest);
}

// Lanes are `count` neighbouring columns, each a softmax of its own.
KERNELET_COLD inline void columns(bool logarithm, int n, size_t inner, const float* src, float* dst,
                                  int count) {
  alignas(64) float sum[sums * lanes] = {};
  reg best = F32::splat(-__builtin_inff());
  for (int i = 0; i < n; ++i) best = F32::max(F32::load_first(src + i * inner, count), best);
  for (int i = 0; i < n; ++i) {
    const reg shifted = F32::sub(F32::load_first(src + i * inner, count), best);
    const reg e = slow_exp(shifted);
    float* const own = sum + i % sums * lanes;
    F32::store(own, F32::add(F32::load(own), e));
    F32::store_first(dst + i * inner, logarithm ? shifted : e, count);
  }
  for (int apart = lanes; apart < sums * lanes; apart *= 2) {
    for (int i = 0; i < sums * lanes; i += 2 * apart)
      F32::store(sum + i, F32::add(F32::load(sum + i), F32::load(sum + i + apart)));
  }
  const reg all = F32::load(sum), divisor = logarithm ? log(all) : all;
  for (int i = 0; i < n; ++i) {
    const reg x = F32::load_first(dst + i * inner, count);
    F32::store_first(dst + i * inner, logarithm ? F32::sub(x, divisor) : F32::div(x, divisor), count);
  }
}

}  // namespace classes

KERNELET_COLD void softmax(const SoftmaxArgs& s, const float* src, float* dst) {
  classes::Padding padding;
  for (int i = 0; i < 2 * classes::sums; ++i) padding[i] = i < classes::sums ? 0.0f : -__builtin_inff();
  const size_t block = static_cast<size_t>(s.n) * s.inner;
  for (int o = 0; o < s.outer; ++o, src += block, dst += block) {
    if (s.inner == 1) classes::row(s.log, s.n, src, dst, padding);
    for (int i = 0; s.inner > 1 && i < s.inner; i += lanes)
      classes::columns(s.log, s.n, s.inner, src + i, dst + i, s.inner - i < lanes ? s.inner - i : lanes);
  }
}

}  // namespace
}  // namespace KERNELET_ISA
}  // namespace kernelet
