#include "program.h"

#include <algorithm>

#include "ops/definition.h"
#include "plan/fuse.h"
#include "plan/memory.h"

namespace kernelet {
namespace {

class Builder {
 public:
  Builder(TrainProgram& program, const Graph& graph, const KernelTable& kernels, const ParameterUses& uses,
          bool input_gradient, bool fuse_steps)
      : program_(program),
        graph_(graph),
        kernels_(kernels),
        lanes_(static_cast<size_t>(kernels.lanes)),
        stored_in_(storage_of(graph, true)) {
    for (Group& group : fuse(graph, {fuse_steps, false, true})) {
      if (!is_view(graph.nodes[static_cast<size_t>(group.nodes[0])].op, true))
        groups_.push_back(std::move(group.nodes));
    }
    add_constants(uses);
    find_gradients(uses, input_gradient);
    make_steps(uses);
    find_last_uses();
    lay_out(input_gradient);
    cut();
  }

 private:
  using Instruction = TrainInstruction;

  // Constants that are trained come first, as steps of their own.
  void add_constants(const ParameterUses& uses) {
    std::vector<std::vector<int>> constants;
    trained_constant_.resize(graph_.nodes.size());
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      trained_constant_[i] = graph_.nodes[i].op == Op::constant && uses.weights[i].trained;
      if (trained_constant_[i]) constants.push_back({static_cast<int>(i)});
    }
    for (std::vector<int>& group : groups_) constants.push_back(std::move(group));
    groups_.swap(constants);
  }

  // A gradient is wanted where something is trained above.
  void find_gradients(const ParameterUses& uses, bool input_gradient) {
    wanted_.resize(graph_.nodes.size());
    wanted_[0] = input_gradient;
    for (size_t i = 1; i < graph_.nodes.size(); ++i) {
      const Node& node = graph_.nodes[i];
      wanted_[i] = uses.weights[i].trained || uses.biases[i].trained;
      for (int input : node.inputs) wanted_[i] = wanted_[i] || wanted_[static_cast<size_t>(input)];
    }
    program_.trains = wanted_[static_cast<size_t>(graph_.output)];
  }

  void make_steps(const ParameterUses& uses) {
    for (const std::vector<int>& group : groups_) {
      const size_t first = static_cast<size_t>(group[0]);
      TrainSpec spec;
      spec.graph = &graph_;
      spec.nodes = &group;
      spec.kernels = &kernels_;
      spec.layout = Layout::batched;
      spec.weight = uses.weights[first];
      spec.bias = uses.biases[first];
      spec.mean = uses.means[first];
      spec.variance = uses.variances[first];
      spec.wants_backward = wanted_[static_cast<size_t>(group.back())] != 0;
      const Node& node = spec.first();
      const auto make = definition_of(node.op).train;
      if (make == nullptr) {
        fail("ERR_UNSUPPORTED",
             {node.name, ": ", op_name(node.op), " has no backward: it cannot be trained through"});
      }
      program_.steps.push_back(make(spec));
      program_.steps.back()->first_node = group[0];
    }
  }

  size_t storage(int node) const { return static_cast<size_t>(stored_in_[static_cast<size_t>(node)]); }
  const Node& first_node(size_t group) const { return graph_.nodes[static_cast<size_t>(groups_[group][0])]; }
  size_t value_of(size_t group) const { return static_cast<size_t>(groups_[group].back()); }
  size_t floats(size_t node) const {
    return static_cast<size_t>(graph_.nodes[node].shape.elements()) * lanes_;
  }

  // Time: prepare is 0, forward of group i is i + 1, the loss comes after all, backward of group i is 2n + 1 - i.
  size_t loss_time() const { return groups_.size() + 1; }
  size_t backward_time(size_t group) const { return 2 * groups_.size() + 1 - group; }

  void find_last_uses() {
    last_use_.resize(graph_.nodes.size());
    const auto use = [&](size_t node, size_t time) { last_use_[node] = std::max(last_use_[node], time); };
    for (size_t i = 0; i < groups_.size(); ++i) {
      const TrainStep& step = *program_.steps[i];
      const bool back = wanted_[value_of(i)];
      for (int input : first_node(i).inputs) {
        use(storage(input), back && step.reads_src ? backward_time(i) : i + 1);
      }
      use(value_of(i), back && step.reads_dst ? backward_time(i) : i + 1);
    }
    use(storage(graph_.output), loss_time());
  }

  Location operand(int node) const { return where_[storage(node)]; }

  void release_values(size_t time) {
    for (size_t node = 0; node < graph_.nodes.size(); ++node) {
      if (placed_[node] && where_[node].kind == Location::arena && last_use_[node] <= time) {
        arena_.release(where_[node].offset);
        placed_[node] = false;
      }
    }
  }

  size_t place(size_t node) {
    where_[node].offset = arena_.place(floats(node));
    placed_[node] = true;
    return where_[node].offset;
  }

  void lay_out(bool input_gradient) {
    where_.resize(graph_.nodes.size());
    placed_.resize(graph_.nodes.size());
    grads_.assign(graph_.nodes.size(), Instruction::none);
    const size_t output = storage(graph_.output);

    size_t constant_floats = 0;
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      if (graph_.nodes[i].op != Op::constant || trained_constant_[i]) continue;
      where_[i] = {Location::weights, constant_floats};
      constant_floats += AlignedFloats::round_up(floats(i));
    }
    program_.constants = AlignedFloats(constant_floats);
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      if (graph_.nodes[i].op != Op::constant || trained_constant_[i]) continue;
      for (size_t j = 0; j < floats(i); ++j)
        program_.constants.data()[where_[i].offset + j] = graph_.nodes[i].weight.data[j / lanes_];
    }

    add(Instruction::prepare, nullptr, 0);
    place(0);
    program_.input = where_[0];
    program_.target = arena_.place(floats(static_cast<size_t>(graph_.output)));
    size_t scratch = 0;
    std::vector<size_t> saved(groups_.size(), 0);
    for (size_t i = 0; i < groups_.size(); ++i) {
      TrainStep& step = *program_.steps[i];
      scratch = std::max(scratch, step.scratch_floats);
      const bool back = wanted_[value_of(i)];
      Instruction forward;
      for (int input : first_node(i).inputs) forward.sources.push_back(operand(input));
      place(value_of(i));
      forward.destination = where_[value_of(i)];
      // Saved for backward, and written whether there is one or not.
      if (step.saved_floats > 0) forward.saved = saved[i] = arena_.place(step.saved_floats);
      for (int round = 0; round < step.forward_rounds; ++round)
        add(Instruction::forward, &step, value_of(i), round, forward);
      if (!back && step.saved_floats > 0) arena_.release(saved[i]);
      release_values(i + 1);
    }
    program_.output = where_[output];

    // The loss needs its own gradient's place even where nothing is trained.
    grads_[output] = arena_.place(floats(output));
    program_.output_grad = grads_[output];
    add(Instruction::loss, nullptr, output);
    release_values(loss_time());

    for (size_t i = groups_.size(); program_.trains && i-- > 0;) {
      const size_t value = value_of(i);
      if (!wanted_[value] || grads_[value] == Instruction::none) continue;
      TrainStep& step = *program_.steps[i];
      Instruction backward;
      std::vector<size_t> temporaries;
      for (int input : first_node(i).inputs) {
        const size_t source = storage(input);
        backward.sources.push_back(operand(input));
        if (!wanted_[source]) {
          backward.src_grads.push_back(Instruction::none);
        } else if (grads_[source] == Instruction::none) {
          grads_[source] = arena_.place(floats(source));
          backward.src_grads.push_back(grads_[source]);
        } else {
          temporaries.push_back(arena_.place(floats(source)));
          backward.src_grads.push_back(temporaries.back());
          backward.additions.push_back({temporaries.back(), grads_[source], floats(source)});
        }
      }
      backward.destination = where_[value];
      backward.saved = saved[i];
      backward.has_grad = true;
      backward.grad = grads_[value];
      for (int round = 0; round < step.backward_rounds; ++round)
        add(Instruction::backward, &step, value, round, backward);
      for (size_t temporary : temporaries) arena_.release(temporary);
      arena_.release(grads_[value]);
      if (step.saved_floats > 0) arena_.release(saved[i]);
      release_values(backward_time(i));
    }
    if (input_gradient) program_.input_grad = grads_[0];

    program_.arena_floats = arena_.size() + AlignedFloats::round_up(scratch);
    program_.scratch = arena_.size();
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      const size_t source = static_cast<size_t>(stored_in_[i]);
      const bool computed = i == 0 || is_computed(source);
      if (!computed || i > static_cast<size_t>(graph_.output)) continue;
      program_.nodes.push_back({static_cast<int>(i), static_cast<int>(source), floats(i)});
    }
  }

  bool is_computed(size_t node) const {
    return node == 0 || std::any_of(groups_.begin(), groups_.end(), [&](const std::vector<int>& group) {
             return static_cast<size_t>(group.back()) == node;
           });
  }

  void add(Instruction::Kind kind, TrainStep* step, size_t node, int round = 0,
           Instruction instruction = {}) {
    instruction.kind = kind;
    instruction.step = step;
    instruction.round = round;
    instruction.node = static_cast<int>(node);
    // only the last round leaves the gradients
    if (kind == Instruction::backward && round + 1 < step->backward_rounds) instruction.additions.clear();
    program_.instructions.push_back(std::move(instruction));
  }

  void cut() {
    program_.segments.push_back(0);
    for (size_t i = 1; i < program_.instructions.size(); ++i) {
      if (program_.instructions[i].round > 0) program_.segments.push_back(i);
    }
    program_.segments.push_back(program_.instructions.size());
  }

  TrainProgram& program_;
  const Graph& graph_;
  const KernelTable& kernels_;
  const size_t lanes_;
  std::vector<std::vector<int>> groups_;
  const std::vector<int> stored_in_;  // node -> node whose buffer holds its value
  NodeFlags wanted_;                  // node -> is its gradient?
  NodeFlags trained_constant_;
  std::vector<size_t> last_use_;  // node -> time
  Arena arena_;
  std::vector<Location> where_;
  NodeFlags placed_;
  std::vector<size_t> grads_;
};

}  // namespace

TrainProgram::TrainProgram(const Graph& graph, const KernelTable& kernels, const ParameterUses& uses,
                           bool input_gradient, bool fuse_steps) {
  Builder(*this, graph, kernels, uses, input_gradient, fuse_steps);
}

void TrainProgram::pack(const float* weights) const {
  for (const auto& step : steps) {
    if (step->weight.parameter >= 0) {
      for (size_t part = 0; part + 1 < step->parts.size(); ++part)
        step->pack_weight(weights + step->weight.offset, static_cast<int>(part));
    }
    if (step->bias.parameter >= 0) step->pack_bias(weights + step->bias.offset);
  }
}

TrainStep* TrainProgram::step_of(const ParameterUse& use, bool bias, size_t node) const {
  for (const auto& step : steps) {
    if (step->first_node != static_cast<int>(node)) continue;
    return (bias ? step->bias : step->weight).parameter == use.parameter ? step.get() : nullptr;
  }
  return nullptr;
}

}  // namespace kernelet
