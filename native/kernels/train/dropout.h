// Dropout, which is its own backward: n elements [lanes].
#pragma once

#include "kernels/vec.h"
#include "table.h"

namespace kernelet {
namespace KERNELET_ISA {
namespace {
namespace train {

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
