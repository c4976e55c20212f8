// Backward of pools, activations and softmax; dropout. Images in the lanes.
#pragma once

#include "kernels/batched.h"
#include "kernels/softmax.h"

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

// MurmurHash3's last mixing step: every bit of x reaches every bit of the result.
KERNELET_INLINE uint32_t mixed(uint32_t x) {
  x ^= x >> 16;
  x *= 0x85ebca6bu;
  x ^= x >> 13;
  x *= 0xc2b2ae35u;
  return x ^ (x >> 16);
}

void dropout(const DropoutArgs& s, size_t n, const float* src, float* dst) {
  const double share = static_cast<double>(s.p) * 4294967296.0;
  const bool all = s.p >= 1.0f;
  const uint32_t limit = all ? 0xffffffffu : static_cast<uint32_t>(share);
  const float scale = all ? 0.0f : 1.0f / (1.0f - s.p);
  uint32_t keys[lanes];
  for (int j = 0; j < lanes; ++j) {
    keys[j] = mixed(s.key ^ mixed((s.first_image + static_cast<uint32_t>(j)) * 0x9e3779b9u + 0x7f4a7c15u));
  }
  for (size_t i = 0; i < n; ++i) {
    const uint32_t element = static_cast<uint32_t>(i) * 0x9e3779b9u;
    float factors[lanes];
    for (int j = 0; j < lanes; ++j) factors[j] = mixed(keys[j] + element) < limit ? 0.0f : scale;
    F32::store(dst + i * lanes, F32::mul(F32::load(src + i * lanes), F32::load(factors)));
  }
}

}  // namespace train
}  // namespace
}  // namespace KERNELET_ISA
}  // namespace kernelet
