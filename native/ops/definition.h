// What there is to know of an operation. Each is defined in a file of ops/, which holds its shape rule, its
// step of a plan and its step of training; graph/ops.inc lists them.
#pragma once

#include <memory>
#include <vector>

#include "check.h"
#include "step.h"
#include "train_step.h"

namespace kernelet {

using InputShapes = std::vector<const Shape*>;

// Which fusions are wanted.
struct FusionRules {
  bool enabled = true;
  bool int8 = false;      // sums of integers: what follows them is a ReLU alone
  bool training = false;  // backward has to find its way through
  // Convolutions that write blocks, whose tiles take more with them; a flag a node (InBlocks), or null
  const NodeFlags* blocked = nullptr;
};

// Is the value of the operation its input's, so that it computes nothing?
enum class View { never, in_plans, always };

// What of a node an operation goes by, besides inputs and shape: only that is read of a graph from outside.
enum Attributes : unsigned {
  no_attributes = 0,
  weight_attribute = 1,
  bias_attribute = 2,
  statistics_attributes = 4,  // mean, variance, training, momentum
  window_attributes = 8,      // kernel, stride, dilation, padding, ceil_mode, count_include_pad
  groups_attribute = 16,
  axis_attribute = 32,
  parameter_attributes = 64,  // alpha, beta
  probability_attribute = 128,
  axes_attribute = 256,
  starts_attribute = 512,
  steps_attribute = 1024,
  value_attribute = 2048,
  output_padding_attribute = 4096,
  resize_attributes = 8192,  // coordinates, rounding, scales
  epsilon_attribute = 16384,
};

struct OpDefinition {
  static constexpr int any = -1;
  int inputs;  // or any number of them
  unsigned attributes;
  // The shape rule: throws ERR_SHAPE or ERR_ARGUMENT for inputs or attributes that could not be computed. The node's
  // own shape says what the inputs do not (output channels, a slice's counts).
  Shape (*shape)(const Node& node, const InputShapes& inputs);
  // Null for what computes nothing.
  void (*plan)(const StepSpec& spec, PlannedStep& planned) = nullptr;
  std::unique_ptr<TrainStep> (*train)(const TrainSpec& spec) = nullptr;
  // Does the step of `nodes`, of which the first is this operation, also compute `next`, the one reader of its value?
  bool (*fuses)(const Graph& graph, const std::vector<int>& nodes, const Node& next,
                const FusionRules& rules) = nullptr;
  View view = View::never;
  // Can its step read and write Layout::blocked? (Of convolutions the pass over layouts knows it.)
  bool (*blocked)(const StepSpec& spec) = nullptr;
};

namespace ops {
#define KERNELET_OP(name, text, definition) extern const OpDefinition definition;
#include "graph/ops.inc"
#undef KERNELET_OP
}  // namespace ops

const OpDefinition& definition_of(Op op);

inline bool is_view(Op op, bool training = false) {
  const View view = definition_of(op).view;
  return view == View::always || (view == View::in_plans && !training);
}
// Node -> the node whose buffer holds its value: views resolved.
std::vector<int> storage_of(const Graph& graph, bool training = false);

// Of a step: the node whose buffer holds its input i.
const Node& stored_source(const StepSpec& spec, size_t i);

// The shape of a node's value. Throws as the operation's rule does, where a dimension comes out empty, and for a wrong
// number of inputs.
Shape infer_shape(const Node& node, const InputShapes& inputs);

// Checks every index, attribute, weight length and shape of a graph, so that nothing later can read or write out of
// bounds, whatever the caller said. Throws ERR_SHAPE or ERR_ARGUMENT naming the node.
void validate(const Graph& graph);

// ---- what several operations share

Shape same_shape(const Node& node, const InputShapes& inputs);
// For `blocked`: what goes plane by plane, or element by element over one value.
bool by_planes(const StepSpec& spec);

// An activation's function and its parameters; Activation::none for what is no activation.
Activation activation_of(Op op);
Unary unary_of(const Node& node);
inline bool is_activation(const Node& node) { return activation_of(node.op) != Activation::none; }
// The facade's name of an activation.
const char* activation_name(Activation f);
// Does the slope follow from the output, so that backward need not keep the input?
bool has_slope_by_output(Activation f);
// For `fuses`: any activation right behind the operation; in training none.
bool fuses_activation(const Graph& graph, const std::vector<int>& nodes, const Node& next,
                      const FusionRules& rules);
// The activation among the fused nodes of a step, or none.
Unary fused_activation(const StepSpec& spec);

}  // namespace kernelet
