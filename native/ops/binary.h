// Operations on two values, or on a value and constants, by strides: broadcasting.
#pragma once

#include "definition.h"

namespace kernelet {

// A value of an image, or `width` of them side by side; one that is not batched is the same for every image.
struct BroadcastOperand {
  Shape shape;
  bool batched;
};

// dims, a and b of out = a op b, each neighbour of the other merged where both lie so.
void set_strides(BinaryArgs& s, const Shape& out, const BroadcastOperand& a, const BroadcastOperand& b,
                 size_t width);

// The same over blocks of channels: each operand is as the output, a number a channel, or one number.
void set_blocked_strides(BinaryArgs& s, const StepSpec& spec, const Shape& a, const Shape& b);

// out = f(value, one operand a channel): prelu, batch norm.
BinaryArgs by_channel(Binary f, const StepSpec& spec, int64_t operands);

// dst = after(f(source 0, source 1, source `third`))
class BinaryStep : public Step {
 public:
  BinaryStep(const KernelTable& k, const BinaryArgs& args, size_t third = 1)
      : binary_(k.binary), args_(args), third_(third) {}
  void run(StepRun& run) const override {
    binary_(args_, run.src(0), run.src(1), run.src(third_), run.dst());
  }

 private:
  decltype(KernelTable::binary) binary_;
  BinaryArgs args_;
  size_t third_;
};

}  // namespace kernelet
