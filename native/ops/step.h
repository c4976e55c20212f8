// A step of a program: one operation (or a few fused ones) as a kernel with its arguments. Plans run steps over an
// image, or over a block of images; training runs the same steps forward, see train_step.h.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/aligned.h"
#include "graph/graph.h"
#include "kernels/table.h"

namespace kernelet {

// How a value lies in memory.
enum class Layout {
  planes,  // [c][h][w], an image alone
  blocked,  // [ceil(c / lanes)][h][w][lanes], an image alone, a channel in each SIMD lane; of the last lanes any numbers
  batched,  // [c][h][w][lanes], an image in each SIMD lane
};

// Floats of a value of so many lanes.
inline size_t floats_in(Layout layout, const Shape& shape, int lanes) {
  const size_t elements = static_cast<size_t>(shape.elements()), width = static_cast<size_t>(lanes);
  if (layout == Layout::planes) return elements;
  if (layout == Layout::batched) return elements * width;
  const size_t channels = static_cast<size_t>(shape.dims[0]);
  return (channels + width - 1) / width * width * (elements / channels);
}

// Where a value lies while a program runs.
struct Location {
  // tail: of the last steps of a program, an arena an image (Program::tail)
  enum Kind { input, output, arena, weights, tail } kind = arena;
  size_t offset = 0;  // floats, from bases[kind]
};

// What a run of a step is told.
struct StepRun {
  float* bases[5];  // of Location::Kind
  float* scratch;
  const Location* sources;
  Location destination;
  // Each step on its own, as profiles time them: no step does a part of the next one's work.
  bool unfused = false;
  // So far every input that was checked is bounded (KernelTable::is_bounded). Steps clear it.
  bool bounded = true;

  const float* src(size_t i) const { return bases[sources[i].kind] + sources[i].offset; }
  float* dst() const { return bases[destination.kind] + destination.offset; }
};

class ConvStep;
class LinearStep;
class WeightedStep;

class Step {
 public:
  virtual ~Step() = default;
  virtual void run(StepRun& run) const = 0;
  // Floats of scratch that a run needs.
  virtual size_t scratch_floats() const { return 0; }

  // A run by several threads has so many phases; the parts of a phase, in any order, are done before the next begins.
  // 0: the step is not divided.
  virtual int phases() const { return 0; }
  virtual void run_part(StepRun&, int /*phase*/, int /*part*/, int /*parts*/) const {}

  // For some images, which lie so far apart in the tail and in the output.
  virtual void run_images(const StepRun& run, int images, size_t tail_stride, size_t output_stride) const {
    for (int i = 0; i < images; ++i) {
      StepRun one = run;
      one.bases[Location::tail] += static_cast<size_t>(i) * tail_stride;
      one.bases[Location::output] += static_cast<size_t>(i) * output_stride;
      this->run(one);
    }
  }

  // The steps with packed weights, which passes over a plan know; null for all others.
  virtual ConvStep* as_conv() { return nullptr; }
  virtual LinearStep* as_linear() { return nullptr; }
  virtual WeightedStep* as_weighted() { return nullptr; }  // these two, and those with kernels of their own
};

// What a step is made from: nodes of a graph that it computes together. The first one decides; the others are its
// epilogue, in order.
struct StepSpec {
  const Graph* graph;
  const std::vector<int>* nodes;
  const KernelTable* kernels;
  Layout layout;                       // of the result and of what is read
  Layout src_layout = Layout::planes;  // of the first source of a convolution

  const Node& node(size_t i) const { return graph->nodes[static_cast<size_t>((*nodes)[i])]; }
  const Node& first() const { return node(0); }
  const Node& last() const { return node(nodes->size() - 1); }
  const Node& source(size_t i = 0) const { return graph->nodes[static_cast<size_t>(first().inputs[i])]; }
  const Shape& input(size_t i = 0) const { return source(i).shape; }
  const Shape& output() const { return last().shape; }
  // Images side by side in a value.
  size_t width() const { return layout == Layout::batched ? static_cast<size_t>(kernels->lanes) : 1; }
  size_t floats_of(const Shape& shape) const { return floats_in(layout, shape, kernels->lanes); }
  // Of an operand with a number a channel.
  size_t operand_floats(size_t channels) const {
    return layout == Layout::blocked ? AlignedFloats::round_up(channels) : channels;
  }
  // Planes of pixels, `lanes` channels each where these lie in blocks.
  int64_t planes_of(int64_t channels) const {
    return layout == Layout::blocked ? (channels + kernels->lanes - 1) / kernels->lanes : channels;
  }
};

// Part `part` of n things, of so many parts as even as can be, borders at multiples of `unit`: the first one's index.
inline size_t part_begin(size_t n, int part, int parts, size_t unit = 1) {
  const size_t units = (n + unit - 1) / unit;
  const size_t begin = units * static_cast<size_t>(part) / static_cast<size_t>(parts) * unit;
  return begin < n ? begin : n;
}

// Floats that a step reads beside its values, the same for every image: packed once, when a plan is made.
struct PackedOperand {
  const Node* node;
  size_t floats;
  void (*pack)(const Node& node, float* to);
  int input = -1;  // the input that it stands for; -1: it comes after the inputs
};

// What an operation makes of a StepSpec for a plan.
struct PlannedStep {
  std::unique_ptr<Step> step;
  std::string problem;               // as describe() shows it
  const char* algorithm = "direct";  // of steps with weights the pass over algorithms says it
  int64_t macs = 0;                  // per image, every tap of every window counted
  bool has_bias = false;
  std::vector<PackedOperand> operands;
};

}  // namespace kernelet
