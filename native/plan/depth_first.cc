// Pass: a 1x1 convolution whose value exceeds a core's share of the caches, and which only a depthwise convolution reads,
// runs with that one, some rows at a time (kernels/conv/depth_first.h).
#include "draft.h"
#include "ops/conv.h"

namespace kernelet {
namespace {

// Values that are read back from the second-level cache as they are: floats.
constexpr size_t stays_near = size_t{160} << 10;
// Of the rows, those that are computed once more for the next strip.
constexpr double most_repeated = 0.15;

bool is_expansion(const Draft& draft, const DraftStep& step) {
  const ConvStep* const conv = step.group != nullptr ? step.conv() : nullptr;
  if (conv == nullptr || !conv->blocked || conv->algorithm != &draft.kernels->blocked_conv) return false;
  const ConvArgs& a = conv->args;
  return a.src_blocked && a.kh == 1 && a.kw == 1 && a.sh == 1 && a.sw == 1 && a.pt == 0 && a.pl == 0 &&
         a.oh == a.ih && a.ow == a.iw && a.epilogue.pool == Pool::none && conv->residual_source == 0 &&
         step.value != draft.result && draft.floats_of(step.value) > stays_near;
}

bool pays(const Draft& draft, const ConvStep& conv) {
  const ConvArgs& a = conv.args;
  const int strips = (a.oh - 1) / draft.kernels->depth_first.rows(a) + 1;
  const int repeated = (strips - 1) * ((a.kh - 1) * a.dh + 1 - a.sh);
  return repeated <= most_repeated * a.ih;
}

// The one step that reads a value, and that once; the end of the steps where there are several.
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

}  // namespace

void go_depth_first(Draft& draft) {
  if (draft.is_batched() || !draft.options->fuse) return;
  for (size_t i = 0; i < draft.steps.size(); ++i) {
    if (!is_expansion(draft, draft.steps[i])) continue;
    const size_t reader = only_reader(draft, draft.steps[i].value);
    if (reader >= draft.steps.size()) continue;
    DraftStep& step = draft.steps[reader];
    ConvStep* const conv = step.conv();
    if (conv == nullptr || conv->algorithm != &draft.kernels->blocked_depthwise || !pays(draft, *conv) ||
        step.sources[0].index != draft.steps[i].value)
      continue;
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
