// Phases 2 and 3 of a training step: gradients summed over the blocks, then the optimizer, a task some rows of a
// parameter.
#include <algorithm>
#include <cmath>
#include <limits>

#include "optimizers.h"
#include "run.h"

namespace kernelet {

void TrainRun::gradients(double& norm, double& clipped) {
  const float limit = t_.options_.clip_value > 0 ? static_cast<float>(t_.options_.clip_value)
                                                 : std::numeric_limits<float>::infinity();
  const bool both = t_.options_.clip_value > 0;
  raw_squares_.assign(t_.sums_, 0.0f);
  squares_.assign(t_.sums_, 0.0f);
  const auto work = [&](int index, int) {
    const Trainer::Task& task = t_.tasks_[static_cast<size_t>(index)];
    const Trainer::Parameter& p = t_.parameters_[task.parameter];
    float* const to = t_.gradients_.data() + p.offset;
    if (program_->trains) sum_gradient(task, p, to);
    const std::vector<uint8_t>& mask = t_.options_.parameters[task.parameter].mask;
    for (size_t i = task.begin; !mask.empty() && i < task.end; ++i)
      if (mask[i] == 0) to[i] = 0.0f;
    const float infinity = std::numeric_limits<float>::infinity();
    size_t sum = task.first_sum;
    for (size_t at = task.begin; at < task.end; at += task.row, ++sum) {
      raw_squares_[sum] = k_.train.square_sum(task.row, to + at, infinity);
      if (both) squares_[sum] = k_.train.square_sum(task.row, to + at, limit);
    }
  };
  const int tasks = static_cast<int>(t_.tasks_.size());
  if (examining_) {
    for (int i = 0; i < tasks; ++i) work(i, 0);
  } else {
    team_.each(tasks, work);
  }
  double raw = 0, cut = 0;
  for (float s : raw_squares_) raw += s;
  for (float s : both ? squares_ : raw_squares_) cut += s;
  norm = std::sqrt(raw);
  clipped = std::sqrt(cut);
}

void TrainRun::sum_gradient(const Trainer::Task& task, const Trainer::Parameter& p, float* to) {
  if (p.uses.size() == 1) return use_gradient(p.uses[0], task.begin, task.end, to + task.begin);
  // a parameter of several layers: one after another, in the order of the graph
  for (size_t i = 0; i < p.uses.size(); ++i) {
    use_gradient(p.uses[i], 0, p.length, i == 0 ? to : p.other.data());
    if (i > 0) k_.add(p.length, to, p.other.data(), to);
  }
}

void TrainRun::use_gradient(const Trainer::Parameter::Use& use, size_t begin, size_t end, float* to) {
  const ParameterUse& what = use.bias ? t_.uses_.biases[use.node] : t_.uses_.weights[use.node];
  TrainStep* const step = program_->step_of(what, use.bias, use.node);
  if (use.bias) return step->bias_gradient(batch_, to);
  const size_t row = static_cast<size_t>(step->row_length);
  step->weight_gradient(batch_, static_cast<int>(begin / row), static_cast<int>(end / row), to);
}

bool TrainRun::update(double learning_rate, double norm) {
  const TrainerOptions& o = t_.options_;
  const UpdateArgs args = update_args_of(o, norm, t_.has_first_);
  std::vector<char> finite(t_.tasks_.size(), 1);
  const float* const weights = t_.weights_[t_.current_].data();
  float* const next = t_.weights_[1 - t_.current_].data();
  const auto work = [&](int index, int) {
    const Trainer::Task& task = t_.tasks_[static_cast<size_t>(index)];
    const Trainer::Parameter& p = t_.parameters_[task.parameter];
    const size_t at = p.offset + task.begin;
    const auto of = [&](const AlignedFloats& floats) {
      return floats.size() > 0 ? floats.data() + at : nullptr;
    };
    const UpdateArgs mine = update_args_of(args, o, o.parameters[task.parameter], t_.step_, learning_rate);
    finite[static_cast<size_t>(index)] = k_.train.update(
        mine, task.end - task.begin,
        {weights + at, t_.gradients_.data() + at, next + at, of(t_.first_), of(t_.second_), of(t_.ema_)});
    pack(task, p, next + p.offset);
  };
  team_.each(static_cast<int>(t_.tasks_.size()), work);
  for (size_t i = 0; i < finite.size(); ++i) {
    if (finite[i]) continue;
    report_->non_finite = "weight";
    report_->where = o.parameters[t_.tasks_[i].parameter].name;
    return false;
  }
  return true;
}

void TrainRun::pack(const Trainer::Task& task, const Trainer::Parameter& p, const float* weights) {
  for (const Trainer::Parameter::Use& use : p.uses) {
    const ParameterUse& what = use.bias ? t_.uses_.biases[use.node] : t_.uses_.weights[use.node];
    TrainStep* const step = t_.program_->step_of(what, use.bias, use.node);
    if (use.bias) {
      step->pack_bias(weights);
      continue;
    }
    const bool all = task.last_part < task.first_part;
    const int last = all ? static_cast<int>(step->parts.size()) - 2 : task.last_part;
    for (int part = task.first_part; part <= last; ++part) step->pack_weight(weights, part);
  }
}

}  // namespace kernelet
