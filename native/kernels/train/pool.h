// Backward of pools, batched: values and gradients are [c][h][w][lanes].
#pragma once

#include "kernels/batched.h"

namespace kernelet {
namespace KERNELET_ISA {
namespace {
namespace train {

KERNELET_INLINE void add_to(float* p, reg x) { F32::store(p, F32::add(F32::load(p), x)); }

// The gradient of a maximum goes to the first of equals.
KERNELET_COLD inline void max_window_dx(const PoolArgs& s, int y0, int x0, const float* src, reg left,
                                        float* dx) {
  reg best = F32::splat(-__builtin_inff());
  batched::each_tap(s, src, y0, x0, [&](const float* p) { best = running_max(best, F32::load(p)); });
  batched::each_tap(s, src, y0, x0, [&](const float* p) {
    const reg x = F32::load(p), zero = F32::zero();
    add_to(dx + (p - src), F32::select_gt(best, x, zero, left));
    left = F32::select_gt(best, x, left, zero);
  });
}

KERNELET_COLD void max_pool_dx(const PoolArgs& s, const float* src, const float* grad, float* dx) {
  const size_t plane = static_cast<size_t>(s.ih) * s.iw * lanes;
  memset(dx, 0, sizeof(float) * s.c * plane);
  for (int c = 0; c < s.c; ++c) {
    for (int oy = 0; oy < s.oh; ++oy) {
      for (int ox = 0; ox < s.ow; ++ox) {
        max_window_dx(s, oy * s.sh - s.pt, ox * s.sw - s.pl, src, F32::load(grad), dx);
        grad += lanes;
      }
    }
    src += plane;
    dx += plane;
  }
}

KERNELET_COLD void avg_pool_dx(const PoolArgs& s, const float* grad, float* dx) {
  const size_t plane = static_cast<size_t>(s.ih) * s.iw * lanes;
  memset(dx, 0, sizeof(float) * s.c * plane);
  for (int c = 0; c < s.c; ++c) {
    for (int oy = 0; oy < s.oh; ++oy) {
      for (int ox = 0; ox < s.ow; ++ox) {
        const int y0 = oy * s.sh - s.pt, x0 = ox * s.sw - s.pl;
        const reg share = F32::div(F32::load(grad), F32::splat(average_divisor(s, y0, x0)));
        batched::each_tap(s, dx, y0, x0, [&](const float* p) { add_to(dx + (p - dx), share); });
        grad += lanes;
      }
    }
    dx += plane;
  }
}

// The gradient of a mean goes to all alike, that of a maximum to the first of equals.
KERNELET_COLD void adaptive_dx(const PoolArgs& s, Pool pool, const float* src, const float* grad, float* dx) {
  const size_t plane = static_cast<size_t>(s.ih) * s.iw * lanes;
  memset(dx, 0, sizeof(float) * s.c * plane);
  for (int c = 0; c < s.c; ++c) {
    for (int o = 0; o < s.oh * s.ow; ++o) {
      const int oy = o / s.ow, ox = o % s.ow;
      // a bin is a window of its own
      PoolArgs bin = s;
      const int y0 = bin_begin(oy, s.ih, s.oh), x0 = bin_begin(ox, s.iw, s.ow);
      bin.kh = bin_end(oy, s.ih, s.oh) - y0;
      bin.kw = bin_end(ox, s.iw, s.ow) - x0;
      bin.dh = bin.dw = 1;
      if (pool == Pool::max) {
        max_window_dx(bin, y0, x0, src, F32::load(grad), dx);
      } else {
        const reg share = F32::div(F32::load(grad), F32::splat(static_cast<float>(bin.kh * bin.kw)));
        batched::each_tap(bin, dx, y0, x0, [&](const float* p) { add_to(dx + (p - dx), share); });
      }
      grad += lanes;
    }
    src += plane;
    dx += plane;
  }
}

}  // namespace train
}  // namespace
}  // namespace KERNELET_ISA
}  // namespace kernelet
