// The integers of one int8 layer for its kernels: the float kernels over bytes held as floats, or kernels of their own
// over four bytes a lane (kernels/int8/int8x4.h). Both sum the same integers.
#pragma once

#include "kernels/table.h"
#include "ops/weighted.h"
#include "quantize.h"

namespace kernelet {

class Int8Layer {
 public:
  // `int8x4` may be null; `width`: images side by side in a value.
  Int8Layer(const QuantizedGroup& group, const Int8Kernels* int8x4, size_t width)
      : group_(group), int8x4_(int8x4), width_(width) {}

  // The float step's arguments -> those of the sums.
  void prepare(ConvArgs& args);
  void prepare(LinearArgs& args);

  // What is done around the sums.
  std::unique_ptr<Requantization> requantization(const KernelTable& kernels) const;

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
  const Int8Kernels* int8x4_;
  size_t width_;
  bool is_conv_ = false;
  bool by_rows_ = false;  // the four bytes are neighbours in a row
  // As the float step has them. A linear layer's input is channels by columns, as what made it left them.
  int ic_ = 1, ih_ = 1, iw_ = 1, kh_ = 1, kw_ = 1, outputs_ = 1;
  int left_ = 0, row_int8x4_ = 0;
  size_t out_positions_ = 1;
};

}  // namespace kernelet
