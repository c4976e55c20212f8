// Pass: each group of nodes becomes a step, made by its operation.
#include <cstring>

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

}  // namespace

void lower(Draft& draft, const std::vector<Group>& groups, const QuantizedGraph* quantized) {
  const Graph& graph = *draft.graph;
  const std::vector<int> storage = storage_of(graph);
  for (size_t i = 0; i < groups.size(); ++i) {
    const Node& node = graph.nodes[static_cast<size_t>(groups[i].nodes[0])];
    if (is_view(node.op)) continue;
    draft.steps.emplace_back();
    DraftStep& step = draft.steps.back();
    step.group = &groups[i];
    step.value = static_cast<size_t>(groups[i].nodes.back());
    definition_of(node.op).plan({&graph, &step.group->nodes, draft.kernels, draft.layouts[step.value]},
                                step.planned);
    for (int input : node.inputs)
      step.sources.push_back({Source::value, static_cast<size_t>(storage[static_cast<size_t>(input)])});
    for (size_t o = 0; o < step.planned.operands.size(); ++o) {
      const int input = step.planned.operands[o].input;
      if (input >= 0) step.sources[static_cast<size_t>(input)] = {Source::operand, o};
      else step.sources.push_back({Source::operand, o});
    }
    if (quantized != nullptr && quantized->groups[i].runs) step.quantized = &quantized->groups[i];
  }
  draft.result = static_cast<size_t>(storage[static_cast<size_t>(graph.output)]);
  const Op source = graph.nodes[draft.result].op;
  if (source != Op::input && source != Op::constant) return;
  draft.steps.emplace_back();
  DraftStep& step = draft.steps.back();
  step.group = nullptr;
  step.planned.step.reset(new CopyStep(draft.floats_of(draft.result)));
  step.planned.algorithm = "copy";
  step.planned.problem = number("n", draft.shape_of(draft.result).elements());
  step.sources = {{Source::value, draft.result}};
  step.value = draft.result = draft.copy();
}

}  // namespace kernelet
