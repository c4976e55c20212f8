#include "weighted.h"

#include <algorithm>

namespace kernelet {

void add_row_parts(std::vector<int>& parts, int begin, int n, int most) {
  const int count = (n + most - 1) / most, unit = most % 2 == 0 ? 2 : 1, units = (n + unit - 1) / unit;
  for (int part = 0; part < count; ++part)
    parts.push_back(begin + unit * (part * (units / count) + std::min(part, units % count)));
}

void copy_bias(const float* bias, size_t n, float* to) {
  for (size_t i = 0; i < n; ++i) to[i] = bias[i] + 0.0f;
}

AlignedFloats zeros(size_t n) {
  AlignedFloats floats(n);
  if (!floats.is_zero()) std::fill_n(floats.data(), n, 0.0f);
  return floats;
}

}  // namespace kernelet
