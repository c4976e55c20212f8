#include "layout.h"

#include <algorithm>

#include "ops/conv.h"

namespace kernelet {
namespace {

// Multiply-adds of a network below which it stays in planes: reorders and the rims of small layers cost more than blocks
// gain. (LeNet-5 has a quarter of a million.)
constexpr int64_t least_work = 500000;

// A block of images pays off while what is live between its steps stays in a core's second-level cache.
constexpr size_t batched_limit = (size_t{1} << 20) / sizeof(float);

// The two largest neighbours, a value and the next, as a bound that needs no places of values.
bool fits_cache(const Graph& graph, const KernelTable& kernels) {
  int64_t largest = 0;
  for (const Node& node : graph.nodes) largest = std::max(largest, node.shape.elements());
  return static_cast<size_t>(2 * largest) * static_cast<size_t>(kernels.lanes) <= batched_limit;
}

}  // namespace

int batched_from(const Graph& graph, const KernelTable& kernels, const PlanOptions& options) {
  if (options.algorithm == "lanes") return 1;
  const bool chosen_here = options.algorithm == "auto" || options.algorithm == "fastest";
  if (!chosen_here || kernels.lanes == 1 || options.choices.lanes == 0) return 0;
  if (options.choices.lanes < 0 && !fits_cache(graph, kernels)) return 0;
  return (3 * kernels.lanes + 3) / 4;
}

namespace {

// Does the group's step read and write blocks?
bool is_blocked(const Draft& draft, const Group& group, const std::vector<int>& storage) {
  const Graph& graph = *draft.graph;
  const size_t first = static_cast<size_t>(group.nodes[0]);
  const Node& node = graph.nodes[first];
  if (node.op == Op::conv2d) return (*draft.blocked)[first] != 0;
  const auto blocked = definition_of(node.op).blocked;
  if (blocked == nullptr || node.shape.rank < 2 || node.shape.rank > 3) return false;
  bool any = false;
  for (int input : node.inputs) {
    const size_t stored = static_cast<size_t>(storage[static_cast<size_t>(input)]);
    const Shape& shape = graph.nodes[static_cast<size_t>(input)].shape;
    if (shape.elements() == shape.dims[0]) continue;  // lies alike in planes and in blocks
    any = any || (draft.values[stored].layout == Layout::blocked && graph.nodes[stored].shape == shape);
  }
  return any && blocked({&graph, &group.nodes, draft.kernels, Layout::blocked});
}

}  // namespace

NodeFlags blocked_convolutions(const Graph& graph, const KernelTable& kernels, const PlanOptions& options) {
  NodeFlags blocked(graph.nodes.size());
  if (options.int8) return blocked;
  int64_t work = 0;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    if (graph.nodes[i].op != Op::conv2d) continue;
    const ConvArgs a = conv_args_of(graph, static_cast<int>(i), kernels);
    blocked[i] = in_blocks(a, kernels, options.algorithm);
    work += int64_t{a.oc} * a.oh * a.ow * (a.ic / a.groups) * a.kh * a.kw;
  }
  const bool chosen_here = options.algorithm == "auto" || options.algorithm == "fastest";
  if (chosen_here && work < least_work) std::fill(blocked.begin(), blocked.end(), not_in_blocks);
  for (const Choice& choice : options.choices.nodes) {
    if (choice.way == Choice::any || graph.nodes[static_cast<size_t>(choice.node)].op != Op::conv2d) continue;
    const ConvArgs a = conv_args_of(graph, choice.node, kernels);
    blocked[static_cast<size_t>(choice.node)] = in_blocks(graph, choice, a, kernels, options.algorithm);
  }
  return blocked;
}

void choose_layouts(Draft& draft, const std::vector<Group>& groups) {
  draft.values.clear();
  for (size_t i = 0; i < draft.copy(); ++i) draft.values.push_back({i, draft.images});
  draft.values.push_back({static_cast<size_t>(draft.graph->output), draft.images});
  if (draft.is_batched()) return;
  const std::vector<int> storage = storage_of(*draft.graph);
  for (const Group& group : groups) {
    if (is_view(draft.graph->nodes[static_cast<size_t>(group.nodes[0])].op)) continue;
    if (is_blocked(draft, group, storage))
      draft.values[static_cast<size_t>(group.nodes.back())].layout = Layout::blocked;
  }
}

}  // namespace kernelet
