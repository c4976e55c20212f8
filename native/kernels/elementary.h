// exp, log, tanh, sigmoid and what is built on them, out of F32 operations alone, so that every tier of a class gives the
// same bits. Polynomials after Cephes' single-precision expf, logf and tanhf (S. Moshier); errors are stated beside each
// function and held by the tests.
#pragma once

#include "table.h"
#include "vec.h"

namespace kernelet {
namespace KERNELET_ISA {
namespace {

// x[i] = e^(x[i] - n[i] ln 2) - 1 for n the multiple of ln 2 nearest to x. Several side by side, operation by operation, as
// each is one long chain: a core would not see far enough ahead to begin the next one.
template <int U>
KERNELET_INLINE void exp_tails(reg (&x)[U], const reg (&n)[U]) {
  const float factors[] = {1.3981999507e-3f, 8.3334519073e-3f, 4.1665795894e-2f, 1.6666665459e-1f,
                           5.0000001201e-1f};
  reg p[U];
  KERNELET_UNROLL
  for (int i = 0; i < U; ++i) x[i] = F32::muladd(n[i], F32::splat(-0.693359375f), x[i]);
  KERNELET_UNROLL
  for (int i = 0; i < U; ++i) x[i] = F32::muladd(n[i], F32::splat(2.12194440e-4f), x[i]);
  KERNELET_UNROLL
  for (int i = 0; i < U; ++i) p[i] = F32::splat(1.9875691500e-4f);
  KERNELET_UNROLL
  for (int f = 0; f < 5; ++f) {
    KERNELET_UNROLL
    for (int i = 0; i < U; ++i) p[i] = F32::muladd(p[i], x[i], F32::splat(factors[f]));
  }
  KERNELET_UNROLL
  for (int i = 0; i < U; ++i) x[i] = F32::muladd(p[i], F32::mul(x[i], x[i]), x[i]);
}
KERNELET_INLINE reg exp_tail(reg x, reg n) {
  reg one[1] = {x};
  exp_tails<1>(one, {n});
  return one[0];
}

// e^x within 2 ulp; 0 below -104, infinity above 89 unless no x is above 0, NaN stays NaN, subnormal results are kept.
template <int U, bool Positive = true>
KERNELET_INLINE void exps(reg (&x)[U]) {
  reg n[U];
  // max and select return their second operand where one is NaN: the order lets NaN through
  KERNELET_UNROLL
  for (int i = 0; i < U; ++i) x[i] = F32::max(F32::splat(-105.0f), x[i]);
  KERNELET_UNROLL
  for (int i = 0; Positive && i < U; ++i)
    x[i] = F32::select_gt(x[i], F32::splat(89.0f), F32::splat(89.0f), x[i]);
  KERNELET_UNROLL
  for (int i = 0; i < U; ++i) n[i] = F32::mul(x[i], F32::splat(1.44269504088896341f));
  KERNELET_UNROLL
  for (int i = 0; i < U; ++i) n[i] = F32::round(n[i]);
  exp_tails<U>(x, n);
  KERNELET_UNROLL
  for (int i = 0; i < U; ++i) x[i] = F32::scale(F32::add(x[i], F32::splat(1.0f)), n[i]);
}
KERNELET_LARGE reg exp(reg x) {
  reg one[1] = {x};
  exps<1>(one);
  return one[0];
}

// 1 + e^-x, to the bit what exp would make of it. Below e^-80 nothing is added to 1, so 2^n is never subnormal and one step
// will do.
template <int U>
KERNELET_INLINE void ones_and_exps(const reg (&x)[U], reg (&y)[U]) {
  const reg one = F32::splat(1.0f);
  reg n[U];
  KERNELET_UNROLL
  for (int i = 0; i < U; ++i) y[i] = F32::max(F32::splat(-80.0f), F32::sub(F32::zero(), x[i]));
  KERNELET_UNROLL
  for (int i = 0; i < U; ++i) y[i] = F32::min(F32::splat(89.0f), y[i]);
  KERNELET_UNROLL
  for (int i = 0; i < U; ++i) n[i] = F32::mul(y[i], F32::splat(1.44269504088896341f));
  KERNELET_UNROLL
  for (int i = 0; i < U; ++i) n[i] = F32::round(n[i]);
  exp_tails<U>(y, n);
  KERNELET_UNROLL
  for (int i = 0; i < U; ++i) y[i] = F32::add(y[i], one);
  KERNELET_UNROLL
  for (int i = 0; i < U; ++i) y[i] = F32::add(one, F32::scale2(y[i], n[i]));
}

// 1 / (1 + e^-x), within 3 ulp.
template <int U>
KERNELET_INLINE void sigmoid(reg (&x)[U]) {
  reg y[U];
  ones_and_exps<U>(x, y);
  KERNELET_UNROLL
  for (int i = 0; i < U; ++i) x[i] = F32::div(F32::splat(1.0f), y[i]);
}
KERNELET_LARGE reg sigmoid(reg x) {
  reg one[1] = {x};
  sigmoid<1>(one);
  return one[0];
}

// tanh x within 3 ulp: a polynomial near zero, where 1 - 2 / (e^2x + 1) would cancel.
KERNELET_LARGE reg tanh(reg x) {
  const reg size = F32::max(x, F32::sub(F32::zero(), x));
  const reg z = F32::mul(x, x);
  reg p = F32::splat(-5.70498872745e-3f);
  p = F32::muladd(p, z, F32::splat(2.06390887954e-2f));
  p = F32::muladd(p, z, F32::splat(-5.37397155531e-2f));
  p = F32::muladd(p, z, F32::splat(1.33314422036e-1f));
  p = F32::muladd(p, z, F32::splat(-3.33332819422e-1f));
  const reg one = F32::splat(1.0f);
  const reg near = F32::mul(x, F32::muladd(p, z, one));  // keeps the sign of a zero
  const reg e = exp(F32::add(size, size));
  const reg far = F32::sub(one, F32::div(F32::splat(2.0f), F32::add(e, one)));
  const reg signed_far = F32::select_gt(F32::zero(), x, F32::sub(F32::zero(), far), far);
  return F32::select_gt(size, F32::splat(0.625f), signed_far, near);
}

// e^x - 1 for x <= 0, within 3 ulp: 2^n (1 + p) - 1 keeps what p has where e^x - 1 would cancel.
KERNELET_LARGE reg expm1_negative(reg x) {
  x = F32::max(x, F32::splat(-30.0f));
  x = F32::select_gt(x, F32::zero(), F32::zero(),
                     x);  // unused lanes are clamped, so that the polynomial stays finite
  const reg n = F32::round(F32::mul(x, F32::splat(1.44269504088896341f)));
  const reg scale = F32::pow2(n);
  return F32::muladd(scale, exp_tail(x, n), F32::sub(scale, F32::splat(1.0f)));
}

// exp where speed matters less than size.
KERNELET_NOINLINE reg slow_exp(reg x) { return exp(x); }

KERNELET_NOINLINE reg slow_tanh(reg x) { return tanh(x); }

// one_and_exp likewise.
KERNELET_INLINE reg one_and_slow_exp(reg x) {
  return F32::add(F32::splat(1.0f), slow_exp(F32::max(F32::splat(-87.0f), F32::sub(F32::zero(), x))));
}

// ln x, within 1 ulp; -infinity of zeros, NaN of what is negative.
KERNELET_COLD KERNELET_NOINLINE reg log(reg x) {
  float all[lanes], mantissa[lanes], exponents[lanes];
  F32::store(all, x);
  for (int i = 0; i < lanes; ++i) {
    float v = all[i], e = -126.0f;
    if (v < 1.17549435e-38f) {  // subnormal (or no number the logarithm is one of: below)
      v = v * 8388608.0f;
      e = -149.0f;
    }
    int32_t bits;
    memcpy(&bits, &v, sizeof bits);
    e = e + static_cast<float>(bits >> 23 & 0xff);
    bits = (bits & 0x007fffff) | 0x3f000000;
    float m;  // x = m * 2^e, m in [0.5, 1)
    memcpy(&m, &bits, sizeof m);
    if (m < 0.70710678f) {
      e = e - 1.0f;
      m = m + m;
    }
    mantissa[i] = m - 1.0f;
    exponents[i] = e;
  }
  // through F32, so that the tiers of a class round alike
  const reg f = F32::load(mantissa), exponent = F32::load(exponents);
  const reg z = F32::mul(f, f);
  reg p = F32::splat(7.0376836292e-2f);
  p = F32::muladd(p, f, F32::splat(-1.1514610310e-1f));
  p = F32::muladd(p, f, F32::splat(1.1676998740e-1f));
  p = F32::muladd(p, f, F32::splat(-1.2420140846e-1f));
  p = F32::muladd(p, f, F32::splat(1.4249322787e-1f));
  p = F32::muladd(p, f, F32::splat(-1.6668057665e-1f));
  p = F32::muladd(p, f, F32::splat(2.0000714765e-1f));
  p = F32::muladd(p, f, F32::splat(-2.4999993993e-1f));
  p = F32::muladd(p, f, F32::splat(3.3333331174e-1f));
  p = F32::mul(F32::mul(p, f), z);
  p = F32::muladd(exponent, F32::splat(-2.12194440e-4f), p);
  p = F32::muladd(z, F32::splat(-0.5f), p);
  F32::store(mantissa, F32::muladd(exponent, F32::splat(0.693359375f), F32::add(f, p)));
  for (int i = 0; i < lanes; ++i) {
    const float v = all[i];
    if (v > 0 && v <= 3.40282347e38f) continue;
    mantissa[i] = v == 0 ? -__builtin_inff() : v > 0 ? v : __builtin_nanf("");
  }
  return F32::load(mantissa);
}

// x^a: as PyTorch by arithmetic for a few exponents, else e^(a ln |x|), within 2 + 1.5 |a ln x| ulp. Of a
// negative x NaN, unless a is an integer; zeros and infinities as in IEEE 754's pow, but the square root of
// -infinity NaN and of -0 -0.
KERNELET_COLD KERNELET_NOINLINE reg pow(reg x, float a) {
  const reg one = F32::splat(1.0f);
  if (a == 0.0f) return one;
  if (a == 1.0f) return x;
  if (a == 2.0f) return F32::mul(x, x);
  if (a == 3.0f) return F32::mul(F32::mul(x, x), x);
  if (a == -1.0f) return F32::div(one, x);
  if (a == -2.0f) {
    const reg r = F32::div(one, x);
    return F32::mul(r, r);
  }
  if (a == 0.5f) return F32::sqrt(x);
  constexpr float most = 3.40282347e38f;
  if (a > most) a = most;  // infinity by ln 1 would be NaN
  if (a < -most) a = -most;
  const reg zero = F32::zero(), size = F32::max(x, F32::sub(zero, x));
  const reg y = slow_exp(F32::mul(F32::splat(a), log(size)));
  const float large = a < 0 ? -a : a;
  // from 2^23 on every float is an integer, from 2^24 on an even one
  const bool integer = large >= 8388608.0f || static_cast<float>(static_cast<int>(a)) == a;
  if (!integer) {
    const reg none = F32::select_gt(F32::splat(-most), x, y, F32::splat(__builtin_nanf("")));
    return F32::select_gt(zero, x, none, y);
  }
  if (large >= 16777216.0f || static_cast<int>(a) % 2 == 0) return y;
  // 1 / x tells -0 from 0
  const reg minus = F32::mul(y, F32::splat(-1.0f));
  return F32::select_gt(zero, x, minus, F32::select_gt(zero, F32::div(one, x), minus, y));
}

// 1 - erf z for z >= 0, after Abramowitz and Stegun, 7.1.26: off by 1.5e-7 at most.
KERNELET_NOINLINE reg erfc_positive(reg z) {
  const reg one = F32::splat(1.0f);
  const reg t = F32::div(one, F32::muladd(z, F32::splat(0.3275911f), one));
  reg p = F32::splat(1.061405429f);
  p = F32::muladd(p, t, F32::splat(-1.453152027f));
  p = F32::muladd(p, t, F32::splat(1.421413741f));
  p = F32::muladd(p, t, F32::splat(-0.284496736f));
  p = F32::muladd(p, t, F32::splat(0.254829592f));
  return F32::mul(F32::mul(p, t), slow_exp(F32::mul(F32::sub(F32::zero(), z), z)));
}

// The standard normal distribution's share below x, off by 0.8e-7 at most.
KERNELET_INLINE reg normal_share(reg x) {
  const reg one = F32::splat(1.0f), half = F32::splat(0.5f);
  const reg size = F32::max(x, F32::sub(F32::zero(), x));
  const reg tail = F32::mul(half, erfc_positive(F32::mul(size, F32::splat(0.70710678f))));
  return F32::select_gt(F32::zero(), x, tail, F32::sub(one, tail));
}

}  // namespace
}  // namespace KERNELET_ISA
}  // namespace kernelet
