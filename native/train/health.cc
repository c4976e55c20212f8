// A look at the values and gradients of a step: what a health report tells, and what was not finite.
#include <cmath>

#include "run.h"

namespace kernelet {
namespace {

double square_sum(const float* x, size_t n) {
  double sum = 0;
  for (size_t i = 0; i < n; ++i) sum += static_cast<double>(x[i]) * x[i];
  return sum;
}

}  // namespace

template <class Body>
void TrainRun::each_float(int node, const float* x, int count, Body body) {
  const int64_t n = t_.graph_.nodes[static_cast<size_t>(node)].shape.elements();
  for (int64_t i = 0; i < n; ++i) {
    for (int lane = 0; lane < count; ++lane) body(x[i * k_.lanes + lane]);
  }
}

void TrainRun::examine_value(int node, const float* value, int count) {
  NodeSums& sums = sums_[static_cast<size_t>(node)];
  each_float(node, value, count, [&](float x) {
    sums.squares += static_cast<double>(x) * x;
    sums.zeros += x == 0.0f;
    sums.finite = sums.finite && std::isfinite(x);
  });
}

void TrainRun::examine_gradient(int node, const float* gradient, int count) {
  NodeSums& sums = sums_[static_cast<size_t>(node)];
  each_float(node, gradient, count, [&](float x) {
    sums.gradient_squares += static_cast<double>(x) * x;
    sums.gradient_finite = sums.gradient_finite && std::isfinite(x);
  });
}

void TrainRun::explain(double loss) {
  const auto found = [&](const char* what, const std::string& where) {
    report_->non_finite = what;
    report_->where = where;
  };
  const auto name = [&](const TrainProgram::Node& node) {
    return t_.graph_.nodes[static_cast<size_t>(node.index)].name;
  };
  for (const TrainProgram::Node& node : program_->nodes) {
    if (!sums_[static_cast<size_t>(node.stored_in)].finite)
      return found(node.index == 0 ? "input" : "value", name(node));
  }
  if (!std::isfinite(loss)) return found("loss", name(program_->nodes.back()));
  for (size_t i = program_->nodes.size(); i-- > 0;) {
    const TrainProgram::Node& node = program_->nodes[i];
    if (!sums_[static_cast<size_t>(node.stored_in)].gradient_finite) return found("gradient", name(node));
  }
  for (const Trainer::Task& task : t_.tasks_) {
    for (size_t i = 0; i < (task.end - task.begin) / task.row; ++i) {
      if (!std::isfinite(raw_squares_[task.first_sum + i]))
        return found("gradient", t_.options_.parameters[task.parameter].name);
    }
  }
  found("gradient", "");
}

void TrainRun::fill_health() {
  report_->has_health = true;
  TrainHealth& health = report_->health;
  for (size_t i = 0; i < t_.options_.parameters.size(); ++i) {
    const Trainer::Parameter& p = t_.parameters_[i];
    const float* const now = t_.weights_[t_.current_].data() + p.offset;
    const float* const next = t_.weights_[1 - t_.current_].data() + p.offset;
    TrainHealth::OfParameter of;
    of.weight_norm = std::sqrt(square_sum(now, p.length));
    if (p.trained) of.gradient_norm = std::sqrt(square_sum(t_.gradients_.data() + p.offset, p.length));
    double squares = 0;
    for (size_t j = 0; p.trained && call_.update && j < p.length; ++j) {
      const double d = static_cast<double>(next[j]) - now[j];
      squares += d * d;
    }
    of.update_norm = std::sqrt(squares);
    health.parameters.push_back(of);
  }
  for (const TrainProgram::Node& node : program_->nodes) {
    if (node.index == 0) continue;
    const NodeSums& sums = sums_[static_cast<size_t>(node.stored_in)];
    const Node& in_graph = t_.graph_.nodes[static_cast<size_t>(node.index)];
    const double values = static_cast<double>(in_graph.shape.elements()) * batch_;
    TrainHealth::OfNode of;
    of.name = in_graph.name;
    of.op = in_graph.op;
    of.rms = std::sqrt(sums.squares / values);
    of.gradient_norm = std::sqrt(sums.gradient_squares);
    of.zeros = static_cast<double>(sums.zeros) / values;
    health.nodes.push_back(of);
  }
}

}  // namespace kernelet
