// The step of a linear layer, as the passes over a plan know it.
#pragma once

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
  LinearStep* as_linear() override { return this; }

  size_t weights_size() const override { return algorithm->weights_size(args); }
  size_t bias_size() const override { return algorithm->bias_size(args); }
  size_t scratch_size() const override { return 0; }
  size_t outputs() const override { return static_cast<size_t>(args.out); }
  void pack(const float* from, float* weights, const float* bias) override;
};

}  // namespace kernelet
