// Slopes of activations, for training: each row of activations.inc finds its function in activation.h.
#pragma once

#include "kernels/activation.h"

namespace kernelet {
namespace KERNELET_ISA {
namespace {
namespace train {

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
