// Backward of softmax, batched: [outer][n][inner], inner in whole registers.
#pragma once

#include "kernels/softmax.h"

namespace kernelet {
namespace KERNELET_ISA {
namespace {
namespace train {

// softmax: y (g - sum g y); log: g - e^y sum g. Over the middle of [outer][n][inner], inner in whole registers.
KERNELET_COLD void softmax_dx(const SoftmaxArgs& s, const float* dst, const float* grad, float* dx) {
  const size_t inner = static_cast<size_t>(s.inner), block = static_cast<size_t>(s.n) * inner;
  for (int o = 0; o < s.outer; ++o) {
    for (size_t i = 0; i < inner; i += lanes) {
      reg sum = F32::zero();
      for (size_t j = i; j < block; j += inner) {
        const reg g = F32::load(grad + j);
        sum = s.log ? F32::add(sum, g) : F32::muladd(g, F32::load(dst + j), sum);
      }
      for (size_t j = i; j < block; j += inner) {
        const reg g = F32::load(grad + j), y = F32::load(dst + j);
        F32::store(dx + j, s.log ? F32::sub(g, F32::mul(slow_exp(y), sum)) : F32::mul(y, F32::sub(g, sum)));
      }
    }
    dst += block;
    grad += block;
    dx += block;
  }
}

}  // namespace train
}  // namespace
}  // namespace KERNELET_ISA
}  // namespace kernelet
