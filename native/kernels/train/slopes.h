// Slopes of activations, for training: a function for each row of activations.inc, of `by_output` where the slope follows
// from the output y alone, else of `by_input`.
#pragma once

#include "kernels/activation.h"

namespace kernelet {
namespace KERNELET_ISA {
namespace {
namespace train {

// g f'(x), a function an activation: one that is missing does not compile. By the output y where the row in
// activations.inc says so, else by the input x.
namespace by_output {

KERNELET_INLINE reg relu(reg y, reg g) { return F32::select_gt(y, F32::zero(), g, F32::zero()); }
KERNELET_INLINE reg tanh(reg y, reg g) { return F32::mul(g, F32::sub(F32::splat(1.0f), F32::mul(y, y))); }
KERNELET_INLINE reg sigmoid(reg y, reg g) { return F32::mul(F32::mul(g, F32::sub(F32::splat(1.0f), y)), y); }

}  // namespace by_output

#define KERNELET_CASE(name, slope) \
  case Activation::name: return slope

KERNELET_INLINE reg slope_by_output(Activation f, reg y, reg g) {
  switch (f) {
#define KERNELET_SLOPE_output(name) KERNELET_CASE(name, by_output::name(y, g));
#define KERNELET_SLOPE_input(name)
#define KERNELET_ACTIVATION(name, text, slope) KERNELET_SLOPE_##slope(name)
#include "kernels/activations.inc"
#undef KERNELET_ACTIVATION
#undef KERNELET_SLOPE_input
#undef KERNELET_SLOPE_output
    default: break;
  }
  return g;
}

[[maybe_unused]] void activate_dx(Activation f, size_t n, const float* dst, const float* grad, float* dx) {
  for (size_t i = 0; i < n; i += lanes)
    F32::store(dx + i, slope_by_output(f, F32::load(dst + i), F32::load(grad + i)));
}

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

KERNELET_COLD inline reg slope_by_input(const Unary& f, reg x, reg g) {
  const by_input::Values v = {f, x, g, F32::zero(), F32::splat(1.0f), F32::splat(f.a), F32::splat(f.b)};
  switch (f.f) {
#define KERNELET_SLOPE_output(name) KERNELET_CASE(name, by_output::name(activated(f, x), g));
#define KERNELET_SLOPE_input(name) KERNELET_CASE(name, by_input::name(v));
#define KERNELET_ACTIVATION(name, text, slope) KERNELET_SLOPE_##slope(name)
#include "kernels/activations.inc"
#undef KERNELET_ACTIVATION
#undef KERNELET_SLOPE_input
#undef KERNELET_SLOPE_output
    case Activation::none: break;
  }
  return g;
}

#undef KERNELET_CASE

[[maybe_unused]] KERNELET_COLD void slope(const Unary& f, size_t n, const float* src, const float* grad,
                                          float* dx) {
  for (size_t i = 0; i < n; i += lanes)
    F32::store(dx + i, slope_by_input(f, F32::load(src + i), F32::load(grad + i)));
}

}  // namespace train

}  // namespace
}  // namespace KERNELET_ISA
}  // namespace kernelet
