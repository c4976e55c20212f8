// permute, slice, pad: elements moved as they are, by strides.
#include <algorithm>

#include "definition.h"
#include "kernels/strided_copy.h"

namespace kernelet {
namespace {

Shape permute_shape(const Node& node, const InputShapes& inputs) {
  const Shape& in = *inputs[0];
  Shape out = in;
  int seen = 0;
  for (int i = 0; i < in.rank; ++i) {
    const int axis = node.axes[i];
    if (axis < 0 || axis >= in.rank || (seen >> axis & 1) != 0)
      bad_shape(node, {"each axis below ", in.rank, " once"}, {axis});
    seen |= 1 << axis;
    out.dims[i] = in.dims[axis];
  }
  return out;
}

// Counts are the node's own: every index they reach has to be one of the input's.
Shape slice_shape(const Node& node, const InputShapes& inputs) {
  const Shape& in = *inputs[0];
  const Shape out = own_shape(node, in);
  for (int i = 0; i < in.rank; ++i) {
    const int64_t start = node.starts[i], step = node.steps[i];
    if (step == 0 || step > Shape::max_elements || step < -Shape::max_elements || start < 0 ||
        start >= in.dims[i])
      bad_shape(node, {"a start below ", in.dims[i], " and a step that is not 0"}, {start, " by ", step});
    const int64_t last = start + step * (out.dims[i] - 1);
    if (last < 0 || last >= in.dims[i]) bad_shape(node, {"indices below ", in.dims[i]}, {last});
  }
  return out;
}

Shape pad_shape(const Node& node, const InputShapes& inputs) {
  const Shape& in = *inputs[0];
  const Shape out = own_shape(node, in);
  for (int i = 0; i < in.rank; ++i) {
    if (node.starts[i] > Shape::max_elements || node.starts[i] < -Shape::max_elements)
      bad_shape(node, {"a padding of at most 2147483647"}, {node.starts[i]});
  }
  return out;
}

CopyArgs args_of(const StepSpec& spec) {
  const Node& node = spec.first();
  const Shape &input = spec.input(), &output = node.shape;
  const size_t width = spec.width();
  CopyArgs s = CopyArgs();
  const auto dense = [&](const Shape& shape, int64_t(&strides)[CopyArgs::max_rank]) {
    int64_t next = static_cast<int64_t>(width);
    strides[shape.rank] = 1;
    for (int i = shape.rank - 1; i >= 0; next *= shape.dims[i--]) strides[i] = next;
  };
  int64_t in[CopyArgs::max_rank];
  dense(input, in);
  dense(output, s.dst);
  const int rank = output.rank;
  s.rank = rank + 1;
  s.dims[rank] = static_cast<int64_t>(width);
  s.src[rank] = 1;
  for (int i = 0; i < rank; ++i) {
    s.dims[i] = output.dims[i];
    s.src[i] = in[i];
    if (node.op == Op::permute) {
      s.src[i] = in[node.axes[i]];
    } else if (node.op == Op::slice) {
      s.src[i] *= node.steps[i];
      s.src_offset += node.starts[i] * in[i];
    } else {
      // where input and output overlap
      const int64_t begin = std::max<int64_t>(0, node.starts[i]);
      const int64_t end = std::min(output.dims[i], node.starts[i] + input.dims[i]);
      s.dims[i] = std::max<int64_t>(0, end - begin);
      s.dst_offset += begin * s.dst[i];
      s.src_offset += (begin - node.starts[i]) * in[i];
    }
  }
  // a loop of one turn is none, and the innermost dimensions that are whole on both sides go together
  while (s.rank > 1 && s.dims[s.rank - 1] == 1) --s.rank;
  while (s.rank > 1 && s.src[s.rank - 2] == s.dims[s.rank - 1] * s.src[s.rank - 1] &&
         s.dst[s.rank - 2] == s.dims[s.rank - 1] * s.dst[s.rank - 1]) {
    --s.rank;
    s.dims[s.rank - 1] *= s.dims[s.rank];
    s.src[s.rank - 1] = s.src[s.rank];
    s.dst[s.rank - 1] = s.dst[s.rank];
  }
  s.fill = node.op == Op::pad;
  s.value = node.value;
  return s;
}

// The way back: what moves the output's elements to where they came from.
CopyArgs reversed(const CopyArgs& s) {
  CopyArgs back = s;
  std::copy(s.src, s.src + CopyArgs::max_rank, back.dst);
  std::copy(s.dst, s.dst + CopyArgs::max_rank, back.src);
  std::swap(back.src_offset, back.dst_offset);
  back.fill = true;  // what came from nowhere is not asked for, what went nowhere gets nothing
  back.value = 0.0f;
  return back;
}

class MoveStep : public Step {
 public:
  explicit MoveStep(const StepSpec& spec) : args_(args_of(spec)), n_(spec.floats_of(spec.output())) {}
  void run(StepRun& run) const override { strided_copy(args_, n_, run.src(0), run.dst()); }
  // (a part of what is filled first would want its own part of that)
  int phases() const override { return args_.fill ? 0 : 1; }
  void run_part(StepRun& run, int, int part, int parts) const override {
    CopyArgs some = args_;
    const size_t outer = static_cast<size_t>(args_.dims[0]);
    const int64_t begin = static_cast<int64_t>(part_begin(outer, part, parts));
    some.dims[0] = static_cast<int64_t>(part_begin(outer, part + 1, parts)) - begin;
    some.src_offset += begin * some.src[0];
    some.dst_offset += begin * some.dst[0];
    strided_copy(some, n_, run.src(0), run.dst());
  }

 private:
  CopyArgs args_;
  size_t n_;
};

void plan(const StepSpec& spec, PlannedStep& planned) {
  planned.step.reset(new MoveStep(spec));
  planned.algorithm = "copy";
  planned.problem = spec.input().text() + "o" + spec.output().text();
}

class MoveTraining : public TrainStep {
 public:
  explicit MoveTraining(const TrainSpec& spec)
      : TrainStep(std::unique_ptr<Step>(new MoveStep(spec))),
        back_(reversed(args_of(spec))),
        n_(spec.floats_of(spec.input())) {}
  void backward(BlockRun& run, int) override { strided_copy(back_, n_, run.grad, run.src_grad(0)); }

 private:
  CopyArgs back_;
  size_t n_;
};

}  // namespace

const OpDefinition ops::permute = {1, axes_attribute, permute_shape, plan, make_train_step<MoveTraining>};
const OpDefinition ops::slice = {1, starts_attribute | steps_attribute, slice_shape, plan,
                                 make_train_step<MoveTraining>};
const OpDefinition ops::pad = {1, starts_attribute | value_attribute, pad_shape, plan,
                               make_train_step<MoveTraining>};

}  // namespace kernelet
