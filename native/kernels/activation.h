// exp, log, tanh and sigmoid out of F32 operations alone, so that every tier of a class gives the same bits.
// Polynomials after Cephes' single-precision expf, logf and tanhf (S. Moshier); errors are stated beside
// each function and held by the tests.
#pragma once

#include "table.h"
#include "vec.h"

namespace kernelet {
namespace KERNELET_ISA {
namespace {

// Rounds to the nearest integer, ties to even, for |x| < 2^22.
KERNELET_INLINE reg round_to_int(reg x) {
  const reg magic = F32::splat(12582912.0f);  // 1.5 * 2^23
  return F32::sub(F32::add(x, magic), magic);
}

// e^x within 2 ulp; 0 below -104, infinity above 89, NaN stays NaN, subnormal results are kept.
KERNELET_INLINE reg exp(reg x) {
  // max and select return their second operand where one is NaN: the order lets NaN through
  x = F32::max(F32::splat(-105.0f), x);
  x = F32::select_gt(x, F32::splat(89.0f), F32::splat(89.0f), x);
  const reg n = round_to_int(F32::mul(x, F32::splat(1.44269504088896341f)));
  reg r = F32::muladd(n, F32::splat(-0.693359375f), x);
  r = F32::muladd(n, F32::splat(2.12194440e-4f), r);
  reg p = F32::splat(1.9875691500e-4f);
  p = F32::muladd(p, r, F32::splat(1.3981999507e-3f));
  p = F32::muladd(p, r, F32::splat(8.3334519073e-3f));
  p = F32::muladd(p, r, F32::splat(4.1665795894e-2f));
  p = F32::muladd(p, r, F32::splat(1.6666665459e-1f));
  p = F32::muladd(p, r, F32::splat(5.0000001201e-1f));
  p = F32::muladd(p, F32::mul(r, r), r);
  p = F32::add(p, F32::splat(1.0f));
  // 2^n in two steps: one would leave the exponent range at either end
  const reg half = round_to_int(F32::mul(n, F32::splat(0.5f)));
  const reg e = F32::mul(F32::mul(p, F32::pow2(half)), F32::pow2(F32::sub(n, half)));
  return F32::select_nan(x, x, e);
}

// 1 / (1 + e^-x), within 3 ulp.
KERNELET_INLINE reg sigmoid(reg x) {
  const reg one = F32::splat(1.0f);
  return F32::div(one, F32::add(one, exp(F32::sub(F32::zero(), x))));
}

// tanh x within 3 ulp: a polynomial near zero, where 1 - 2 / (e^2x + 1) would cancel.
KERNELET_INLINE reg tanh(reg x) {
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

// ln x for one x in [2^-126, infinity): all that softmax's sum (at least 1) needs. Within 1 ulp.
KERNELET_COLD inline float log_of(float x) {
  if (!(x < 3.4e38f)) return x;  // infinity and NaN
  int bits;
  memcpy(&bits, &x, sizeof bits);
  int e = (bits >> 23) - 126;
  bits = (bits & 0x007fffff) | 0x3f000000;
  float m;  // x = m * 2^e, m in [0.5, 1)
  memcpy(&m, &bits, sizeof m);
  if (m < 0.70710678f) {
    e -= 1;
    m = m + m;
  }
  // through F32, so that the tiers of a class round alike
  const reg f = F32::splat(m - 1.0f);
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
  const reg exponent = F32::splat(static_cast<float>(e));
  p = F32::muladd(exponent, F32::splat(-2.12194440e-4f), p);
  p = F32::muladd(z, F32::splat(-0.5f), p);
  const reg y = F32::muladd(exponent, F32::splat(0.693359375f), F32::add(f, p));
  float all[lanes];
  F32::store(all, y);
  return all[0];
}

KERNELET_INLINE reg activated(Activation f, reg x) {
  switch (f) {
    case Activation::relu: return relu(x);
    case Activation::tanh: return tanh(x);
    case Activation::sigmoid: return sigmoid(x);
    case Activation::none: break;
  }
  return x;
}

// dst[i] = f(src[i]); in place where src is dst.
void activate(Activation f, size_t n, const float* src, float* dst) {
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) F32::store(dst + i, activated(f, F32::load(src + i)));
  const int rest = static_cast<int>(n - i);
  if (rest > 0) F32::store_first(dst + i, activated(f, F32::load_first(src + i, rest)), rest);
}

// None and ReLU cost one maximum, with this below: -infinity lets everything through, NaN and zeros included.
KERNELET_INLINE bool is_simple(Activation f) { return f == Activation::none || f == Activation::relu; }
KERNELET_INLINE reg floor_of(Activation f) {
  return F32::splat(f == Activation::relu ? 0.0f : -__builtin_inff());
}

}  // namespace
}  // namespace KERNELET_ISA
}  // namespace kernelet
