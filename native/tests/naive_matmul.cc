// The twins of linear layers, matmul and permute: which elements belong together, by their indices.
#include "naive.h"

namespace kernelet {
namespace test {

std::vector<Dot> naive_linear(const LinearArgs& s, bool fma, const float* src, const float* weight,
                              const float* bias) {
  std::vector<Dot> dst;
  for (int row = 0; row < s.rows; ++row) {
    for (int o = 0; o < s.out; ++o) {
      Dot dot(static_cast<size_t>(s.in));
      for (int k = 0; k < s.in; ++k) {
        dot.tap(src[static_cast<size_t>(row) * s.in + k], weight[static_cast<size_t>(o) * s.in + k], fma);
      }
      dot.add_bias(bias != nullptr ? bias[o] : 0.0f);
      dst.push_back(dot);
    }
  }
  return dst;
}

void each_matmul_product(const Shape& a, const Shape& b, const Shape& out,
                         const std::function<void(size_t, size_t, size_t)>& tap) {
  const size_t m = static_cast<size_t>(out.dims[out.rank - 2]),
               n = static_cast<size_t>(out.dims[out.rank - 1]),
               inner = static_cast<size_t>(a.dims[a.rank - 1]);
  // the matrix of an input that goes with matrix `stack` of the output
  const auto matrix = [&](const Shape& in, size_t stack) {
    size_t at = 0, step = 1;
    for (int d = 3; d <= out.rank; ++d) {
      const size_t dim = static_cast<size_t>(out.dims[out.rank - d]), index = stack % dim;
      stack /= dim;
      const size_t own = d <= in.rank ? static_cast<size_t>(in.dims[in.rank - d]) : 1;
      at += own == 1 ? 0 : index * step;
      step *= own;
    }
    return at;
  };
  for (size_t o = 0; o < static_cast<size_t>(out.elements()); ++o) {
    const size_t stack = o / (m * n), row = o / n % m, column = o % n;
    for (size_t k = 0; k < inner; ++k)
      tap(o, (matrix(a, stack) * m + row) * inner + k, (matrix(b, stack) * inner + k) * n + column);
  }
}

std::vector<Dot> naive_matmul(const Shape& a, const Shape& b, const Shape& out, bool fma, const float* left,
                              const float* right) {
  const Dot none(static_cast<size_t>(a.dims[a.rank - 1]));
  std::vector<Dot> dots(static_cast<size_t>(out.elements()), none);
  each_matmul_product(a, b, out, [&](size_t o, size_t i, size_t j) { dots[o].tap(left[i], right[j], fma); });
  for (Dot& dot : dots) dot.add_bias(0.0f);
  return dots;
}

void each_move(const Node& permute, const Shape& in, const std::function<void(size_t, size_t)>& move) {
  for (size_t i = 0; i < static_cast<size_t>(in.elements()); ++i) {
    size_t index[Shape::max_rank], rest = i, o = 0;
    for (int d = in.rank - 1; d >= 0; --d) {
      index[d] = rest % static_cast<size_t>(in.dims[d]);
      rest /= static_cast<size_t>(in.dims[d]);
    }
    for (int d = 0; d < in.rank; ++d)
      o = o * static_cast<size_t>(permute.shape.dims[d]) + index[permute.axes[d]];
    move(o, i);
  }
}

}  // namespace test
}  // namespace kernelet
