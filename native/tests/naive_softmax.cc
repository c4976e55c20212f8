// The twin of softmax and its logarithm, with the error that floats may make of it.
#include <cmath>

#include "naive.h"

namespace kernelet {
namespace test {

void naive_softmax(const SoftmaxArgs& s, const float* src, double* dst, double* bound) {
  const double u = 0x1p-24;
  for (int o = 0; o < s.outer; ++o) {
    for (int j = 0; j < s.inner; ++j) {
      const auto at = [&](int i) { return (static_cast<size_t>(o) * s.n + i) * s.inner + j; };
      double best = src[at(0)];
      for (int i = 1; i < s.n; ++i) best = std::fmax(best, src[at(i)]);
      double sum = 0, weighted = 0;
      for (int i = 0; i < s.n; ++i) {
        const double e = std::exp(src[at(i)] - best);
        sum += e;
        if (e > 0) weighted += e * std::fabs(src[at(i)] - best);
      }
      // x - max rounds once (relative u, so |x - max| u of the exponential), the exponential is within 2 ulp,
      // that is 4 u; the sum has sixteen parts and four rounds that join them
      const int rounds = (s.n + 15) / 16 + 4;
      const double sum_error = u * (weighted / sum + 4 + rounds);
      for (int i = 0; i < s.n; ++i) {
        const double x = src[at(i)] - best;
        if (s.log) {
          dst[at(i)] = x - std::log(sum);
          bound[at(i)] =
              1.01 * (u * std::fabs(x) + sum_error + 2 * u * std::log(sum) + u * std::fabs(dst[at(i)]));
        } else {
          dst[at(i)] = std::exp(x) / sum;
          bound[at(i)] = 1.01 * dst[at(i)] * (u * std::fabs(x) + 4 * u + sum_error + u) + 0x1p-147;
        }
      }
    }
  }
}

}  // namespace test
}  // namespace kernelet
