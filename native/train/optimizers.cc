#include "optimizers.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace kernelet {
namespace {

// base^n, n >= 0, alike on every machine: libm's pow is not, and a new symbol of glibc besides.
double power(double base, double n) {
  double result = 1;
  for (int64_t left = static_cast<int64_t>(n); left > 0; left /= 2) {
    if (left % 2 != 0) result *= base;
    base *= base;
  }
  return result;
}

}  // namespace

OptimizerStates states_of(Optimizer optimizer) {
  switch (optimizer) {
#define KERNELET_OPTIMIZER(name, text, first, second) \
  case Optimizer::name:                               \
    return {Trainer::State::first, Trainer::State::second};
#include "kernels/train/optimizers.inc"
#undef KERNELET_OPTIMIZER
  }
  return {};
}

UpdateArgs update_args_of(const TrainerOptions& o, double norm, bool has_first) {
  UpdateArgs args = UpdateArgs();
  args.kind = o.optimizer;
  args.weight_decay = static_cast<float>(o.weight_decay);
  args.clip_value =
      o.clip_value > 0 ? static_cast<float>(o.clip_value) : std::numeric_limits<float>::infinity();
  // torch.nn.utils.clip_grad_norm_
  args.scale = o.clip_norm > 0 ? static_cast<float>(std::min(1.0, o.clip_norm / (norm + 1e-6))) : 1.0f;
  args.momentum = static_cast<float>(o.momentum);
  args.dampening = static_cast<float>(o.dampening);
  args.nesterov = o.nesterov;
  args.has_momentum = o.momentum != 0;
  args.first = !has_first;
  args.beta1_rest = static_cast<float>(1 - o.beta1);
  args.beta2 = static_cast<float>(o.beta2);
  args.beta2_rest = static_cast<float>(1 - o.beta2);
  args.eps = static_cast<float>(o.eps);
  args.ema_decay = static_cast<float>(o.ema_decay);
  args.ema_rest = static_cast<float>(1 - o.ema_decay);
  return args;
}

UpdateArgs update_args_of(const UpdateArgs& all, const TrainerOptions& o, const TrainedParameter& parameter,
                          uint64_t step, double learning_rate) {
  UpdateArgs args = all;
  const double lr = learning_rate * parameter.lr_multiplier;
  // Steps of its own, this one counted.
  const double t = static_cast<double>(step + 1 - std::min(parameter.since, step));
  args.lr = static_cast<float>(lr);
  args.first = all.first || t == 1;
  args.root_correction = static_cast<float>(1 / std::sqrt(1 - power(o.beta2, t)));
  args.step_size = static_cast<float>(lr / (1 - power(o.beta1, t)));
  return args;
}

}  // namespace kernelet
