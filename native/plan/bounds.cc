// Pass: proves that no sum of a convolution can be NaN (bounded inputs times the sum of the weights' magnitudes), so that
// a fused maximum may be a plain one. Where that rests on the input, the step checks the input of every run.
#include <algorithm>
#include <cmath>
#include <limits>

#include "draft.h"
#include "ops/conv.h"

namespace kernelet {
namespace {

// Sums this far below the largest float stay finite however they are rounded.
constexpr double safe_sum = 1e30;

// What no output of a layer exceeds while its inputs stay below 1. NaN if a weight is.
double gain_of(const Node& node) {
  double sum = 0;
  const auto add = [&](const float* values, size_t count) {
    for (size_t i = 0; i < count; ++i) sum += std::fabs(static_cast<double>(values[i]));
  };
  for (const Floats* values : {&node.weight, &node.bias}) {
    if (values->data != nullptr) add(values->data, values->length);
    if (values->file < 0) continue;
    float piece[4096];
    for (size_t begin = 0; begin < values->length; begin += 4096) {
      const size_t count = std::min<size_t>(4096, values->length - begin);
      values->read(begin, count, piece);
      add(piece, count);
    }
  }
  return sum;
}

bool is_pool(Op op) {
  return op == Op::max_pool2d || op == Op::avg_pool2d || op == Op::adaptive_avg_pool2d ||
         op == Op::adaptive_max_pool2d;
}

}  // namespace

void prove_bounds(Draft& draft) {
  // value -> what it stays below while the inputs that are checked are bounded
  std::vector<double> bounds(draft.values.size(), std::numeric_limits<double>::infinity());
  for (DraftStep& step : draft.steps) {
    if (step.group == nullptr) continue;
    const Node& node = draft.graph->nodes[static_cast<size_t>(step.group->nodes[0])];
    if (is_pool(node.op)) bounds[step.value] = bounds[step.sources[0].index];
    ConvStep* const conv = step.conv();
    if (conv == nullptr || conv->blocked) continue;  // (blocks keep every NaN)
    conv->args.no_nan = step.quantized != nullptr;
    if (conv->args.no_nan) continue;
    const double gain = gain_of(node);
    double in = bounds[step.sources[0].index];
    const bool pooled = conv->args.epilogue.pool == Pool::max;
    if (pooled && !(in * gain < safe_sum) && bounded_limit * gain < safe_sum) {
      in = bounded_limit;
      conv->checked_floats = draft.floats_of(step.sources[0].index);
    }
    conv->args.no_nan = in * gain < safe_sum;
    bounds[step.value] = std::max(in, 1.0) * gain;
  }
}

}  // namespace kernelet
