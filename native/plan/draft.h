// A program in the making: what the passes of a plan read and write, each in a file of its own. builder.cc says their
// order.
#pragma once

#include <memory>
#include <vector>

#include "fuse.h"
#include "int8.h"
#include "plan.h"
#include "program.h"
#include "quantize.h"

namespace kernelet {

// What a step reads: a value, or one of its packed operands.
struct Source {
  enum Kind { value, operand } kind;
  size_t index;
};

// One step, as the passes leave it.
struct DraftStep {
  const Group* group;  // null: a copy or a reorder, which no operation makes (lower.cc)
  PlannedStep planned;
  std::vector<Source> sources;
  size_t value;  // that it writes
  // int8 (quantize.h), null where the step runs on floats
  const QuantizedGroup* quantized = nullptr;
  std::unique_ptr<const Int8Layer> int8;
  // Depth first: the 1x1 convolution that runs with this depthwise one (depth_first.cc)
  std::unique_ptr<DraftStep> expand = nullptr;
  // The product with a number a channel that this 1x1 convolution takes of its input, or null (gate.cc)
  const Group* gate = nullptr;
  double cost = 0;  // by the cost model (costs.h), where it has a word on it
  // Prefetch fusion: the step before, in whose tiles this one runs
  const DraftStep* during = nullptr;
  // Offsets in the packed weights
  size_t weights = 0, bias = 0, in_scale = 0, out_scale = 0;
  std::vector<size_t> operands;

  const Step& step() const { return *planned.step; }
  ConvStep* conv() const { return planned.step->as_conv(); }
  LinearStep* linear() const { return planned.step->as_linear(); }
  WeightedStep* weighted() const { return planned.step->as_weighted(); }
};

// What steps read and write: the value of a node, in a layout.
struct Value {
  size_t node;
  Layout layout;
};

// A flag of a convolution. Winograd reads blocks too; the direct kernel takes either.
enum InBlocks : uint8_t { not_in_blocks, directly, by_winograd };

struct Draft {
  const Graph* graph;
  const PlanOptions* options;
  const KernelTable* kernels;
  const Int8Kernels* int8x4;  // kernels for four bytes a lane, or null
  Layout images;              // planes: an image alone; batched: a block of them
  int parts;                  // threads that may share an image
  const NodeFlags* blocked;   // how convolutions write blocks of channels (InBlocks), or null

  std::vector<DraftStep> steps = {};
  // As the nodes whose buffers hold them; one more is the copy of an output that no step computes; then values that
  // lie there once more in another layout.
  std::vector<Value> values = {};
  size_t result = 0;                   // the value the caller gets
  std::vector<size_t> constants = {};  // offsets in the packed weights, of the nodes that are constants
  size_t scratch = 0;                  // floats, the most that a step needs

  bool is_batched() const { return images == Layout::batched; }
  size_t copy() const { return graph->nodes.size(); }
  const Shape& shape_of(size_t value) const { return graph->nodes[values[value].node].shape; }
  size_t floats_of(size_t value) const {
    return floats_in(values[value].layout, shape_of(value), kernels->lanes);
  }
};

// ---- the passes, in the order in which they run; fuse.h and quantize.h come before

// How each value lies. layout.cc
void choose_layouts(Draft& draft, const std::vector<Group>& groups);
// Each group becomes a step, made by its operation, with reorders between layouts. lower.cc
void lower(Draft& draft, const std::vector<Group>& groups, const QuantizedGraph* quantized);
// Which fused maxima need not mind NaN. bounds.cc
void prove_bounds(Draft& draft);
// Steps that run on bytes: what their kernels sum instead. int8.cc
void lower_to_int8(Draft& draft);
// A kernel for each step with weights. algorithms.cc
void choose_algorithms(Draft& draft);
// What convolves blocks of channels without Winograd: whole groups of blocks, or a channel each. algorithms.cc
const ConvAlgorithm& direct_in_blocks(const ConvArgs& args, const KernelTable& kernels);
// Whether a convolution writes blocks of channels, and how. algorithms.cc
InBlocks in_blocks(const ConvArgs& args, const KernelTable& kernels, const std::string& option);
// The same where it was chosen; what it cannot, or must not, be is refused.
InBlocks in_blocks(const Graph& graph, const Choice& choice, const ConvArgs& args, const KernelTable& kernels,
                   const std::string& option);
// The number of a kernel over planes in Choice::algorithm, 0 where it has none. algorithms.cc
int32_t implementation_of(const KernelTable& kernels, const ConvAlgorithm& algorithm);
// The one step that reads a value, and that once; the end of the steps where there are several. depth_first.cc
size_t only_reader(const Draft& draft, size_t value);
// Products with a number a channel become part of the 1x1 convolutions behind them. gate.cc
void fold_gates(Draft& draft);
// 1x1 convolutions that run with the depthwise ones behind them. depth_first.cc
void go_depth_first(Draft& draft);
// Linear layers that run in slices during the convolution before them. prefetch.cc
void fuse_prefetches(Draft& draft);
// Places in the packed weights, `size` of them so far. pack.cc
void reserve_weights(Draft& draft, size_t& size);
// Places of values in one arena. memory.cc
void lay_out(Draft& draft, Program& program);
// The weights, where they were reserved. pack.cc
void pack(const Draft& draft, float* weights);
// Tells steps where that is. pack.cc
void place(const Draft& draft, const float* weights);
// The block of another plan that holds the same, or this one: a network planned for several sizes keeps its weights once.
// pack.cc
std::shared_ptr<const AlignedFloats> shared(AlignedFloats&& packed);
// Do several threads share the step, of one image? memory.cc
bool is_divided(const Draft& draft, const DraftStep& step);
// What describe() tells. describe.cc
std::vector<StepDescription> describe(const Draft& draft);

// The passes, in order. builder.cc
std::unique_ptr<Plan> build_plan(const Graph& graph, const PlanOptions& options);

// prefetch.cc, once weights are packed
void cut_slices(ConvStep& conv, const LinearStep& layer);

}  // namespace kernelet
