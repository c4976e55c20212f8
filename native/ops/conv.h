// The step of a convolution, as the passes over a plan know it.
#pragma once

#include "weighted.h"

namespace kernelet {

class ConvStep : public WeightedStep {
 public:
  ConvArgs args = ConvArgs();
  const ConvAlgorithm* algorithm = nullptr;
  // Prefetch fusion: slices of the linear layer behind, which run between the tiles of this convolution.
  std::vector<LinearSlice> slices;
  // Floats of the input to check after the run before args.no_nan may be trusted; 0: no check is needed.
  size_t checked_floats = 0;
  bool (*is_bounded)(size_t n, const float* src) = nullptr;

  void run(StepRun& run) const override;
  ConvStep* as_conv() override { return this; }

  size_t weights_size() const override { return algorithm->weights_size(args); }
  size_t bias_size() const override { return static_cast<size_t>(args.oc); }
  size_t scratch_size() const override { return algorithm->scratch_size(args); }
  size_t outputs() const override { return static_cast<size_t>(args.oc); }
  void pack(const float* from, float* weights, const float* bias) override;
};

}  // namespace kernelet
