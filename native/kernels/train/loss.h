// Losses and their gradients; a lane is an image.
#pragma once

#include "kernels/elementary.h"
#include "table.h"

namespace kernelet {
namespace KERNELET_ISA {
namespace {
namespace train {

// ln x, at least -100, as PyTorch's binary cross-entropy has it.
KERNELET_INLINE reg bounded_log(reg x) { return F32::max(F32::splat(-100.0f), log(x)); }

// One position's classes, `step` floats apart: softmax and the target, smoothed.
KERNELET_INLINE reg cross_entropy(const LossArgs& s, const float* src, const float* target, size_t step,
                                  reg scale, float* dx) {
  const reg keep = F32::splat(1.0f - s.smoothing), even = F32::splat(s.smoothing / static_cast<float>(s.n));
  reg best = F32::load(src);
  for (int i = 1; i < s.n; ++i) best = running_max(best, F32::load(src + i * step));
  reg sum = F32::zero(), weight = F32::zero(), along = F32::zero();
  for (int i = 0; i < s.n; ++i) {
    const reg shifted = F32::sub(F32::load(src + i * step), best);
    const reg e = slow_exp(shifted), t = F32::muladd(F32::load(target + i * step), keep, even);
    sum = F32::add(sum, e);
    weight = F32::add(weight, t);
    along = F32::muladd(t, shifted, along);
    F32::store(dx + i * step, e);
  }
  const reg share = F32::div(weight, sum);
  for (int i = 0; i < s.n; ++i) {
    const reg t = F32::muladd(F32::load(target + i * step), keep, even);
    F32::store(dx + i * step, F32::mul(F32::sub(F32::mul(F32::load(dx + i * step), share), t), scale));
  }
  return F32::sub(F32::mul(weight, log(sum)), along);
}

KERNELET_INLINE reg elementwise_loss(Loss kind, reg x, reg t, reg& slope) {
  const reg one = F32::splat(1.0f), zero = F32::zero();
  switch (kind) {
    case Loss::mse: {
      const reg d = F32::sub(x, t);
      slope = F32::add(d, d);
      return F32::mul(d, d);
    }
    case Loss::binary_cross_entropy: {
      const reg rest = F32::sub(one, x);
      slope = F32::div(F32::sub(x, t), F32::max(F32::splat(1e-12f), F32::mul(rest, x)));
      const reg gain = F32::muladd(t, bounded_log(x), F32::mul(F32::sub(one, t), bounded_log(rest)));
      return F32::sub(zero, gain);
    }
    case Loss::binary_cross_entropy_with_logits: {
      slope = F32::sub(sigmoid(x), t);
      const reg size = F32::max(x, F32::sub(zero, x));
      const reg tail = log(F32::add(one, slow_exp(F32::sub(zero, size))));
      return F32::add(F32::sub(F32::max(x, zero), F32::mul(x, t)), tail);
    }
    case Loss::dot: slope = t; return F32::mul(x, t);
    case Loss::cross_entropy: break;
  }
  slope = zero;
  return zero;
}

KERNELET_COLD void loss(const LossArgs& s, const float* src, const float* target, const float* scale,
                        float* losses, float* dx) {
  const reg factor = F32::load(scale);
  reg sum = F32::zero();
  const size_t row = static_cast<size_t>(s.inner) * lanes, all = static_cast<size_t>(s.n) * row;
  if (s.kind == Loss::cross_entropy) {
    for (size_t i = 0; i < row; i += lanes) {
      sum = F32::add(sum, cross_entropy(s, src + i, target + i, row, factor, dx + i));
    }
  } else {
    for (size_t i = 0; i < all; i += lanes) {
      reg slope;
      sum = F32::add(sum, elementwise_loss(s.kind, F32::load(src + i), F32::load(target + i), slope));
      F32::store(dx + i, F32::mul(slope, factor));
    }
  }
  F32::store(losses, sum);
}

}  // namespace train
}  // namespace
}  // namespace KERNELET_ISA
}  // namespace kernelet
