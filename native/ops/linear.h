// The step of a linear layer, as the passes over a plan know it.
#pragma once

#include "train_step.h"
#include "weighted.h"

namespace kernelet {

class LinearStep : public WeightedStep {
 public:
  LinearArgs args = LinearArgs();
  const LinearAlgorithm* algorithm = nullptr;
  // Prefetch fusion: the convolution before has run the layer in slices, and left its sums in the scratch.
  bool fused_into_conv = false;
  size_t sums = 0;

  void run(StepRun& run) const override;
  int phases() const override {
    return algorithm->run_part != nullptr && !fused_into_conv && requantization == nullptr ? 1 : 0;
  }
  void run_part(StepRun& run, int phase, int part, int parts) const override;
  // Is it one row, whose weights are so many that they are better read once for several images?
  bool shares_weights() const;
  void run_images(const StepRun& run, int images, size_t tail_stride, size_t output_stride) const override;
  void share(int parts) override { args.parts = parts; }
  LinearStep* as_linear() override { return this; }

  size_t weights_size() const override { return algorithm->weights_size(args); }
  size_t bias_size() const override { return algorithm->bias_size(args); }
  size_t scratch_size() const override { return 0; }
  size_t outputs() const override { return static_cast<size_t>(args.out); }
  void pack(const float* from, float* weights) const override;
  size_t piece(size_t begin) const override;
  void pack_piece(size_t begin, size_t end, const float* from, float* weights) const override;
  void place(const float* weights, const float* bias) override;
};

// Training of a matrix by which rows are multiplied, in the batched layout. dW is one sum over the batch, made after all
// blocks from panels that backward transposed.
class MatrixTraining : public TrainStep {
 public:
  MatrixTraining(const TrainSpec& spec, const LinearArgs& args);
  void reserve(int batch, int threads) override;
  void pack_weight(const float* w, int part) override;
  void pack_bias(const float* b) override;
  void weight_gradient(int batch, int begin, int end, float* dw) override;
  void bias_gradient(int batch, float* db) override;

 protected:
  // Where the gradient of this block's results has to be when backward ends.
  float* gradient_of(const BlockRun& run) const;
  // To be called in backward, with the rows that were multiplied.
  void keep_rows(const BlockRun& run, const float* src);

  const KernelTable* k_;
  LinearArgs args_;  // with the packed weights
  size_t dst_floats_;

 private:
  LinearGradArgs gradient_args(int batch) const;

  AlignedFloats packed_, packed_bias_, panels_,
      grads_;  // the last two of the whole batch: the kernels say how
};

}  // namespace kernelet
