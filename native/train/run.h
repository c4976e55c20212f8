// One call of a trainer: what its phases share. run.cc has phase 1, blocks of images; update.cc phases 2 and 3,
// gradients and weights; loss.cc and health.cc what their names say.
#pragma once

#include <vector>

#include "base/task_team.h"
#include "trainer.h"

namespace kernelet {

class TrainRun {
 public:
  TrainRun(Trainer& trainer, const TrainCall& call, TaskTeam& team)
      : t_(trainer), k_(*trainer.kernels_), call_(call), team_(team) {}

  void steps(TrainReport& report);

 private:
  struct NodeSums {
    double squares = 0, gradient_squares = 0;
    int64_t zeros = 0;
    bool finite = true, gradient_finite = true;
  };

  int blocks() const { return (batch_ + train_block_images - 1) / train_block_images; }
  int parts() const { return train_block_images / k_.lanes; }
  bool one_step(double learning_rate, bool health);

  // ---- phase 1: blocks of images
  void forward_and_backward(double& loss);
  size_t preparation_floats() const;
  void run_part(size_t begin, size_t end, int block, int part, int thread, float* arena);
  void run_instruction(const TrainInstruction& now, BlockRun& run, float* arena);
  // Images into the batched layout; past the batch's last one it is repeated.
  void prepare(const BlockRun& run, float* input, float* arena);

  // ---- loss.cc
  void find_loss(const BlockRun& run, const float* output, float* arena);
  // What one of an image's terms counts in the mean.
  double loss_share() const;
  // One position of one image: are the largest of n outputs and of n targets the same, or on the same side?
  bool is_right(const float* output, const float* target, int64_t step) const;

  // ---- phase 2: gradients, summed over the blocks
  void gradients(double& norm, double& clipped);
  void sum_gradient(const Trainer::Task& task, const Trainer::Parameter& p, float* to);
  void use_gradient(const Trainer::Parameter::Use& use, size_t begin, size_t end, float* to);

  // ---- phase 3: weights
  bool update(double learning_rate, double norm);
  void pack(const Trainer::Task& task, const Trainer::Parameter& p, const float* weights);

  // ---- health.cc: a look at the values
  void examine_value(int node, const float* value, int count);
  void examine_gradient(int node, const float* gradient, int count);
  template <class Body>
  void each_float(int node, const float* x, int count, Body body);
  void explain(double loss);
  void fill_health();

  Trainer& t_;
  const KernelTable& k_;
  const TrainCall& call_;
  TaskTeam& team_;
  TrainReport* report_ = nullptr;
  TrainProgram* program_ = nullptr;
  bool examining_ = false;
  int64_t first_ = 0;                         // sample of the step
  int batch_ = 0;                             // images of the step
  std::vector<float> losses_;                 // of images
  std::vector<uint32_t> correct_;             // of blocks
  std::vector<float> raw_squares_, squares_;  // of rows of parameters
  std::vector<NodeSums> sums_;                // of nodes
};

}  // namespace kernelet
