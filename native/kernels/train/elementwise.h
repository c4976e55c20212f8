// Backward of pools, activations and softmax; dropout. Images in the lanes.
#pragma once

#include "../batch_lanes.h"
#include "../softmax.h"

namespace kernelet {
namespace KERNELET_ISA {
namespace {
namespace train {

KERNELET_INLINE void add_to(float* p, reg x) { F32::store(p, F32::add(F32::load(p), x)); }

// The gradient of a maximum goes to the first of equals.
KERNELET_COLD void max_pool_dx(const PoolArgs& s, const float* src, const float* grad, float* dx) {
  const size_t plane = static_cast<size_t>(s.ih) * s.iw * lanes;
  memset(dx, 0, sizeof(float) * s.c * plane);
  for (int c = 0; c < s.c; ++c) {
    for (int oy = 0; oy < s.oh; ++oy) {
      for (int ox = 0; ox < s.ow; ++ox) {
        const int y0 = oy * s.sh - s.pt, x0 = ox * s.sw - s.pl;
        reg best = F32::splat(-__builtin_inff()), left = F32::load(grad);
        batch_lanes::each_tap(s, src, y0, x0,
                              [&](const float* p) { best = running_max(best, F32::load(p)); });
        batch_lanes::each_tap(s, src, y0, x0, [&](const float* p) {
          const reg x = F32::load(p), zero = F32::zero();
          add_to(dx + (p - src), F32::select_gt(best, x, zero, left));
          left = F32::select_gt(best, x, left, zero);
        });
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
        batch_lanes::each_tap(s, dx, y0, x0, [&](const float* p) { add_to(dx + (p - dx), share); });
        grad += lanes;
      }
    }
    dx += plane;
  }
}

// By the output y: relu has y > 0, tanh 1 - y^2, sigmoid y (1 - y).
KERNELET_INLINE reg slope_times(Activation f, reg y, reg g) {
  const reg one = F32::splat(1.0f);
  switch (f) {
    case Activation::relu: return F32::select_gt(y, F32::zero(), g, F32::zero());
    case Activation::tanh: return F32::mul(g, F32::sub(one, F32::mul(y, y)));
    case Activation::sigmoid: return F32::mul(F32::mul(g, F32::sub(one, y)), y);
    default: break;
  }
  return g;
}

void activate_dx(Activation f, size_t n, const float* dst, const float* grad, float* dx) {
  for (size_t i = 0; i < n; i += lanes)
    F32::store(dx + i, slope_times(f, F32::load(dst + i), F32::load(grad + i)));
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
        F32::store(dx + j, s.log ? F32::sub(g, F32::mul(exp(y), sum)) : F32::mul(y, F32::sub(g, sum)));
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
