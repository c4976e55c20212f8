// PyTorch's SGD, Adam and AdamW (torch.optim, single tensor, not capturable), and the average of the weights.
#pragma once

#include "kernels/vec.h"
#include "table.h"

namespace kernelet {
namespace KERNELET_ISA {
namespace {
namespace train {

struct UpdateRegisters {
  reg weight, grad, first, second, ema;
};

KERNELET_INLINE void update_one(const UpdateArgs& u, bool averaged, UpdateRegisters& r) {
  const reg high = F32::splat(u.clip_value), low = F32::splat(-u.clip_value);
  reg g = F32::select_gt(r.grad, high, high, F32::select_gt(low, r.grad, low, r.grad));
  g = F32::mul(g, F32::splat(u.scale));
  if (u.kind == Optimizer::adamw) {
    r.weight = F32::mul(r.weight, F32::splat(1.0f - u.lr * u.weight_decay));
  } else if (u.weight_decay != 0.0f) {
    g = F32::muladd(r.weight, F32::splat(u.weight_decay), g);
  }
  switch (u.kind) {
    case Optimizer::sgd:
      if (u.has_momentum) {
        const reg fresh =
            F32::muladd(g, F32::splat(1.0f - u.dampening), F32::mul(r.first, F32::splat(u.momentum)));
        r.first = u.first ? g : fresh;
        g = u.nesterov ? F32::muladd(r.first, F32::splat(u.momentum), g) : r.first;
      }
      r.weight = F32::muladd(g, F32::splat(-u.lr), r.weight);
      break;
    case Optimizer::adam:
    case Optimizer::adamw: {
      r.first = F32::muladd(F32::splat(u.beta1_rest), F32::sub(g, r.first), r.first);
      r.second =
          F32::muladd(F32::mul(g, g), F32::splat(u.beta2_rest), F32::mul(r.second, F32::splat(u.beta2)));
      const reg root = F32::muladd(F32::sqrt(r.second), F32::splat(u.root_correction), F32::splat(u.eps));
      r.weight = F32::muladd(F32::div(r.first, root), F32::splat(-u.step_size), r.weight);
      break;
    }
  }
  if (averaged)
    r.ema = F32::muladd(r.ema, F32::splat(u.ema_decay), F32::mul(r.weight, F32::splat(u.ema_rest)));
}

bool update(const UpdateArgs& u, size_t n, const UpdateBuffers& b) {
  reg spoilt = F32::zero();  // weights times 0: NaN once one is not finite
  for (size_t i = 0; i < n; i += lanes) {
    const int count = n - i < static_cast<size_t>(lanes) ? static_cast<int>(n - i) : lanes;
    const auto load = [&](const float* p) {
      if (p == nullptr) return F32::zero();
      return count == lanes ? F32::load(p + i) : F32::load_first(p + i, count);
    };
    const auto store = [&](float* p, reg x) {
      if (p == nullptr) return;
      if (count == lanes) F32::store(p + i, x);
      else F32::store_first(p + i, x, count);
    };
    UpdateRegisters r = {load(b.weight), load(b.grad), load(b.first), load(b.second), load(b.ema)};
    update_one(u, b.ema != nullptr, r);
    spoilt = F32::muladd(r.weight, F32::zero(), spoilt);
    store(b.next, r.weight);
    store(b.first, r.first);
    store(b.second, r.second);
    store(b.ema, r.ema);
  }
  float all[lanes];
  F32::store(all, spoilt);
  bool finite = true;
  for (int j = 0; j < lanes; ++j) finite = finite && all[j] == 0.0f;
  return finite;
}

}  // namespace train
}  // namespace
}  // namespace KERNELET_ISA
}  // namespace kernelet
