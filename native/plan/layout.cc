#include "layout.h"

#include <algorithm>

#include "base/cpu.h"
#include "base/thread_pool.h"
#include "costs.h"
#include "ops/conv.h"

namespace kernelet {
namespace {

// Multiply-adds of a network with linear layers below which it stays in planes: over these its weights come during the
// convolution before (prefetch.cc). (LeNet-5 has a quarter of a million.)
constexpr int64_t least_work = 500000;
// … and below which a step more or less is what counts.
constexpr int64_t least_searched = 20000;

// A block of images pays off while what is live between its steps stays in a core's second-level cache.
constexpr size_t batched_limit = (size_t{1} << 20) / sizeof(float);

constexpr int most_parts = 16;

// The two largest neighbours, a value and the next, as a bound that needs no places of values.
bool fits_cache(const Graph& graph, const KernelTable& kernels) {
  int64_t largest = 0;
  for (const Node& node : graph.nodes) largest = std::max(largest, node.shape.elements());
  return static_cast<size_t>(2 * largest) * static_cast<size_t>(kernels.lanes) <= batched_limit;
}

// Are images side by side slower than one after the other? Surely so, as the cost model may be wrong: small windows and
// groups read each value for few outputs.
bool loses_side_by_side(const Graph& graph, const KernelTable& k) {
  constexpr double sure = 1.15, of_one_row = 0.25, of_rows = 0.75;  // shares of the peak of linear layers
  double together = 0, apart = 0;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    if (node.op == Op::linear) {
      const Shape& read = graph.nodes[static_cast<size_t>(node.inputs[0])].shape;
      const double sum = static_cast<double>(read.dims[read.rank - 1]);
      const double work = static_cast<double>(node.shape.elements()) * sum;
      together += work / of_rows;
      apart += work / of_one_row;
    } else if (node.op == Op::conv2d) {
      const ConvArgs a = conv_args_of(graph, static_cast<int>(i), k);
      const double planes = cost_over_planes(a, k);
      together += cost_in_lanes(a);
      apart += direct_in_blocks(a, k).fits(a) ? std::min(planes, cost_in_blocks(a, k, true)) : planes;
    }
  }
  return together > sure * apart;
}

}  // namespace

int parts_of_image(const PlanOptions& options) {
  return std::min(most_parts, options.threads > 0 ? options.threads : usable_cpus());
}

int fewest_of_block(const KernelTable& kernels) {
  // a block takes as long whatever the number of its images: where registers are twice as wide as the units, nearly as long
  // as one image after the other
  const int eighths = kernels.lanes == 16 && narrow_share() > 0.5 ? 7 : 6;
  return (eighths * kernels.lanes + 7) / 8;
}

int batched_from(const Graph& graph, const KernelTable& kernels, const PlanOptions& options) {
  if (options.algorithm == "lanes") return 1;
  const bool chosen_here = options.algorithm == "auto" || options.algorithm == "fastest";
  if (!chosen_here || kernels.lanes == 1 || options.choices.lanes == 0) return 0;
  const bool asked = options.choices.lanes > 0;
  if (!asked && !fits_cache(graph, kernels)) return 0;
  if (!asked && !options.int8 && loses_side_by_side(graph, kernels)) return 0;
  return fewest_of_block(kernels);
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

namespace {

// Convolutions change their way, one by one, where the network as a whole takes less by the cost model, reorders and all.
class LayoutSearch {
 public:
  // parts: threads that share an image
  LayoutSearch(const Graph& graph, const KernelTable& kernels, int64_t depth_first, int parts,
               NodeFlags& blocked)
      : graph_(graph), k_(kernels), blocked_(blocked), facts_(graph.nodes.size()) {
    const std::vector<int> storage = storage_of(graph);
    const NodeFlags live = live_nodes(graph);
    for (size_t i = 0; i < facts_.size(); ++i) {
      const Node& node = graph.nodes[i];
      Facts& facts = facts_[i];
      facts.stored = static_cast<size_t>(storage[i]);
      facts.computed = live[i] != 0 && !is_view(node.op);
      if (facts.computed) {
        for (int input : node.inputs) ++facts_[stored(input)].readers;
      }
      const std::vector<int> alone = {static_cast<int>(i)};
      if (node.op == Op::conv2d) {
        const ConvArgs a = conv_args_of(graph, alone[0], kernels);
        facts.joins = direct_in_blocks(a, k_).fits(a);
        facts.planes = cost_over_planes(a, k_);
        // threads share blocks alone
        facts.from_planes = cost_in_blocks(a, k_, false) / parts;
        facts.from_blocks = cost_in_blocks(a, k_, true) / parts;
        if (a.groups > 1 && a.groups == a.ic) expand(node.inputs[0], depth_first);
      } else if (definition_of(node.op).blocked != nullptr && node.shape.rank > 1 && node.shape.rank < 4) {
        facts.joins = definition_of(node.op).blocked({&graph, &alone, &kernels, Layout::blocked});
      }
    }
  }

  void run() {
    least_ = cost();
    int tried = 0;
    size_t before = blocked_.size();  // the last one that stayed as it was
    for (size_t i = 0; i < blocked_.size(); ++i) {
      const Facts& facts = facts_[i];
      if (graph_.nodes[i].op != Op::conv2d || !facts.computed || !facts.joins || blocked_[i] == by_winograd)
        continue;
      if (++tried > most_tried) return;
      if (turn({i})) continue;
      // two in a row may pay where one does not, with a reorder between them
      if (before < i && blocked_[before] == blocked_[i] && turn({before, i})) continue;
      before = i;
    }
  }

 private:
  // Each trial goes through the graph.
  static constexpr int most_tried = 400;
  // The model may be wrong by so much.
  static constexpr double margin = 0.05;

  struct Facts {
    size_t stored = 0;  // the node whose buffer holds the value
    int readers = 0;
    bool computed = false, joins = false;                 // joins: can read and write blocks
    double planes = 0, from_planes = 0, from_blocks = 0;  // a convolution's costs
    // of the layouts as they are now
    bool in_blocks = false;
    bool reordered[2] = {};  // to planes, to blocks
  };

  // These the other way, where it pays.
  bool turn(std::initializer_list<size_t> nodes) {
    double sure = 0;
    for (size_t i : nodes) {
      sure += margin * (blocked_[i] == directly ? facts_[i].from_blocks : facts_[i].planes);
      blocked_[i] = blocked_[i] == directly ? not_in_blocks : directly;
    }
    const double now = cost();
    if (now < least_ - sure) {
      least_ = now;
      return true;
    }
    for (size_t i : nodes) blocked_[i] = blocked_[i] == directly ? not_in_blocks : directly;
    return false;
  }

  // What a depthwise convolution reads: a 1x1 convolution's value, large, is not stored where both run depth first
  // (depth_first.cc), which takes blocks all the way.
  void expand(int value, int64_t large) {
    const Node* node = &graph_.nodes[static_cast<size_t>(value)];
    for (; is_activation(*node) || node->op == Op::batch_norm;
         node = &graph_.nodes[static_cast<size_t>(value)])
      value = node->inputs[0];
    if (node->op != Op::conv2d || node->kernel[0] * node->kernel[1] > 1 || node->shape.elements() <= large)
      return;
    const double moved = 0.6 * k_.lanes * static_cast<double>(node->shape.elements());
    facts_[static_cast<size_t>(value)].planes += moved;
    facts_[static_cast<size_t>(value)].from_planes += moved;
  }

  size_t stored(int node) const { return facts_[static_cast<size_t>(node)].stored; }
  // Does it lie in blocks for who reads it as `node`? Those seen in another shape are none.
  bool from_blocks(int node) const {
    const size_t value = stored(node);
    return facts_[value].in_blocks &&
           graph_.nodes[value].shape == graph_.nodes[static_cast<size_t>(node)].shape;
  }

  double reorder_cost(size_t value, bool to_blocks) const {
    const Shape& shape = graph_.nodes[value].shape;
    const int64_t channels = shape.dims[0];
    return facts_[value].reordered[to_blocks]
               ? 0
               : cost_of_reorder(channels, shape.elements() / channels, k_, to_blocks);
  }
  // Once for all who read it.
  double reorder(size_t value, bool to_blocks) {
    const double cost = reorder_cost(value, to_blocks);
    facts_[value].reordered[to_blocks] = true;
    return cost;
  }

  // Of all convolutions, and of all that depends on how they write.
  double cost() {
    for (Facts& facts : facts_) facts.in_blocks = facts.reordered[0] = facts.reordered[1] = false;
    double all = 0;
    for (size_t i = 0; i < facts_.size(); ++i) {
      if (facts_[i].computed) all += cost_of(i);
    }
    const size_t result = stored(graph_.output);
    return facts_[result].in_blocks ? all + reorder(result, false) : all;
  }

  double cost_of(size_t i) {
    const Node& node = graph_.nodes[i];
    Facts& facts = facts_[i];
    const bool conv = node.op == Op::conv2d;
    bool blocks = conv ? blocked_[i] != 0 : false;
    for (int input : node.inputs) blocks = blocks || (!conv && facts.joins && from_blocks(input));
    facts.in_blocks = blocks;
    double all = !conv ? cost_of_step(node, blocks) : blocks ? facts.from_blocks : facts.planes;
    for (int input : node.inputs) {
      const size_t value = stored(input);
      if (graph_.nodes[value].op == Op::constant || (blocks && from_blocks(input))) continue;
      if (facts_[value].in_blocks) all += reorder(value, false);
      if (!blocks) continue;
      const double gained =
          conv && node.groups == 1 ? facts.from_planes - facts.from_blocks : reorder_cost(value, true);
      all += gained < reorder_cost(value, true) ? gained : reorder(value, true);
    }
    return all;
  }

  // Of what differs: windows are taken by registers in blocks alone, and what blocks take with them is a pass of its own
  // behind a convolution over planes.
  double cost_of_step(const Node& node, bool blocks) const {
    const double lanes = static_cast<double>(node.shape.elements()) * k_.lanes;
    if (node.op == Op::max_pool2d || node.op == Op::avg_pool2d) {
      const int taps = node.kernel[0] * node.kernel[1];
      const bool fused =
          node.op == Op::max_pool2d && taps == 4 && facts_[stored(node.inputs[0])].readers == 1;
      return fused ? 0 : lanes * taps * (blocks ? 0.4 : 5.5);
    }
    const bool passes = node.op == Op::add || node.op == Op::batch_norm || is_activation(node);
    const bool fused = node.op == Op::relu && graph_.nodes[stored(node.inputs[0])].op == Op::conv2d;
    return passes && !blocks && !fused ? 0.4 * lanes : 0;
  }

  const Graph& graph_;
  const KernelTable& k_;
  NodeFlags& blocked_;
  std::vector<Facts> facts_;
  double least_ = 0;  // of what was tried
};

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
  const auto is_linear = [](const Node& node) { return node.op == Op::linear; };
  const bool linear = std::any_of(graph.nodes.begin(), graph.nodes.end(), is_linear);
  if (chosen_here && work < (linear ? least_work : least_searched))
    std::fill(blocked.begin(), blocked.end(), not_in_blocks);
  else if (chosen_here && kernels.lanes > 1) {
    const int parts = std::min(parts_of_image(options), threads_for(options.threads, work));
    LayoutSearch(graph, kernels, static_cast<int64_t>(options.depth_first.from), parts, blocked).run();
  }
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
