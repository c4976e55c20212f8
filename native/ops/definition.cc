#include "definition.h"

namespace kernelet {
namespace {

void check_count(const Node& node, size_t received) {
  const int count = definition_of(node.op).inputs;
  const size_t at_least = count == OpDefinition::any ? 1 : static_cast<size_t>(count);
  const size_t at_most = count == OpDefinition::any ? 4096 : at_least;
  if (received < at_least || received > at_most) {
    fail("ERR_ARGUMENT", {node.name, ": ", op_name(node.op), " received ", received, " inputs"});
  }
}

void check_inputs(const Node& node, size_t index) {
  check_count(node, node.inputs.size());
  for (int i : node.inputs) {
    if (i < 0 || static_cast<size_t>(i) >= index) {
      fail("ERR_ARGUMENT", {node.name, ": input ", i, " is not an earlier node"});
    }
  }
}

}  // namespace

const OpDefinition& definition_of(Op op) {
  switch (op) {
#define KERNELET_OP(name, text, definition) \
  case Op::name:                            \
    return ops::definition;
#include "graph/ops.inc"
#undef KERNELET_OP
  }
  return ops::input;  // none is left
}

std::vector<int> storage_of(const Graph& graph, bool training) {
  std::vector<int> storage;
  for (const Node& node : graph.nodes) {
    storage.push_back(is_view(node.op, training) ? storage[static_cast<size_t>(node.inputs[0])]
                                                 : static_cast<int>(storage.size()));
  }
  return storage;
}

const Node& stored_source(const StepSpec& spec, size_t i) {
  const Node* node = &spec.source(i);
  while (is_view(node->op)) node = &spec.graph->nodes[static_cast<size_t>(node->inputs[0])];
  return *node;
}

Shape infer_shape(const Node& node, const InputShapes& inputs) {
  check_count(node, inputs.size());
  const Shape out = definition_of(node.op).shape(node, inputs);
  for (int d = 0; d < out.rank; ++d) {
    if (out.dims[d] < 1)
      bad_shape(node, {"a window that fits into the padded input"},
                {inputs.empty() ? "" : inputs[0]->text()});
  }
  return out;
}

void validate(const Graph& graph) {
  const std::vector<Node>& nodes = graph.nodes;
  if (nodes.empty() || nodes[0].op != Op::input) {
    fail("ERR_ARGUMENT", {"a graph starts with its input node"});
  }
  if (graph.output < 0 || static_cast<size_t>(graph.output) >= nodes.size()) {
    fail("ERR_ARGUMENT", {"the output ", graph.output, " is not a node of the graph"});
  }
  InputShapes inputs;
  for (size_t i = 0; i < nodes.size(); ++i) {
    const Node& node = nodes[i];
    node.shape.check(node.name);
    check_inputs(node, i);
    if (node.op == Op::input && i != 0) fail("ERR_UNSUPPORTED", {node.name, ": a graph has one input"});
    inputs.clear();
    for (int input : node.inputs) inputs.push_back(&nodes[static_cast<size_t>(input)].shape);
    const Shape out = infer_shape(node, inputs);
    if (out != node.shape) bad_shape(node, {"output shape ", out.text()}, {node.shape.text()});
  }
}

Shape same_shape(const Node&, const InputShapes& inputs) { return *inputs[0]; }

bool by_planes(const StepSpec&) { return true; }

bool fuses_activation(const Graph&, const std::vector<int>& nodes, const Node& next,
                      const FusionRules& rules) {
  return nodes.size() == 1 && is_activation(next) && !rules.training;
}

Unary fused_activation(const StepSpec& spec) {
  for (size_t i = 1; i < spec.nodes->size(); ++i) {
    if (is_activation(spec.node(i))) return unary_of(spec.node(i));
  }
  return Unary();
}

}  // namespace kernelet
