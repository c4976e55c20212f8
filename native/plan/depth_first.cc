// Pass: a 1x1 convolution whose value exceeds a core's share of the caches, and which only a depthwise convolution reads,
// runs with that one, some rows at a time (kernels/conv/depth_first.h).
#include <algorithm>

#include "draft.h"
#include "ops/conv.h"

namespace kernelet {
namespace {

bool is_expansion(const Draft& draft, const DraftStep& step) {
  const ConvStep* const conv = step.group != nullptr ? step.conv() : nullptr;
  if (conv == nullptr || !conv->blocked || conv->algorithm != &draft.kernels->blocked_conv) return false;
  const ConvArgs& a = conv->args;
  return a.groups == 1 && a.src_blocked && is_pixelwise(a) && a.epilogue.pool == Pool::none &&
         conv->residual_source == 0 && conv->gate_source == 0 && step.value != draft.result;
}

// Rows of a depthwise convolution's output that make a strip, as even as can be: what two registers of channels wide lies
// between the two convolutions is about as much as the options say. 0 where too many rows would be computed twice.
int32_t strip_of(const Draft& draft, const ConvArgs& a) {
  const size_t row = static_cast<size_t>(a.iw) * 2 * static_cast<size_t>(draft.kernels->lanes);
  const int64_t read = static_cast<int64_t>(draft.options->depth_first.strip / row),
                reach = int64_t{a.kh - 1} * a.dh + 1;
  const int64_t fit = std::min<int64_t>(a.oh, read > reach ? (read - reach) / a.sh + 1 : 1);
  const int64_t strips = (a.oh - 1) / fit + 1;
  const double repeated = static_cast<double>((strips - 1) * (reach - a.sh));
  return repeated <= draft.options->depth_first.most_repeated * a.ih
             ? static_cast<int32_t>((a.oh - 1) / strips + 1)
             : 0;
}

}  // namespace

size_t only_reader(const Draft& draft, size_t value) {
  size_t reader = draft.steps.size(), reads = 0;
  for (size_t i = 0; i < draft.steps.size(); ++i) {
    for (const Source& source : draft.steps[i].sources) {
      if (source.kind != Source::value || source.index != value) continue;
      reader = i;
      ++reads;
    }
  }
  return reads == 1 ? reader : draft.steps.size();
}

void go_depth_first(Draft& draft) {
  if (draft.is_batched() || !draft.options->fuse) return;
  for (size_t i = 0; i < draft.steps.size(); ++i) {
    if (!is_expansion(draft, draft.steps[i])) continue;
    const size_t reader = only_reader(draft, draft.steps[i].value);
    if (reader >= draft.steps.size()) continue;
    DraftStep& step = draft.steps[reader];
    ConvStep* const conv = step.conv();
    if (conv == nullptr || conv->algorithm != &draft.kernels->blocked_depthwise ||
        step.sources[0].index != draft.steps[i].value)
      continue;
    const Choice* const choice = draft.options->choices.of(step.group->nodes[0]);
    if (choice != nullptr && choice->strip != 0)
      conv->args.strip = std::min(std::max(choice->strip, 0), conv->args.oh);
    else if (draft.floats_of(draft.steps[i].value) > draft.options->depth_first.from)
      conv->args.strip = strip_of(draft, conv->args);
    if (conv->args.strip == 0) continue;
    DraftStep first = std::move(draft.steps[i]);
    conv->depth_first = &draft.kernels->depth_first;
    conv->expand = first.conv();
    step.sources[0] = first.sources[0];
    // its operands come behind this step's
    for (size_t s = 1; s < first.sources.size(); ++s) {
      if (s == 1) conv->expand_scale_source = step.sources.size();
      step.sources.push_back({Source::operand, step.planned.operands.size()});
      step.planned.operands.push_back(first.planned.operands[first.sources[s].index]);
    }
    first.planned.operands.clear();
    first.sources.clear();
    step.planned.macs += first.planned.macs;
    step.expand.reset(new DraftStep(std::move(first)));
    draft.steps.erase(draft.steps.begin() + static_cast<ptrdiff_t>(i));
    --i;
  }
}

}  // namespace kernelet
