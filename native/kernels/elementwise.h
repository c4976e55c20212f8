// dst = a + b, element by element.
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

}  // namespace
}  // namespace KERNELET_ISA
}  // namespace kernelet
