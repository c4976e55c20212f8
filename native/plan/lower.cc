// Pass: each group of nodes becomes a step, made by its operation. A value that lies otherwise than its reader wants it
// is reordered first, once for all its readers.
#include <algorithm>
#include <cstring>

#include "costs.h"
#include "draft.h"
#include "ops/conv.h"
#include "ops/linear.h"
#include "ops/window.h"

namespace kernelet {
namespace {

// A graph whose output is its input or a constant (perhaps flattened) still owes the caller a copy.
class CopyStep : public Step {
 public:
  explicit CopyStep(size_t n) : n_(n) {}
  void run(StepRun& run) const override { std::memcpy(run.dst(), run.src(0), n_ * sizeof(float)); }

 private:
  size_t n_;
};

// Between planes and blocks of channels.
class ReorderStep : public Step {
 public:
  ReorderStep(const KernelTable& k, const Shape& shape, bool to_blocks)
      : k_(&k),
        to_blocks_(to_blocks),
        channels_(int_of(shape.dims[0])),
        plane_(static_cast<size_t>(shape.elements() / shape.dims[0])) {}
  void run(StepRun& run) const override { run_part(run, 0, 0, 1); }
  int phases() const override { return 1; }
  // Some blocks.
  void run_part(StepRun& run, int, int part, int parts) const override {
    const int end = border(part + 1, parts);
    for (int c = border(part, parts); c < end; c += k_->lanes) {
      const int count = std::min(k_->lanes, channels_ - c);
      const size_t planes =
          static_cast<size_t>(c) * plane_;  // (blocks lie as far on as the planes they hold)
      if (to_blocks_) k_->interleave(plane_, count, run.src(0) + planes, plane_, run.dst() + planes);
      else k_->deinterleave(plane_, count, run.src(0) + planes, run.dst() + planes, plane_);
    }
  }

 private:
  const KernelTable* k_;
  bool to_blocks_;
  int channels_;
  size_t plane_;

  int border(int part, int parts) const {
    return static_cast<int>(
        part_begin(static_cast<size_t>(channels_), part, parts, static_cast<size_t>(k_->lanes)));
  }
};

// One pixel a channel: lies alike in planes and in blocks, but for the rest of the last block.
bool is_pixel(const Shape& shape) { return shape.elements() == shape.dims[0]; }

class Lowering {
 public:
  Lowering(Draft& draft, const std::vector<Group>& groups, const QuantizedGraph* quantized)
      : draft_(draft),
        graph_(*draft.graph),
        groups_(groups),
        quantized_(quantized),
        storage_(storage_of(graph_)) {}

  void run() {
    for (size_t i = 0; i < groups_.size(); ++i) {
      if (!is_view(node(groups_[i].nodes[0]).op)) add_step(i);
    }
    const size_t stored = static_cast<size_t>(storage_[static_cast<size_t>(graph_.output)]);
    const Op source = graph_.nodes[stored].op;
    if (source == Op::input || source == Op::constant) return copy(stored);
    draft_.result = in_planes(stored);
  }

 private:
  const Node& node(int i) const { return graph_.nodes[static_cast<size_t>(i)]; }

  void add_step(size_t i) {
    const Group& group = groups_[i];
    const Node& first = node(group.nodes[0]);
    const size_t value = static_cast<size_t>(group.nodes.back());
    const Layout layout = draft_.values[value].layout;
    StepSpec spec = {&graph_, &group.nodes, draft_.kernels, layout};
    // a direct convolution reads planes as well as blocks, but for one channel a group
    const bool conv_in_blocks = first.op == Op::conv2d && layout == Layout::blocked;
    const bool either =
        conv_in_blocks && first.groups == 1 &&
        (*draft_.blocked)[static_cast<size_t>(group.nodes[0])] == directly &&
        better_from_planes(conv_args_of(graph_, group.nodes[0], *draft_.kernels), *draft_.kernels);
    if (conv_in_blocks) spec.src_layout = either ? layout_of(first.inputs[0]) : Layout::blocked;
    DraftStep step;
    step.group = &group;
    step.value = value;
    definition_of(first.op).plan(spec, step.planned);
    std::vector<size_t> operand_of(first.inputs.size(), step.planned.operands.size());
    for (size_t o = 0; o < step.planned.operands.size(); ++o) {
      const int input = step.planned.operands[o].input;
      if (input >= 0) operand_of[static_cast<size_t>(input)] = o;
    }
    for (size_t j = 0; j < first.inputs.size(); ++j) {
      if (operand_of[j] < step.planned.operands.size())
        step.sources.push_back({Source::operand, operand_of[j]});
      else step.sources.push_back({Source::value, read(first.inputs[j], either ? spec.src_layout : layout)});
    }
    // what the epilogue reads besides
    for (size_t j = 1; j < group.nodes.size(); ++j) {
      for (int input : node(group.nodes[j]).inputs) {
        if (input != group.nodes[j - 1]) step.sources.push_back({Source::value, read(input, layout)});
      }
    }
    for (size_t o = 0; o < step.planned.operands.size(); ++o) {
      if (step.planned.operands[o].input < 0) step.sources.push_back({Source::operand, o});
    }
    if (quantized_ != nullptr && quantized_->groups[i].runs) step.quantized = &quantized_->groups[i];
    draft_.steps.push_back(std::move(step));
  }

  // How a node's value lies for who wants either layout: blocks seen in another shape are none.
  Layout layout_of(int i) const {
    const size_t stored = static_cast<size_t>(storage_[static_cast<size_t>(i)]);
    return graph_.nodes[stored].shape == node(i).shape ? draft_.values[stored].layout : Layout::planes;
  }

  size_t read(int i, Layout wanted) {
    const size_t stored = static_cast<size_t>(storage_[static_cast<size_t>(i)]);
    if (wanted == Layout::batched) return stored;
    if (wanted == Layout::planes) {
      if (draft_.values[stored].layout == Layout::planes || is_pixel(draft_.shape_of(stored))) return stored;
      return in_planes(stored);
    }
    if (layout_of(i) == Layout::blocked) return stored;
    const Op op = graph_.nodes[stored].op;
    const bool in_arena = op != Op::input && op != Op::constant;
    if (is_pixel(node(i).shape) && in_arena &&
        draft_.floats_of(stored) == static_cast<size_t>(node(i).shape.dims[0]))
      return stored;
    return reordered(static_cast<size_t>(i), read(i, Layout::planes), Layout::blocked);
  }

  // Exactly in planes, as the caller gets them.
  size_t in_planes(size_t stored) {
    if (draft_.values[stored].layout != Layout::blocked) return stored;
    return reordered(stored, stored, Layout::planes);
  }

  // The value of `node` in another layout; `from` holds its elements.
  size_t reordered(size_t node, size_t from, Layout layout) {
    for (size_t v = draft_.copy() + 1; v < draft_.values.size(); ++v) {
      if (draft_.values[v].node == node && draft_.values[v].layout == layout) return v;
    }
    draft_.values.push_back({node, layout});
    DraftStep step;
    step.group = nullptr;
    const Shape& shape = graph_.nodes[node].shape;
    step.planned.step.reset(new ReorderStep(*draft_.kernels, shape, layout == Layout::blocked));
    step.planned.algorithm = "reorder";
    step.planned.problem = shape.text();
    step.sources = {{Source::value, from}};
    step.value = draft_.values.size() - 1;
    step.cost = cost_of_reorder(shape.dims[0], shape.elements() / shape.dims[0], *draft_.kernels,
                                layout == Layout::blocked);
    draft_.steps.push_back(std::move(step));
    return draft_.values.size() - 1;
  }

  void copy(size_t stored) {
    DraftStep step;
    step.group = nullptr;
    step.planned.step.reset(new CopyStep(draft_.floats_of(stored)));
    step.planned.algorithm = "copy";
    step.planned.problem = number("n", draft_.shape_of(stored).elements());
    step.sources = {{Source::value, stored}};
    step.value = draft_.result = draft_.copy();
    draft_.steps.push_back(std::move(step));
  }

  Draft& draft_;
  const Graph& graph_;
  const std::vector<Group>& groups_;
  const QuantizedGraph* quantized_;
  std::vector<int> storage_;
};

}  // namespace

void lower(Draft& draft, const std::vector<Group>& groups, const QuantizedGraph* quantized) {
  Lowering(draft, groups, quantized).run();
}

}  // namespace kernelet
