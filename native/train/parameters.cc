// A trainer's parameters: which weights of the graph they are, where they lie, and how the work on them is cut.
#include <algorithm>
#include <cstring>

#include "ops/weighted.h"
#include "optimizers.h"
#include "plan/fuse.h"

namespace kernelet {
namespace {

// Weights of a task: some microseconds of work.
constexpr int64_t task_floats = 2048;

}  // namespace

void Trainer::find_parameters(const Graph& graph) {
  // those of the options, then its buffers, then what the graph has besides
  std::vector<Floats> known;
  for (const TrainedParameter& parameter : options_.parameters) known.push_back(parameter.data);
  for (const TrainedParameter& buffer : options_.buffers) known.push_back(buffer.data);
  const size_t listed = known.size(), trainable = options_.parameters.size();
  parameters_.resize(listed);
  for (const TrainedParameter& p : options_.parameters) {
    if (!p.mask.empty() && p.mask.size() != p.data.length) {
      fail("ERR_SHAPE",
           {p.name, ": expected a mask of ", p.data.length, " bytes but received ", p.mask.size()});
    }
  }
  const auto name = [&](size_t i) {
    return i < trainable ? options_.parameters[i].name : options_.buffers[i - trainable].name;
  };
  for (size_t i = 0; i < listed; ++i) {
    parameters_[i].length = known[i].length;
    for (size_t j = 0; j < i; ++j) {
      if (known[i].length > 0 && known[i].data == known[j].data)
        fail("ERR_ARGUMENT", {name(i), ": is the same array as ", name(j)});
    }
  }
  // The graph's weights that nobody listed stay as they are.
  uses_.weights.resize(graph.nodes.size());
  uses_.biases.resize(graph.nodes.size());
  uses_.means.resize(graph.nodes.size());
  uses_.variances.resize(graph.nodes.size());
  const auto find = [&](const Floats& floats, bool fixed_otherwise) {
    ParameterUse use;
    if (floats.data == nullptr) return use;
    size_t i = 0;
    while (i < known.size() && (known[i].data != floats.data || known[i].length != floats.length)) ++i;
    // a constant that is not trained is no parameter
    if (fixed_otherwise && (i >= trainable || options_.parameters[i].frozen)) return use;
    if (i == known.size()) {
      parameters_.emplace_back();
      parameters_[i].length = floats.length;
      known.push_back(floats);
    }
    use.parameter = static_cast<int>(i);
    return use;
  };
  const auto find_multiplied = [&](const Floats& floats, size_t node, bool bias) {
    const ParameterUse use = find(floats, graph.nodes[node].op == Op::constant);
    if (use.parameter >= 0) parameters_[static_cast<size_t>(use.parameter)].uses.push_back({node, bias});
    return use;
  };
  const NodeFlags live = live_nodes(graph);  // those of dead nodes have no gradient
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    if (!live[i]) continue;
    uses_.weights[i] = find_multiplied(graph.nodes[i].weight, i, false);
    uses_.biases[i] = find_multiplied(graph.nodes[i].bias, i, true);
    uses_.means[i] = find(graph.nodes[i].mean, false);
    uses_.variances[i] = find(graph.nodes[i].variance, false);
  }
  for (size_t i = 0; i < parameters_.size(); ++i) {
    Parameter& p = parameters_[i];
    p.offset = floats_;
    floats_ += AlignedFloats::round_up(p.length);
    p.trained = i < trainable && !options_.parameters[i].frozen && !p.uses.empty();
    if (p.trained && p.uses.size() > 1) p.other = AlignedFloats(p.length);
  }
  for (auto* uses : {&uses_.weights, &uses_.biases, &uses_.means, &uses_.variances}) {
    for (ParameterUse& use : *uses) {
      if (use.parameter < 0) continue;
      use.offset = parameters_[static_cast<size_t>(use.parameter)].offset;
      use.trained = parameters_[static_cast<size_t>(use.parameter)].trained;
    }
  }
  make_buffers();
  for (size_t i = listed; i < known.size(); ++i) {
    const Parameter& p = parameters_[i];
    for (AlignedFloats& weights : weights_)
      std::memcpy(weights.data() + p.offset, known[i].data, p.length * sizeof(float));
  }
  copy_constants();
}

void Trainer::make_buffers() {
  for (AlignedFloats* floats : {&weights_[0], &weights_[1], &gradients_}) *floats = zeros(floats_);
  const OptimizerStates states = states_of(options_.optimizer);
  const auto is_needed = [&](State state) {
    return state != State::none && (state != State::momentum || options_.momentum != 0);
  };
  if (is_needed(states.first)) first_ = zeros(floats_);
  if (is_needed(states.second)) second_ = zeros(floats_);
  if (options_.ema_decay >= 0) ema_ = zeros(floats_);
}

// The caller's arrays are his again: what the graph still needs of them is copied.
void Trainer::copy_constants() {
  for (Node& node : graph_.nodes) {
    if (node.op == Op::constant) {
      fixed_.emplace_back(node.weight.length);
      std::memcpy(fixed_.back().data(), node.weight.data, node.weight.length * sizeof(float));
      node.weight.data = fixed_.back().data();
    } else {
      node.weight.data = node.bias.data = node.mean.data = node.variance.data = nullptr;
    }
  }
  for (TrainedParameter& parameter : options_.parameters) parameter.data.data = nullptr;
  for (TrainedParameter& buffer : options_.buffers) buffer.data.data = nullptr;
}

void Trainer::make_tasks() {
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const Parameter& p = parameters_[i];
    if (!p.trained) continue;
    if (p.uses.size() != 1 || p.uses[0].bias) {
      tasks_.push_back({i, 0, p.length, 0, -1, p.length, sums_++});
      continue;
    }
    const TrainStep& step = *program_->step_of(uses_.weights[p.uses[0].node], false, p.uses[0].node);
    const int parts = static_cast<int>(step.parts.size()) - 1;
    const auto at = [&](int part) {
      return static_cast<size_t>(step.parts[static_cast<size_t>(part)]) *
             static_cast<size_t>(step.row_length);
    };
    for (int part = 0; part < parts;) {
      int last = part;
      while (last + 1 < parts && static_cast<int64_t>(at(last + 2) - at(part)) <= task_floats) ++last;
      tasks_.push_back({i, at(part), at(last + 1), part, last, static_cast<size_t>(step.row_length), sums_});
      sums_ += (at(last + 1) - at(part)) / static_cast<size_t>(step.row_length);
      part = last + 1;
    }
  }
}

}  // namespace kernelet
