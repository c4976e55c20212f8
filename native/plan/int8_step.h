// The step of a quantised group: the float step's kernels over bytes held as floats, or kernels of their own over
// bytes in quads (kernels/quads.h). Both sum the same integers.
#pragma once

#include "quantize.h"
#include "step.h"

namespace kernelet {

class Int8Step {
 public:
  // `quads` may be null; `width`: images side by side in a value.
  Int8Step(const QuantizedGroup& group, const Int8Kernels* quads, size_t width)
      : group_(group), quads_(quads), width_(width) {}

  // The float step's arguments -> those of the sums.
  void prepare(ConvArgs& args);
  void prepare(LinearArgs& args);

  // What is done around the sums; `scratch` is in floats, the kernel's and then all of it.
  std::unique_ptr<Int8Ends> ends(const KernelTable& kernels, size_t& scratch) const;

  // For the kernel to pack, and one for each output.
  std::vector<float> weights() const;
  std::vector<float> bias() const;
  // From floats to bytes: for all of the input.
  float in_scale() const;
  const std::vector<float>& out_scale() const { return group_.scale; }

 private:
  RescaleArgs in_args() const;
  RescaleArgs out_args() const;

  const QuantizedGroup& group_;
  const Int8Kernels* quads_;
  size_t width_;
  bool is_conv_ = false;
  bool by_rows_ = false;  // quads of neighbours in a row
  // As the float step has them. A linear layer's input is channels by columns, as what made it left them.
  int ic_ = 1, ih_ = 1, iw_ = 1, kh_ = 1, kw_ = 1, outputs_ = 1;
  int left_ = 0, row_quads_ = 0;
  size_t out_positions_ = 1;
};

}  // namespace kernelet
