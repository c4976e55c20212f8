// Pass: prefetch fusion. Where a linear layer of one row stands behind a convolution, and its weights exceed the
// first-level cache, the layer runs in slices between the tiles of the convolution, and each tile prefetches the weights
// of the next slices from the second-level cache.
#include <algorithm>

#include "draft.h"
#include "ops/conv.h"
#include "ops/linear.h"

namespace kernelet {
namespace {

// Of any core, in floats.
constexpr size_t first_level_cache = (size_t{32} << 10) / sizeof(float);

bool pays(const DraftStep& first, const DraftStep& second) {
  const ConvStep* const conv = first.conv();
  const LinearStep* const layer = second.linear();
  if (conv == nullptr || layer == nullptr || first.quantized != nullptr || second.quantized != nullptr)
    return false;
  if (second.sources[0].index != first.value || layer->args.rows != 1) return false;
  // slices go on with a sum, between the tiles of a convolution that runs once: neither knows of pieces
  if (layer->args.in > long_sum || conv->args.piece > 0) return false;
  if (conv->algorithm->complete == nullptr || layer->algorithm->slices == nullptr) return false;
  return layer->weights_size() >= first_level_cache;
}

}  // namespace

void fuse_prefetches(Draft& draft) {
  if (draft.is_batched()) return;
  for (size_t i = 0; i + 1 < draft.steps.size(); ++i) {
    if (!pays(draft.steps[i], draft.steps[i + 1])) continue;
    ConvStep& conv = *draft.steps[i].conv();
    LinearStep& layer = *draft.steps[i + 1].linear();
    conv.args.sums = layer.sums = AlignedFloats::round_up(conv.scratch_size());
    draft.scratch = std::max(draft.scratch, layer.sums + layer.bias_size());
    layer.fused_into_conv = true;
    draft.steps[i + 1].during = &draft.steps[i];
  }
}

// A share for each tile of the convolution: of the inputs that are complete by then.
void cut_slices(ConvStep& conv, const LinearStep& layer) {
  const ConvArgs& a = conv.args;
  std::vector<LinearSlice>& slices = conv.slices;
  const auto complete = [&](int32_t tile) { return conv.algorithm->complete(a, tile); };
  const auto add = [&](int32_t begin, int32_t end, int32_t share, int32_t shares, int32_t tile) {
    const size_t before = slices.size();
    slices.resize(before + layer.bias_size() + 1);  // more than there are panels
    const int32_t count = layer.algorithm->slices(layer.args, begin * a.ph * a.pw, end * a.ph * a.pw, share,
                                                  shares, slices.data() + before);
    slices.resize(before + static_cast<size_t>(count));
    for (size_t i = before; i < slices.size(); ++i) slices[i].tile = tile;
  };
  int32_t begin = 0, tile = 0;
  for (int32_t next; complete(tile) >= 0; tile = next) {
    const int32_t end = complete(tile);
    for (next = tile + 1; complete(next) == end;) ++next;
    for (int32_t i = tile; end > begin && i < next; ++i) add(begin, end, i - tile, next - tile, i);
    begin = end;
  }
  add(begin, a.oc, 0, 1, tile - 1);
  slices.push_back(slices.back());  // what the last tiles prefetch
  slices.back().tile = -1;
  conv.args.slices = slices.data();
}

}  // namespace kernelet
