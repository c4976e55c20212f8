// Pass: weights in the order in which kernels read them, all of a plan's in one block of memory. First every step's place
// is reserved, then all are filled.
#include <algorithm>
#include <cstring>
#include <mutex>

#include "draft.h"
#include "int8.h"
#include "ops/conv.h"
#include "ops/linear.h"

namespace kernelet {
namespace {

// Floats of a block from which another plan is looked for that has the same.
constexpr size_t worth_sharing = 4096;

// Weights out of their file, a piece at a time, which goes through `space`.
void pack_from_file(const WeightedStep& layer, const Floats& from, float* weights, float* space) {
  const size_t outputs = layer.outputs(), row = from.length / outputs;
  for (size_t begin = 0, end; begin < outputs; begin = end) {
    end = layer.piece(begin);
    from.read(begin * row, (end - begin) * row, space);
    layer.pack_piece(begin, end, space, weights);
  }
}

// Floats of the largest such piece. Space that grew with the pieces would be made of new pages every time, and finding
// a page takes the system as long as reading it.
size_t largest_piece(const Draft& draft, const DraftStep& step) {
  const Floats& from = draft.graph->nodes[static_cast<size_t>(step.group->nodes[0])].weight;
  if (from.file < 0 || step.int8 != nullptr) return 0;
  const WeightedStep& layer = *step.weighted();
  const size_t outputs = layer.outputs(), row = from.length / outputs;
  size_t largest = 0;
  for (size_t begin = 0, end; begin < outputs; begin = end) {
    end = layer.piece(begin);
    largest = std::max(largest, (end - begin) * row);
  }
  return largest;
}

void pack_layer(const Draft& draft, const DraftStep& step, float* all, float* space) {
  const Node& node = draft.graph->nodes[static_cast<size_t>(step.group->nodes[0])];
  const WeightedStep& layer = *step.weighted();
  float* const bias = all + step.bias;
  const size_t outputs = layer.outputs(), length = layer.bias_size();
  if (step.int8 == nullptr) {
    if (node.bias.data != nullptr) copy_bias(node.bias.data, outputs, bias);
    float* const to = all + step.weights;
    return node.weight.file < 0 ? layer.pack(node.weight.data, to)
                                : pack_from_file(layer, node.weight, to, space);
  }
  std::vector<float> integers = step.int8->bias();
  std::copy(integers.begin(), integers.end(), bias);
  std::fill(bias + outputs, bias + length, 0.0f);
  integers = step.int8->weights();
  all[step.in_scale] = step.int8->in_scale();
  const std::vector<float>& scale = step.int8->out_scale();
  std::copy(scale.begin(), scale.end(), all + step.out_scale);
  layer.pack(integers.data(), all + step.weights);
}

void place_layer(const DraftStep& step, const float* all) {
  WeightedStep& layer = *step.weighted();
  if (step.int8 != nullptr) {
    layer.requantization->in.scale = all + step.in_scale;
    layer.requantization->out.scale = all + step.out_scale;
  }
  layer.place(all + step.weights, all + step.bias);
}

}  // namespace

void reserve_weights(Draft& draft, size_t& size) {
  const auto reserve = [&](size_t floats) {
    const size_t at = size;
    size += AlignedFloats::round_up(floats);
    return at;
  };
  draft.constants.assign(draft.graph->nodes.size(), 0);
  for (size_t i = 0; i < draft.constants.size(); ++i) {
    if (draft.graph->nodes[i].op == Op::constant) draft.constants[i] = reserve(draft.floats_of(i));
  }
  const auto reserve_layer = [&](DraftStep& step) {
    step.weights = reserve(step.weighted()->weights_size());
    step.bias = reserve(step.weighted()->bias_size());
  };
  for (DraftStep& step : draft.steps) {
    if (step.expand != nullptr) reserve_layer(*step.expand);
    if (step.weighted() != nullptr) {
      reserve_layer(step);
      if (step.int8 != nullptr) {
        step.in_scale = reserve(1);
        step.out_scale = reserve(step.int8->out_scale().size());
      }
    }
    for (const PackedOperand& operand : step.planned.operands)
      step.operands.push_back(reserve(operand.floats));
  }
}

void pack(const Draft& draft, float* weights) {
  for (size_t i = 0; i < draft.constants.size(); ++i) {
    const Node& node = draft.graph->nodes[i];
    if (node.op != Op::constant) continue;
    const size_t width = draft.floats_of(i) / node.weight.length;  // images side by side
    for (size_t j = 0; j < draft.floats_of(i); ++j)
      weights[draft.constants[i] + j] = node.weight.data[j / width];
  }
  size_t largest = 0;
  for (const DraftStep& step : draft.steps) {
    if (step.expand != nullptr) largest = std::max(largest, largest_piece(draft, *step.expand));
    if (step.weighted() != nullptr) largest = std::max(largest, largest_piece(draft, step));
  }
  const AlignedFloats space(largest);
  space.in_large_pages();
  for (const DraftStep& step : draft.steps) {
    if (step.expand != nullptr) pack_layer(draft, *step.expand, weights, space.data());
    if (step.weighted() != nullptr) pack_layer(draft, step, weights, space.data());
    for (size_t i = 0; i < step.operands.size(); ++i) {
      const PackedOperand& operand = step.planned.operands[i];
      operand.pack(*operand.node, weights + step.operands[i]);
    }
  }
}

void place(const Draft& draft, const float* weights) {
  for (const DraftStep& step : draft.steps) {
    if (step.expand != nullptr) place_layer(*step.expand, weights);
    if (step.weighted() != nullptr) place_layer(step, weights);
    if (step.during != nullptr) cut_slices(*step.during->conv(), *step.linear());
  }
}

std::shared_ptr<const AlignedFloats> shared(AlignedFloats&& packed) {
  static std::mutex mutex;
  // Never freed: plans of other threads may outlive statics.
  static auto& blocks = *new std::vector<std::weak_ptr<const AlignedFloats>>;
  std::shared_ptr<const AlignedFloats> own(new AlignedFloats(std::move(packed)));
  if (own->size() < worth_sharing) return own;
  const std::lock_guard<std::mutex> lock(mutex);
  size_t kept = 0;
  for (size_t i = 0; i < blocks.size(); ++i) {
    const std::shared_ptr<const AlignedFloats> other = blocks[i].lock();
    if (other == nullptr) continue;
    if (other->size() == own->size() &&
        std::memcmp(other->data(), own->data(), own->size() * sizeof(float)) == 0) {
      return other;
    }
    if (kept != i) blocks[kept] = std::move(blocks[i]);
    ++kept;
  }
  blocks.resize(kept);
  blocks.push_back(own);
  return own;
}

}  // namespace kernelet
