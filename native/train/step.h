// One step of a training program: an operation (or a few fused ones), forward and backward, for a block of images
// in the lanes. train_steps.cc makes those with weights, train_value_steps.cc the others; a new operation is a class
// and a line there.
#pragma once

#include <memory>
#include <vector>

#include "base/aligned.h"
#include "graph/graph.h"
#include "kernels/table.h"

namespace kernelet {

// A step of training works on blocks of so many images, whatever the registers hold: a tier with fewer lanes
// does a block in parts, and sums over images are the same binary tree in every tier (kernels/train/sums.h).
constexpr int train_block_images = 16;

// What a run of a step is told. Values and gradients are [elements][lanes].
struct BlockRun {
  const KernelTable* kernels;
  int thread;       // of those that work together
  int block, part;  // images block * 16 + part * lanes, …
  int first_image,
      count;  // … of the batch: this part's images; where count < lanes the last lanes repeat one,
              // with a gradient of 0; a part without images is not run (see TrainStep::absent)
  int batch;
  uint64_t seed, step;   // of random numbers
  const float* weights;  // all parameters: a step knows where its own lie

  const float* const* src;
  float* dst;
  float* kept;             // TrainStep::kept_floats, from forward to backward
  float* scratch;          // TrainStep::scratch_floats
  float* grad;             // backward: the loss's gradient at dst; may be overwritten
  float* const* src_grad;  // backward: to be written; null where nobody wants it
};

// Where a step's weight or bias lies among all parameters.
struct ParameterUse {
  int parameter = -1;  // -1: none
  size_t offset = 0;   // floats, in BlockRun::weights
  bool trained = false;
};

// What a step is made from: nodes of a graph that it computes together, the first decides.
struct StepSpec {
  const Graph* graph;
  std::vector<int> nodes;
  const KernelTable* kernels;
  ParameterUse weight, bias, mean, variance;  // of the first node
  bool wants_backward;

  const Node& first() const { return graph->nodes[static_cast<size_t>(nodes.front())]; }
  const Node& last() const { return graph->nodes[static_cast<size_t>(nodes.back())]; }
  const Shape& input(size_t i = 0) const {
    return graph->nodes[static_cast<size_t>(first().inputs[i])].shape;
  }
  const Shape& output() const { return last().shape; }
};

class TrainStep {
 public:
  virtual ~TrainStep() = default;
  virtual void forward(const BlockRun& run) = 0;
  virtual void backward(const BlockRun& run) = 0;

  // Steps that need the whole batch in between (statistics over a batch) run in rounds: round 0 for every block,
  // then meet() once, then round 1 for every block, and so on.
  int forward_rounds = 1, backward_rounds = 1;
  virtual void forward_round(const BlockRun& run, int) { forward(run); }
  virtual void backward_round(const BlockRun& run, int) { backward(run); }
  // Between round - 1 and round; one thread.
  virtual void meet(bool /*backward*/, int /*round*/, int /*batch*/, const float* /*weights*/) {}

  // What backward reads: it stays where it is until then.
  bool reads_src = false, reads_dst = false;
  size_t kept_floats = 0, scratch_floats = 0;

  int first_node = -1;  // of the graph

  // ---- weights: [rows][row_length], cut into parts of whole rows that are summed, updated and packed apart
  ParameterUse weight, bias;
  int rows = 0;
  int64_t row_length = 0;
  std::vector<int> parts;  // first row of each, and `rows` at the end

  // Before a batch of so many images on so many threads.
  virtual void reserve(int /*batch*/, int /*threads*/) {}
  // In place of backward where a part of the block has no images.
  virtual void absent(const BlockRun&) {}
  // Packs part `part` of the current weights for forward; weight as it comes.
  virtual void pack_weight(const float* /*weight*/, int /*part*/) {}
  virtual void pack_bias(const float* /*bias*/) {}
  // After backward: rows [begin, end) of the gradient, from all blocks in order.
  virtual void weight_gradient(int /*batch*/, int /*begin*/, int /*end*/, float* /*dw*/) {}
  virtual void bias_gradient(int /*batch*/, float* /*db*/) {}
  // After an update: running statistics, from those of all parameters' values to the next ones.
  virtual void move_statistics(const float* /*now*/, float* /*next*/) const {}
};

// Throws ERR_UNSUPPORTED, naming node and op, where a backward is wanted and there is none.
std::unique_ptr<TrainStep> make_train_step(const StepSpec& spec);
std::unique_ptr<TrainStep> make_value_step(const StepSpec& spec);  // null where it is none of its kind

}  // namespace kernelet
