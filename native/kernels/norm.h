// Rows brought to mean 0 and variance 1, then scaled and shifted: layer, group, instance and RMS norm. A row's sums have
// sixteen accumulators, element i in number i mod 16, joined as a tree, whatever the lanes and the layout.
#pragma once

#include "arithmetic.h"

namespace kernelet {
namespace KERNELET_ISA {
namespace {
namespace norm {

constexpr int sums = 16;

// The sum of x - mean over each row, or of its square. Both are one loop: a muladd by 1 is an addition.
KERNELET_NOINLINE reg sum_of(const RowNormArgs& s, const float* src, reg mean, bool squares) {
  const reg flag = F32::splat(squares ? 1.0f : 0.0f), one = F32::splat(1.0f), zero = F32::zero();
  const auto step = [&](reg sum, const float* p) {
    const reg d = F32::sub(F32::load(p), mean);
    return F32::muladd(d, F32::select_gt(flag, zero, d, one), sum);
  };
  const size_t width = static_cast<size_t>(s.width), n = s.n * width, block = sums * width;
  alignas(64) float all[sums * lanes] = {}, tail[sums * lanes] = {}, more[sums * lanes];
  size_t i = 0;
  // in wide registers sixteen sums are one or two, which stay there
  if (lanes >= 8 && width == 1) {
    constexpr int count = lanes >= 8 ? sums / lanes : 1;
    reg sum[count];
    KERNELET_UNROLL
    for (int j = 0; j < count; ++j) sum[j] = F32::zero();
    for (; i + sums <= n; i += sums) {
      KERNELET_UNROLL
      for (int j = 0; j < count; ++j) sum[j] = step(sum[j], src + i + j * lanes);
    }
    KERNELET_UNROLL
    for (int j = 0; j < count; ++j) F32::store(all + j * lanes, sum[j]);
  }
  for (; i < n; i += block) {
    const size_t rest = (n - i) * sizeof(float);
    const bool last = n - i < block;
    if (last) memcpy(tail, src + i, rest);
    const float* const from = last ? tail : src + i;
    float* const to = last ? more : all;
    for (size_t j = 0; j < block; j += lanes) F32::store(to + j, step(F32::load(all + j), from + j));
    if (last) memcpy(all, more, rest);
  }
  for (size_t apart = block / 2; apart >= width; apart /= 2) {
    for (size_t j = 0; j < apart; ++j) all[j] = all[j] + all[j + apart];
  }
  return s.width == 1 ? F32::splat(all[0]) : F32::load(all);
}

struct Moments {
  reg mean, factor;  // 1 / deviation
};

KERNELET_NOINLINE Moments moments_of(const RowNormArgs& s, const float* src) {
  const reg count = F32::splat(static_cast<float>(s.n));
  Moments m;
  m.mean = F32::zero();
  if (s.centred) m.mean = F32::div(sum_of(s, src, m.mean, false), count);
  const reg variance = F32::div(sum_of(s, src, m.mean, true), count);
  m.factor = F32::div(F32::splat(1.0f), F32::sqrt(F32::add(variance, F32::splat(s.epsilon))));
  return m;
}

void rows(const RowNormArgs& s, const float* src, const float* scale, const float* shift, float* dst) {
  const size_t length = s.n * static_cast<size_t>(s.width);
  for (int32_t row = 0; row < s.rows; ++row) {
    const Moments m = moments_of(s, src);
    activate_each(0, length, src, dst, [&](reg x) { return F32::mul(F32::sub(x, m.mean), m.factor); });
    binary_rows<true>(s.affine, dst, scale, shift, dst);
    scale += s.scales;
    shift += s.scales;
    src += length;
    dst += length;
  }
}

// Backward, `lanes` images side by side. Of each image: dw, db [scales in all][lanes], or null.
KERNELET_COLD void rows_dx(const RowNormArgs& s, const float* src, const float* grad, const float* scale,
                           float* dx, float* dw, float* db) {
  const size_t own = s.n / s.inner, all = s.scales == 0 ? own : own * static_cast<size_t>(s.rows);
  if (dw != nullptr) {
    memset(dw, 0, all * lanes * sizeof(float));
    memset(db, 0, all * lanes * sizeof(float));
  }
  const reg count = F32::splat(static_cast<float>(s.n));
  for (int32_t row = 0; row < s.rows; ++row) {
    const Moments m = moments_of(s, src);
    const auto each = [&](auto&& body) {
      for (size_t i = 0; i < s.n; ++i) {
        const reg x = F32::mul(F32::sub(F32::load(src + i * lanes), m.mean), m.factor);
        body(i, x, F32::load(grad + i * lanes));
      }
    };
    reg of_grad = F32::zero(), of_both = F32::zero();
    each([&](size_t i, reg x, reg g) {
      const size_t k = i / s.inner;
      if (dw != nullptr) {
        F32::store(dw + k * lanes, F32::muladd(g, x, F32::load(dw + k * lanes)));
        F32::store(db + k * lanes, F32::add(F32::load(db + k * lanes), g));
      }
      const reg weighted = F32::mul(g, F32::splat(scale[k]));
      of_grad = F32::add(of_grad, weighted);
      of_both = F32::muladd(weighted, x, of_both);
    });
    of_grad = s.centred ? F32::div(of_grad, count) : F32::zero();
    of_both = F32::div(of_both, count);
    if (dx != nullptr) {
      each([&](size_t i, reg x, reg g) {
        const reg weighted = F32::mul(g, F32::splat(scale[i / s.inner]));
        const reg both = F32::muladd(x, of_both, of_grad);
        F32::store(dx + i * lanes, F32::mul(m.factor, F32::sub(weighted, both)));
      });
      dx += s.n * lanes;
    }
    scale += s.scales;
    if (dw != nullptr) {
      dw += s.scales * lanes;
      db += s.scales * lanes;
    }
    src += s.n * lanes;
    grad += s.n * lanes;
  }
}

}  // namespace norm
}  // namespace
}  // namespace KERNELET_ISA
}  // namespace kernelet
