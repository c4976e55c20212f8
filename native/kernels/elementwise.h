// Element by element: dst = a + b, and pixels as bytes -> floats.
#pragma once

#include "vec.h"

namespace kernelet {
namespace KERNELET_ISA {
namespace {

void add(size_t n, const float* a, const float* b, float* dst) {
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) F32::store(dst + i, F32::add(F32::load(a + i), F32::load(b + i)));
  const int rest = static_cast<int>(n - i);
  if (rest > 0) {
    F32::store_first(dst + i, F32::add(F32::load_first(a + i, rest), F32::load_first(b + i, rest)), rest);
  }
}

// dst[i] = src[i] * scale + shift
void from_bytes(size_t n, const uint8_t* src, float scale, float shift, float* dst) {
  const reg a = F32::splat(scale), b = F32::splat(shift);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) F32::store(dst + i, F32::muladd(F32::load_bytes(src + i), a, b));
  const int rest = static_cast<int>(n - i);
  if (rest > 0) {
    uint8_t all[lanes] = {};
    for (int j = 0; j < rest; ++j) all[j] = src[i + j];
    F32::store_first(dst + i, F32::muladd(F32::load_bytes(all), a, b), rest);
  }
}

}  // namespace
}  // namespace KERNELET_ISA
}  // namespace kernelet
