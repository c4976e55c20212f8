// Pass: a product with one number a channel (the end of a squeeze and excitation) that only a 1x1 convolution over blocks
// reads: the convolution multiplies what it reads (kernels/conv/blocked.h).
#include "draft.h"
#include "ops/conv.h"

namespace kernelet {
namespace {

// Of the sources of a product over blocks that of the numbers a channel; the number of them where it is another product.
size_t gate_of(const Draft& draft, const DraftStep& step) {
  const size_t none = step.sources.size();
  if (step.group == nullptr || step.group->nodes.size() != 1 || step.value == draft.result) return none;
  const Node& node = draft.graph->nodes[static_cast<size_t>(step.group->nodes[0])];
  if (node.op != Op::mul || draft.values[step.value].layout != Layout::blocked) return none;
  for (size_t i = 0; i < none; ++i) {
    const auto shape = [&](size_t j) {
      return draft.graph->nodes[static_cast<size_t>(node.inputs[j])].shape;
    };
    const Shape gate = shape(i), whole = shape(1 - i);
    if (whole == node.shape && gate.rank == whole.rank && gate.dims[0] == whole.dims[0] &&
        gate.elements() == gate.dims[0] && whole.elements() > gate.elements() &&
        step.sources[0].kind == Source::value && step.sources[1].kind == Source::value)
      return i;
  }
  return none;
}

bool takes_gate(const Draft& draft, const DraftStep& step, size_t value) {
  const ConvStep* const conv = step.group != nullptr ? step.conv() : nullptr;
  if (conv == nullptr || conv->algorithm != &draft.kernels->blocked_conv || conv->gate_source != 0)
    return false;
  const ConvArgs& a = conv->args;
  return step.sources[0].kind == Source::value && step.sources[0].index == value && a.src_blocked &&
         a.groups == 1 && is_pixelwise(a) && a.epilogue.pool == Pool::none;
}

}  // namespace

void fold_gates(Draft& draft) {
  if (draft.is_batched() || !draft.options->fuse) return;
  for (size_t i = 0; i < draft.steps.size(); ++i) {
    const size_t gate = gate_of(draft, draft.steps[i]);
    if (gate == draft.steps[i].sources.size()) continue;
    const size_t reader = only_reader(draft, draft.steps[i].value);
    if (reader == draft.steps.size() || !takes_gate(draft, draft.steps[reader], draft.steps[i].value))
      continue;
    DraftStep& step = draft.steps[reader];
    step.gate = draft.steps[i].group;
    step.conv()->args.gated = true;
    step.conv()->gate_source = step.sources.size();
    step.sources[0] = draft.steps[i].sources[1 - gate];
    step.sources.push_back(draft.steps[i].sources[gate]);
    draft.steps.erase(draft.steps.begin() + static_cast<ptrdiff_t>(i));
    --i;
  }
}

}  // namespace kernelet
