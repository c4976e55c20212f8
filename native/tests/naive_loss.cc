// The twins of the losses.
#include <algorithm>
#include <cmath>

#include "naive_train.h"

namespace kernelet {
namespace test {
namespace {

// Of every position along dimension 0: -log of the share of what is wanted.
double cross_entropy(const Shape& shape, double smoothing, const std::vector<double>& y, const float* target,
                     int batch, std::vector<double>& dy) {
  const size_t classes = static_cast<size_t>(shape.dims[0]), positions = y.size() / classes;
  const double all_positions = static_cast<double>(positions) * batch;
  double sum = 0;
  for (size_t at = 0; at < positions; ++at) {
    double best = y[at], total = 0, all = 0;
    for (size_t c = 0; c < classes; ++c) best = std::max(best, y[c * positions + at]);
    for (size_t c = 0; c < classes; ++c) total += std::exp(y[c * positions + at] - best);
    const auto wanted = [&](size_t i) {
      return static_cast<double>(target[i]) * (1 - smoothing) + smoothing / static_cast<double>(classes);
    };
    for (size_t c = 0; c < classes; ++c) all += wanted(c * positions + at);
    for (size_t c = 0; c < classes; ++c) {
      const size_t i = c * positions + at;
      sum -= wanted(i) * (y[i] - best - std::log(total)) / all_positions;
      dy[i] = (std::exp(y[i] - best) / total * all - wanted(i)) / all_positions;
    }
  }
  return sum;
}

}  // namespace

double naive_loss(Loss loss, const Shape& shape, double smoothing, const std::vector<double>& y,
                  const float* target, int batch, std::vector<double>& dy, bool& infinite) {
  double sum = 0;
  const double terms = static_cast<double>(y.size()) * batch;
  dy.assign(y.size(), 0.0);
  if (loss == Loss::cross_entropy) return cross_entropy(shape, smoothing, y, target, batch, dy);
  for (size_t i = 0; i < y.size(); ++i) {
    const double x = y[i], t = target[i];
    switch (loss) {
      case Loss::mse:
        sum += (x - t) * (x - t) / terms;
        dy[i] = 2 * (x - t) / terms;
        break;
      case Loss::binary_cross_entropy:
        infinite = infinite || x < 1e-4 || x > 1 - 1e-4;  // a float has too little of 1 - x
        sum -= (t * std::max(std::log(x), -100.0) + (1 - t) * std::max(std::log(1 - x), -100.0)) / terms;
        dy[i] = (x - t) / std::max(x * (1 - x), 1e-12) / terms;
        break;
      case Loss::binary_cross_entropy_with_logits:
        sum += (std::max(x, 0.0) - x * t + std::log1p(std::exp(-std::fabs(x)))) / terms;
        dy[i] = (1 / (1 + std::exp(-x)) - t) / terms;
        break;
      case Loss::dot:
        sum += x * t;
        dy[i] = t;
        break;
      case Loss::cross_entropy: break;
    }
  }
  return sum;
}

}  // namespace test
}  // namespace kernelet
