// A step of a training program: an operation (or a few fused ones), forward and backward, for a block of images.
// Forward is a plan's step over the batched layout, unless a class does it itself.
#pragma once

#include <memory>
#include <vector>

#include "step.h"

namespace kernelet {

// A step of training works on blocks of so many images, whatever the registers hold: a tier with fewer lanes
// does a block in parts, and sums over images are the same binary tree in every tier (kernels/train/sums.h).
constexpr int train_block_images = 16;

// What a run of a step is told. Values and gradients are batched, [elements][lanes].
struct BlockRun : StepRun {
  int thread;       // of those that work together
  int block, part;  // images block * 16 + part * lanes, …
  // Of the batch. The first `count` lanes hold images, the others repeat the last one with a gradient of 0. A part
  // without images is not run, see TrainStep::absent.
  int first_image, count;
  int batch;
  uint64_t seed, step;      // of random numbers
  const float* parameters;  // all of them: a step knows where its own lie

  float* saved;  // TrainStep::saved_floats, from forward to backward
  float* grad;   // backward: the loss's gradient at dst; may be overwritten
  static constexpr size_t none = ~size_t{0};
  const size_t* src_grads;  // backward: offsets in the arena, `none` where nobody wants it
  // Backward: the gradient of source i, to be written; null where nobody wants it.
  float* src_grad(size_t i) const {
    return src_grads[i] == none ? nullptr : bases[Location::arena] + src_grads[i];
  }
};

// Where a step's weight or bias lies among all parameters.
struct ParameterUse {
  int parameter = -1;  // -1: none
  size_t offset = 0;   // floats, in BlockRun::parameters
  bool trained = false;
};

// A StepSpec of the batched layout, and what training knows besides.
struct TrainSpec : StepSpec {
  ParameterUse weight, bias, mean, variance;  // of the first node
  bool wants_backward;
};

class TrainStep {
 public:
  explicit TrainStep(std::unique_ptr<Step> step = nullptr) : step_(std::move(step)) {}
  virtual ~TrainStep() = default;

  // Steps that need the whole batch in between (statistics over a batch) run in rounds: round 0 for every block,
  // then batch_barrier() once, then round 1 for every block, and so on.
  int forward_rounds = 1, backward_rounds = 1;
  virtual void forward(BlockRun& run, int /*round*/) { step_->run(run); }
  virtual void backward(BlockRun& run, int round) = 0;
  // Between round - 1 and round; one thread.
  virtual void batch_barrier(bool /*backward*/, int /*round*/, int /*batch*/) {}

  // What backward reads: it stays where it is until then.
  bool reads_src = false, reads_dst = false;
  size_t saved_floats = 0, scratch_floats = 0;

  int first_node = -1;  // of the graph

  // ---- weights: [rows][row_length], cut into parts of whole rows that are summed, updated and packed apart
  ParameterUse weight, bias;
  int rows = 0;
  int64_t row_length = 0;
  std::vector<int> parts;  // first row of each, and `rows` at the end

  // Before a batch of so many images on so many threads.
  virtual void reserve(int /*batch*/, int /*threads*/) {}
  // In place of backward where a part of the block has no images.
  virtual void absent(BlockRun&) {}
  // Packs part `part` of the current weights for forward; weight as it comes.
  virtual void pack_weight(const float* /*weight*/, int /*part*/) {}
  virtual void pack_bias(const float* /*bias*/) {}
  // After backward: rows [begin, end) of the gradient, from all blocks in order.
  virtual void weight_gradient(int /*batch*/, int /*begin*/, int /*end*/, float* /*dw*/) {}
  virtual void bias_gradient(int /*batch*/, float* /*db*/) {}
  // After an update: running statistics among all parameters' values, in place.
  virtual void move_statistics(float* /*parameters*/) const {}

 protected:
  std::unique_ptr<Step> step_;
};

template <class T>
std::unique_ptr<TrainStep> make_train_step(const TrainSpec& spec) {
  return std::unique_ptr<TrainStep>(new T(spec));
}

}  // namespace kernelet
