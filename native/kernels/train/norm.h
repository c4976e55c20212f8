// Backward of batch norm and PReLU, a channel at a time: n elements [lanes].
#pragma once

#include "kernels/vec.h"
#include "table.h"

namespace kernelet {
namespace KERNELET_ISA {
namespace {
namespace train {

KERNELET_COLD void prelu_dx(size_t n, float slope, const float* src, const float* grad, float* dx,
                            float* dw) {
  const reg zero = F32::zero(), w = F32::splat(slope);
  reg sum = zero;
  for (size_t i = 0; i < n * lanes; i += lanes) {
    const reg x = F32::load(src + i), g = F32::load(grad + i);
    sum = F32::muladd(F32::select_gt(x, zero, zero, x), g, sum);
    if (dx != nullptr) F32::store(dx + i, F32::select_gt(x, zero, g, F32::mul(g, w)));
  }
  F32::store(dw, sum);
}

KERNELET_COLD void moments(size_t n, const float* src, float* mean, float* squares) {
  reg sum = F32::zero(), square = F32::zero();
  for (size_t i = 0; i < n; ++i) sum = F32::add(sum, F32::load(src + i * lanes));
  const reg m = F32::div(sum, F32::splat(static_cast<float>(n)));
  for (size_t i = 0; i < n; ++i) {
    const reg d = F32::sub(F32::load(src + i * lanes), m);
    square = F32::muladd(d, d, square);
  }
  F32::store(mean, m);
  F32::store(squares, square);
}

KERNELET_COLD void norm_sums(size_t n, const float* src, const float* grad, float mean, float factor,
                             float* of_grad, float* of_both) {
  const reg m = F32::splat(mean);
  reg sum = F32::zero(), both = F32::zero();
  for (size_t i = 0; i < n * lanes; i += lanes) {
    const reg g = F32::load(grad + i);
    sum = F32::add(sum, g);
    both = F32::muladd(g, F32::sub(F32::load(src + i), m), both);
  }
  F32::store(of_grad, sum);
  F32::store(of_both, F32::mul(both, F32::splat(factor)));
}

KERNELET_COLD void norm_dx(size_t n, const float* src, const float* grad, float mean, float a, float b,
                           float c, float* dx) {
  const reg m = F32::splat(mean), minus_b = F32::splat(-b), minus_c = F32::splat(-c), factor = F32::splat(a);
  for (size_t i = 0; i < n * lanes; i += lanes) {
    const reg rest = F32::muladd(F32::sub(F32::load(src + i), m), minus_b, minus_c);
    F32::store(dx + i, F32::muladd(F32::load(grad + i), factor, rest));
  }
}

}  // namespace train
}  // namespace
}  // namespace KERNELET_ISA
}  // namespace kernelet
