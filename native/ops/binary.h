// Operations on two values, or on a value and constants, by strides: broadcasting.
#pragma once

#include "definition.h"

namespace kernelet {

// A value of an image, or `width` of them side by side; one that is not batched is the same for every image.
struct BroadcastOperand {
  Shape shape;
  bool batched;
};

// NumPy's: aligned at the last dimension, 1 stretches; from the `from`th dimension from behind on. False where it does not
// fit; then `out` is of no use.
bool stretch(Shape& out, const Shape& with, int from = 1);
// The same of all inputs.
Shape broadcast_shape(const Node& node, const InputShapes& inputs);

// Floats between neighbours along each dimension of a broadcast to `rank` dimensions: 0 where there is one element.
// Innermost the images of a batch.
void strides_of(const BroadcastOperand& operand, int rank, size_t width,
                size_t (&strides)[BinaryArgs::max_rank]);

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
  int phases() const override { return 1; }
  // Some of the outermost dimension, in whole cache lines where there is but one.
  void run_part(StepRun& run, int, int part, int parts) const override {
    BinaryArgs some = args_;
    const size_t unit = args_.rank == 1 ? 16 : 1, n = args_.dims[0];
    const size_t begin = part_begin(n, part, parts, unit);
    some.dims[0] = part_begin(n, part + 1, parts, unit) - begin;
    if (some.dims[0] == 0) return;
    size_t inner = 1;
    for (int32_t d = 1; d < args_.rank; ++d) inner *= args_.dims[d];
    binary_(some, run.src(0) + begin * args_.a[0], run.src(1) + begin * args_.b[0],
            run.src(third_) + begin * args_.b[0], run.dst() + begin * inner);
  }

 private:
  decltype(KernelTable::binary) binary_;
  BinaryArgs args_;
  size_t third_;
};

}  // namespace kernelet
