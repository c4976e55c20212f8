// The step of a convolution, as the passes over a plan know it.
#pragma once

#include "weighted.h"

namespace kernelet {

class ConvStep : public WeightedStep {
 public:
  ConvArgs args = ConvArgs();
  const ConvAlgorithm* algorithm = nullptr;
  const KernelTable* kernels = nullptr;
  size_t width = 1;  // images side by side
  // Prefetch fusion: slices of the linear layer behind, which run between the tiles of this convolution.
  std::vector<LinearSlice> slices;
  // Floats of the input to check after the run before args.no_nan may be trusted; 0: no check is needed.
  size_t checked_floats = 0;
  // Layout::blocked: which of the step's sources is added, and which are scale and, behind it, shift; 0: none.
  bool blocked = false;
  size_t residual_source = 0, scale_source = 0;
  // The source whose numbers, one a channel, multiply the first (gate.cc); 0: none.
  size_t gate_source = 0;

  // Depth first: the 1x1 convolution whose value this depthwise one alone reads, and which runs with it. Then the step's
  // first source is that one's, and its scale and shift come last.
  const DepthFirst* depth_first = nullptr;
  ConvStep* expand = nullptr;
  std::unique_ptr<Step> owned_expand;
  size_t expand_scale_source = 0;

  void run(StepRun& run) const override;
  int phases() const override {
    if (expand != nullptr) return 1;
    return blocked && algorithm->phases != nullptr ? algorithm->phases(args) : 0;
  }
  void run_part(StepRun& run, int phase, int part, int parts) const override;
  void share(int parts) override { args.parts = parts; }
  ConvStep* as_conv() override { return this; }

  size_t weights_size() const override { return algorithm->weights_size(args); }
  // Of blocks whole ones.
  size_t bias_size() const override {
    const size_t n = static_cast<size_t>(args.oc);
    return blocked ? AlignedFloats::round_up(n) : n;
  }
  size_t scratch_size() const override;
  size_t outputs() const override { return static_cast<size_t>(args.oc); }
  void pack(const float* from, float* weights) const override;
  void place(const float* weights, const float* bias) override;

  std::vector<int32_t> taps;  // of `args`

 private:
  // Of blocks: the arguments with what else the step reads.
  ConvArgs with_sources(const StepRun& run) const;
};

// 1x1, each output from the pixel where it lies itself.
inline bool is_pixelwise(const ConvArgs& a) {
  return a.kh == 1 && a.kw == 1 && a.sh == 1 && a.sw == 1 && a.pt == 0 && a.pl == 0 && a.oh == a.ih &&
         a.ow == a.iw;
}

// The convolution of a node, nothing fused.
ConvArgs conv_args_of(const Graph& graph, int node, const KernelTable& kernels);

}  // namespace kernelet
