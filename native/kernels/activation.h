// Activations: a row of activations.inc has its formula here, as a case of `activated`, and its slope, a function of
// `by_output` or `by_input`.
#pragma once

#include "elementary.h"

namespace kernelet {
namespace KERNELET_ISA {
namespace {

template <int U>
KERNELET_INLINE void silu(reg (&x)[U]) {
  reg y[U];
  ones_and_exps<U>(x, y);
  KERNELET_UNROLL
  for (int i = 0; i < U; ++i) x[i] = F32::div(x[i], y[i]);
}

// NaN stays, as in PyTorch's clamp.
KERNELET_INLINE reg clip(reg x, reg low, reg high) {
  const reg y = F32::max(low, x);
  return F32::select_gt(y, high, high, y);
}

KERNELET_INLINE reg hardsigmoid(reg x, float a, float b) {
  return clip(F32::muladd(x, F32::splat(a), F32::splat(b)), F32::zero(), F32::splat(1.0f));
}

KERNELET_INLINE reg hardswish(reg x) { return F32::mul(x, hardsigmoid(x, 1.0f / 6.0f, 0.5f)); }
template <int U>
KERNELET_INLINE void hardswish(reg (&x)[U]) {
  KERNELET_UNROLL
  for (int i = 0; i < U; ++i) x[i] = hardswish(x[i]);
}

// 2 x times what tanh takes in GELU's approximation: sqrt(2 / pi) (x + 0.044715 x^3).
KERNELET_INLINE reg gelu_inner(reg x) {
  return F32::mul(F32::mul(x, F32::splat(1.59576912f)),
                  F32::muladd(F32::mul(x, x), F32::splat(0.044715f), F32::splat(1.0f)));
}

// tanh(ln(1 + e^x)): with n = e^x (e^x + 2) it is n / (n + 2).
KERNELET_INLINE reg tanh_of_softplus(reg x) {
  const reg two = F32::splat(2.0f), high = F32::splat(30.0f);
  const reg e = slow_exp(F32::select_gt(x, high, high, x));
  const reg n = F32::mul(e, F32::add(e, two));
  return F32::div(n, F32::add(n, two));
}

#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic error "-Wswitch"  // of `activated`: an activation without its formula
#endif

#if defined(KERNELET_VNNI)
// Sums of an int8 step: nothing else is fused with one.
KERNELET_INLINE constexpr bool is_simple(const Unary&) { return true; }
KERNELET_INLINE reg floor_of(const Unary& f) { return f.f == Activation::relu ? F32::zero() : F32::lowest(); }
KERNELET_INLINE reg activated(const Unary& f, reg x) { return F32::max(floor_of(f), x); }
#else
// What few networks have: one copy, by call.
KERNELET_COLD KERNELET_NOINLINE reg activated_rarely(const Unary& f, reg x) {
  const reg zero = F32::zero(), one = F32::splat(1.0f), a = F32::splat(f.a), b = F32::splat(f.b);
  const reg minus = F32::sub(zero, x), size = F32::max(x, minus);
  switch (f.f) {
    case Activation::erf: {
      // near 0 a polynomial after Cephes' erff
      const reg z = F32::mul(x, x);
      reg p = F32::splat(7.853861353153693e-5f);
      p = F32::muladd(p, z, F32::splat(-8.010193625184903e-4f));
      p = F32::muladd(p, z, F32::splat(5.188327685732524e-3f));
      p = F32::muladd(p, z, F32::splat(-2.685381193529856e-2f));
      p = F32::muladd(p, z, F32::splat(1.128358514861418e-1f));
      p = F32::muladd(p, z, F32::splat(-3.761262582423300e-1f));
      p = F32::muladd(p, z, F32::splat(1.128379165726710f));
      const reg far = F32::sub(one, erfc_positive(size));
      const reg y =
          F32::select_gt(size, one, F32::select_gt(zero, x, F32::sub(zero, far), far), F32::mul(x, p));
      return F32::select_nan(x, x, y);
    }
    case Activation::gelu_tanh: return F32::div(x, one_and_slow_exp(gelu_inner(x)));
    case Activation::softplus: {
      const reg z = F32::mul(x, a), low = F32::sub(zero, F32::max(z, F32::sub(zero, z)));
      // ln(1 + e): what 1 + e rounds away is made up for
      const reg e = slow_exp(low), sum = F32::add(one, e), more = F32::sub(sum, one);
      const reg rest = F32::select_gt(more, zero, F32::mul(log(sum), F32::div(e, more)), e);
      const reg y = F32::div(F32::add(F32::select_gt(z, zero, z, zero), rest), a);
      return F32::select_nan(x, x, F32::select_gt(z, b, x, y));
    }
    case Activation::mish: return F32::mul(x, tanh_of_softplus(x));
    case Activation::softsign: return F32::div(x, F32::add(one, size));
    case Activation::threshold: return F32::select_nan(x, x, F32::select_gt(x, a, x, b));
    case Activation::shrink:
      return F32::select_nan(
          x, x, F32::select_gt(minus, a, F32::add(x, b), F32::select_gt(x, a, F32::sub(x, b), zero)));
    default: break;
  }
  return x;
}

KERNELET_INLINE reg activated(const Unary& f, reg x) {
  const reg zero = F32::zero();
  switch (f.f) {
    case Activation::relu: return relu(x);
    case Activation::tanh: return tanh(x);
    case Activation::sigmoid: return sigmoid(x);
    case Activation::leaky_relu: return F32::select_gt(x, zero, x, F32::mul(x, F32::splat(f.a)));
    case Activation::elu:
      return F32::mul(F32::splat(f.b),
                      F32::select_gt(zero, x, F32::mul(F32::splat(f.a), expm1_negative(x)), x));
    case Activation::silu: {
      reg one[1] = {x};
      silu<1>(one);
      return one[0];
    }
    case Activation::hardswish: return hardswish(x);
    case Activation::hardsigmoid: return hardsigmoid(x, f.a, f.b);
    case Activation::clip: return clip(x, F32::splat(f.a), F32::splat(f.b));
    case Activation::gelu: return F32::mul(x, normal_share(x));
    case Activation::exp: return slow_exp(x);
    case Activation::log: return log(x);
    case Activation::abs: return F32::max(x, F32::sub(zero, x));
    case Activation::pow: return pow(x, f.a);
    case Activation::scaled_tanh: return F32::mul(F32::splat(f.a), slow_tanh(F32::mul(x, F32::splat(f.b))));
    case Activation::erf:
    case Activation::gelu_tanh:
    case Activation::softplus:
    case Activation::mish:
    case Activation::softsign:
    case Activation::threshold:
    case Activation::shrink: return activated_rarely(f, x);
    case Activation::none: break;
  }
  return x;
}

namespace train {

// g f'(x), a function an activation: one that is missing does not compile. By the output y where the row in
// activations.inc says so, else by the input x.
namespace by_output {

KERNELET_INLINE reg relu(reg y, reg g) { return F32::select_gt(y, F32::zero(), g, F32::zero()); }
KERNELET_INLINE reg tanh(reg y, reg g) { return F32::mul(g, F32::sub(F32::splat(1.0f), F32::mul(y, y))); }
KERNELET_INLINE reg sigmoid(reg y, reg g) { return F32::mul(F32::mul(g, F32::sub(F32::splat(1.0f), y)), y); }

}  // namespace by_output

// At the ends of clip and hardsigmoid, and at corners, the slope is 0 (torch.nn.Hardtanh's; torch.clamp has 1).
namespace by_input {

struct Values {
  const Unary& f;
  reg x, g, zero, one, a, b;
};

KERNELET_INLINE reg leaky_relu(const Values& v) {
  return F32::select_gt(v.x, v.zero, v.g, F32::mul(v.g, v.a));
}
KERNELET_INLINE reg elu(const Values& v) {
  const reg below = F32::mul(v.a, slow_exp(F32::select_gt(v.x, v.zero, v.zero, v.x)));
  return F32::mul(F32::mul(v.g, v.b), F32::select_gt(v.x, v.zero, v.one, below));
}
// x s(z) has s + x s (1 - s) z'
KERNELET_INLINE reg times_sigmoid(const Values& v, reg z, reg slope) {
  const reg s = F32::div(v.one, F32::add(v.one, slow_exp(F32::sub(v.zero, z))));
  return F32::mul(F32::mul(v.g, s), F32::muladd(F32::mul(v.x, slope), F32::sub(v.one, s), v.one));
}
KERNELET_INLINE reg silu(const Values& v) { return times_sigmoid(v, v.x, v.one); }
KERNELET_INLINE reg gelu_tanh(const Values& v) {
  const reg slope = F32::muladd(F32::mul(v.x, v.x), F32::splat(0.134145f), v.one);
  return times_sigmoid(v, gelu_inner(v.x), F32::mul(slope, F32::splat(1.59576912f)));
}
KERNELET_INLINE reg hardswish(const Values& v) {
  const reg three = F32::splat(3.0f), inner = F32::muladd(v.x, F32::splat(1.0f / 3.0f), F32::splat(0.5f));
  const reg slope =
      F32::select_gt(F32::sub(v.zero, three), v.x, v.zero, F32::select_gt(v.x, three, v.one, inner));
  return F32::mul(v.g, slope);
}
KERNELET_INLINE reg hardsigmoid(const Values& v) {
  const reg y = F32::muladd(v.x, v.a, v.b);
  return F32::select_gt(y, v.zero, F32::select_gt(v.one, y, F32::mul(v.g, v.a), v.zero), v.zero);
}
KERNELET_INLINE reg clip(const Values& v) {
  return F32::select_gt(v.x, v.a, F32::select_gt(v.b, v.x, v.g, v.zero), v.zero);
}
KERNELET_INLINE reg gelu(const Values& v) {
  const reg density =
      F32::mul(F32::splat(0.398942280f), slow_exp(F32::mul(F32::mul(v.x, v.x), F32::splat(-0.5f))));
  return F32::mul(v.g, F32::muladd(v.x, density, normal_share(v.x)));
}
KERNELET_INLINE reg exp(const Values& v) { return F32::mul(v.g, slow_exp(v.x)); }
KERNELET_INLINE reg log(const Values& v) { return F32::div(v.g, v.x); }
KERNELET_INLINE reg abs(const Values& v) {
  return F32::select_gt(v.x, v.zero, v.g, F32::select_gt(v.zero, v.x, F32::sub(v.zero, v.g), v.zero));
}
KERNELET_INLINE reg pow(const Values& v) {
  return F32::mul(v.g, F32::mul(v.a, KERNELET_ISA::pow(v.x, v.f.a - 1.0f)));
}
KERNELET_INLINE reg scaled_tanh(const Values& v) {
  const reg y = slow_tanh(F32::mul(v.x, v.b));
  return F32::mul(F32::mul(v.g, F32::mul(v.a, v.b)), F32::sub(v.one, F32::mul(y, y)));
}
KERNELET_INLINE reg erf(const Values& v) {
  return F32::mul(v.g, F32::mul(F32::splat(1.12837917f), slow_exp(F32::mul(F32::sub(v.zero, v.x), v.x))));
}
KERNELET_INLINE reg softplus(const Values& v) {
  const reg z = F32::mul(v.x, v.a), s = F32::div(v.g, one_and_slow_exp(z));
  return F32::select_gt(z, v.b, v.g, s);
}
KERNELET_INLINE reg mish(const Values& v) {
  const reg t = tanh_of_softplus(v.x), s = F32::div(F32::sub(v.one, F32::mul(t, t)), one_and_slow_exp(v.x));
  return F32::mul(v.g, F32::muladd(v.x, s, t));
}
KERNELET_INLINE reg softsign(const Values& v) {
  const reg sum = F32::add(v.one, F32::max(v.x, F32::sub(v.zero, v.x)));
  return F32::div(v.g, F32::mul(sum, sum));
}
KERNELET_INLINE reg threshold(const Values& v) { return F32::select_gt(v.x, v.a, v.g, v.zero); }
KERNELET_INLINE reg shrink(const Values& v) {
  return F32::select_gt(F32::max(v.x, F32::sub(v.zero, v.x)), v.a, v.g, v.zero);
}

}  // namespace by_input

}  // namespace train

// None and ReLU cost one maximum, with this below: -infinity lets everything through, NaN and zeros included.
KERNELET_INLINE bool is_simple(const Unary& f) { return f.f == Activation::none || f.f == Activation::relu; }
KERNELET_INLINE reg floor_of(const Unary& f) {
  return F32::splat(f.f == Activation::relu ? 0.0f : -__builtin_inff());
}
#endif

#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

// dst = f(src), some registers at a time, as long as there are so many: tells how many floats that were. In place where src
// is dst.
template <class F>
KERNELET_INLINE size_t activate_together(size_t n, const float* src, float* dst, const F& f) {
  constexpr int together = F32::registers >= 32 ? 4 : 2;
  size_t i = 0;
  for (; i + together * lanes <= n; i += together * lanes) {
    reg x[together];
    KERNELET_UNROLL
    for (int j = 0; j < together; ++j) x[j] = F32::load(src + i + j * lanes);
    f(x);
    KERNELET_UNROLL
    for (int j = 0; j < together; ++j) F32::store(dst + i + j * lanes, x[j]);
  }
  return i;
}

// dst[i] = f(src[i]); in place where src is dst.
template <class F>
KERNELET_INLINE void activate_each(size_t from, size_t n, const float* src, float* dst, const F& f) {
  for (size_t i = from; i < n; i += lanes) {
    const int count = n - i < lanes ? static_cast<int>(n - i) : lanes;
    F32::store_first(dst + i, f(F32::load_first(src + i, count)), count);
  }
}

void activate(const Unary& f, size_t n, const float* src, float* dst) {
  size_t done = 0;
#if !defined(KERNELET_VNNI)
  if constexpr (!one_size) {  // what whole networks spend time in, without a choice for each register
    switch (f.f) {
      case Activation::sigmoid: done = activate_together(n, src, dst, [](auto& x) { sigmoid(x); }); break;
      case Activation::silu: done = activate_together(n, src, dst, [](auto& x) { silu(x); }); break;
      case Activation::hardswish: done = activate_together(n, src, dst, [](auto& x) { hardswish(x); }); break;
      default: break;
    }
  }
#endif
  activate_each(done, n, src, dst, [&](reg x) { return activated(f, x); });
}

}  // namespace
}  // namespace KERNELET_ISA
}  // namespace kernelet
