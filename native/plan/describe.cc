// Pass: what describe() tells of a plan's steps.
#include "draft.h"
#include "ops/conv.h"
#include "ops/linear.h"

namespace kernelet {
namespace {

std::string tile_text(int rows, int columns) { return std::to_string(rows) + "x" + std::to_string(columns); }

// In the order in which the tile does it: maximum, bias, activation.
std::string epilogue_text(const Draft& draft, const DraftStep& step) {
  std::string all, pool, activation;
  if (step.conv() != nullptr && step.conv()->blocked) {
    if (step.planned.has_bias) all = "+bias";
    for (size_t i = 1; i < step.group->nodes.size(); ++i) {
      const Node& node = draft.graph->nodes[static_cast<size_t>(step.group->nodes[i])];
      all += std::string("+") + (node.op == Op::max_pool2d ? "maxPool2x2" : op_name(node.op));
    }
    return all.empty() ? all : all.substr(1);
  }
  for (size_t i = 1; i < step.group->nodes.size(); ++i) {
    const Node& node = draft.graph->nodes[static_cast<size_t>(step.group->nodes[i])];
    if (is_activation(node)) activation = std::string("+") + activation_name(activation_of(node.op));
    else pool = "+maxPool2x2";
  }
  all = pool + (step.planned.has_bias ? "+bias" : "") + activation;
  return all.empty() ? all : all.substr(1);
}

}  // namespace

std::vector<StepDescription> describe(const Draft& draft) {
  std::vector<StepDescription> all;
  const Graph& graph = *draft.graph;
  for (const DraftStep& step : draft.steps) {
    StepDescription d;
    // a copy or a reorder is of the value that it writes
    const std::vector<int> nodes = step.group != nullptr
                                       ? step.group->nodes
                                       : std::vector<int>{static_cast<int>(draft.values[step.value].node)};
    const bool reorder = step.group == nullptr && step.value != draft.copy();
    for (size_t i = 0; step.expand != nullptr && i < step.expand->group->nodes.size(); ++i) {
      const Node& node = graph.nodes[static_cast<size_t>(step.expand->group->nodes[i])];
      d.names.push_back(node.name);
      d.ops.push_back(op_name(node.op));
      d.nodes.push_back(step.expand->group->nodes[i]);
    }
    if (step.gate != nullptr) {
      d.nodes.push_back(step.gate->nodes[0]);
      d.names.push_back(graph.nodes[static_cast<size_t>(d.nodes[0])].name);
      d.ops.push_back(op_name(Op::mul));
    }
    for (int node : nodes) {
      d.names.push_back(graph.nodes[static_cast<size_t>(node)].name);
      d.ops.push_back(reorder ? "reorder" : op_name(graph.nodes[static_cast<size_t>(node)].op));
    }
    d.nodes.insert(d.nodes.end(), nodes.begin(), nodes.end());
    d.decider = nodes[0];
    d.cost = step.expand == nullptr ? step.cost : step.expand->cost + step.cost;
    d.reorder = step.group == nullptr;
    d.problem = step.planned.problem;
    d.algorithm = step.planned.algorithm;
    d.isa = draft.kernels->isa;
    const Node& first =
        graph.nodes[static_cast<size_t>(step.expand != nullptr ? step.expand->group->nodes[0] : nodes[0])];
    d.input = step.group != nullptr ? graph.nodes[static_cast<size_t>(first.inputs[0])].shape
                                    : draft.shape_of(step.sources[0].index);
    d.output = graph.nodes[static_cast<size_t>(nodes.back())].shape;
    d.macs = step.planned.macs;
    const Layout layout = draft.values[step.value].layout;
    d.layout = layout == Layout::planes ? "planes" : layout == Layout::blocked ? "blocked" : "batched";
    d.parts = is_divided(draft, step) ? draft.parts : 1;
    if (step.group != nullptr) d.epilogue = epilogue_text(draft, step);
    if (step.gate != nullptr) d.epilogue = "mul" + (d.epilogue.empty() ? "" : "+" + d.epilogue);
    if (step.expand != nullptr) {
      d.problem = step.expand->planned.problem + "+" + d.problem;
      const std::string own = epilogue_text(draft, *step.expand);
      d.epilogue = (own.empty() ? "" : own + "+") + "conv2d" + (d.epilogue.empty() ? "" : "+" + d.epilogue);
      d.strip = step.conv()->args.strip;
    }
    if (const ConvStep* const conv = step.conv()) {
      d.algorithm = conv->algorithm->name;
      d.tile = tile_text(conv->algorithm->tile_rows, conv->algorithm->tile_columns);
    }
    if (const LinearStep* const layer = step.linear()) {
      d.algorithm = layer->algorithm->name;
      d.tile = tile_text(layer->algorithm->tile_rows, layer->algorithm->tile_columns);
    }
    if (step.quantized != nullptr) {
      if (draft.int8x4 == nullptr) d.algorithm = "int8-" + d.algorithm;
      d.int8 = true;
      d.bytes_out = step.quantized->bytes_out;
      d.in = step.quantized->in;
      d.out = step.quantized->out;
    }
    if (step.during != nullptr)
      d.during = graph.nodes[static_cast<size_t>(step.during->group->nodes[0])].name;
    all.push_back(std::move(d));
  }
  return all;
}

}  // namespace kernelet
