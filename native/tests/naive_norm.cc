// The twin of layer, group and RMS norm.
#include <cmath>

#include "naive.h"

namespace kernelet {
namespace test {

// Element i of a row goes to sum i mod 16; the sums are joined with those half as many further on, and so on.
template <class Step>
static float joined(const float* row, size_t n, Step step) {
  float sums[16] = {};
  for (size_t i = 0; i < n; ++i) sums[i % 16] = step(sums[i % 16], row[i]);
  for (int apart : {8, 4, 2, 1}) {
    for (int i = 0; i < apart; ++i) sums[i] = sums[i] + sums[i + apart];
  }
  return sums[0];
}

void naive_row_norm(const Node& node, bool fma, const float* src, float* dst) {
  const Shape& shape = node.shape;
  const bool groups = node.op == Op::group_norm;
  size_t rows = 1, all = static_cast<size_t>(shape.elements()),
         plane = all / static_cast<size_t>(shape.dims[0]);
  for (int d = 0; d < node.axis && !groups; ++d) rows *= static_cast<size_t>(shape.dims[d]);
  if (groups) rows = static_cast<size_t>(node.groups);
  const size_t n = all / rows;
  const float count = static_cast<float>(n);
  for (size_t row = 0; row < rows; ++row) {
    const float* const x = src + row * n;
    float mean = 0;
    if (node.op != Op::rms_norm) mean = joined(x, n, [](float sum, float v) { return sum + v; }) / count;
    const float squares = joined(x, n, [&](float sum, float v) {
      const float d = v - mean;
      return fma ? std::fma(d, d, sum) : sum + d * d;
    });
    const float variance = squares / count, root = std::sqrt(variance + node.epsilon), factor = 1.0f / root;
    for (size_t i = 0; i < n; ++i) {
      const size_t k = groups ? (row * n + i) / plane : i;
      const float w = node.weight.data != nullptr ? node.weight.data[k] : 1.0f;
      const float b = node.bias.data != nullptr ? node.bias.data[k] : 0.0f;
      const float d = x[i] - mean, y = d * factor;
      dst[row * n + i] = fma ? std::fma(y, w, b) : y * w + b;
    }
  }
}

// Rows of an image and what of each is its scale and shift.
NaiveRows::NaiveRows(const Node& node) {
  const Shape& shape = node.shape;
  const size_t all = static_cast<size_t>(shape.elements());
  count = node.op == Op::group_norm ? static_cast<size_t>(node.groups) : 1;
  for (int d = 0; d < node.axis && node.op != Op::group_norm; ++d)
    count *= static_cast<size_t>(shape.dims[d]);
  n = all / count;
  plane = node.op == Op::group_norm ? all / static_cast<size_t>(shape.dims[0]) : 0;
  centred = node.op != Op::rms_norm;
  epsilon = node.epsilon;
}

std::vector<double> NaiveRows::normed(const std::vector<double>& x, std::vector<double>& factors) const {
  std::vector<double> y = x;
  for (size_t row = 0; row < count; ++row) {
    double mean = 0, squares = 0;
    for (size_t i = row * n; centred && i < row * n + n; ++i) mean += x[i] / static_cast<double>(n);
    for (size_t i = row * n; i < row * n + n; ++i) squares += (x[i] - mean) * (x[i] - mean);
    factors.push_back(1 / std::sqrt(squares / static_cast<double>(n) + epsilon));
    for (size_t i = row * n; i < row * n + n; ++i) y[i] = (x[i] - mean) * factors[row];
  }
  return y;
}

std::vector<double> NaiveRows::gradient(const std::vector<double>& y, const std::vector<double>& factors,
                                        const std::vector<double>& dy) const {
  std::vector<double> dx(y.size());
  for (size_t row = 0; row < count; ++row) {
    double sum = 0, both = 0;
    for (size_t i = row * n; i < row * n + n; ++i) {
      if (centred) sum += dy[i] / static_cast<double>(n);
      both += dy[i] * y[i] / static_cast<double>(n);
    }
    for (size_t i = row * n; i < row * n + n; ++i) dx[i] = factors[row] * (dy[i] - sum - y[i] * both);
  }
  return dx;
}

}  // namespace test
}  // namespace kernelet
