// add, sub, mul, div, with broadcasting, and the activation behind them.
#include "binary.h"

#include <utility>

#include <algorithm>
#include <cstring>

#include "window.h"

namespace kernelet {
namespace {

Binary function_of(Op op) {
  switch (op) {
    case Op::add: return Binary::add;
    case Op::sub: return Binary::sub;
    case Op::mul: return Binary::mul;
    default: return Binary::div;
  }
}

void pack_constant(const Node& node, float* to) {
  std::copy(node.weight.data, node.weight.data + node.weight.length, to);
}

void plan(const StepSpec& spec, PlannedStep& planned) {
  BinaryArgs s = BinaryArgs();
  s.f = function_of(spec.first().op);
  s.after = fused_activation(spec);
  BroadcastOperand operands[2];
  for (int i = 0; i < 2; ++i) {
    // a constant that is repeated is read as it is, the same for every image
    const Node& source = spec.source(static_cast<size_t>(i));
    const Node& stored = stored_source(spec, static_cast<size_t>(i));
    operands[i] = {source.shape,
                   stored.op != Op::constant || source.shape.elements() == spec.output().elements()};
    if (!operands[i].batched) planned.operands.push_back({&stored, stored.weight.length, pack_constant, i});
  }
  if (spec.layout == Layout::blocked) {
    set_blocked_strides(s, spec, operands[0].shape, operands[1].shape);
    for (PackedOperand& operand : planned.operands) operand.floats = AlignedFloats::round_up(operand.floats);
  } else {
    set_strides(s, spec.first().shape, operands[0], operands[1], spec.width());
  }
  planned.step.reset(new BinaryStep(*spec.kernels, s));
  planned.problem = number("n", spec.output().elements());
}

// A number a channel: [c, 1, 1] beside [c, h, w].
bool is_by_channel(const Shape& shape, const Shape& out) {
  if (shape.rank != out.rank || shape.dims[0] != out.dims[0]) return false;
  return shape.elements() == shape.dims[0];
}

// Values as the output is, numbers a channel, and single numbers; no constant that would lie in planes.
bool blocked(const StepSpec& spec) {
  for (size_t i = 0; i < 2; ++i) {
    const Shape &shape = spec.input(i), &out = spec.output();
    const bool whole = shape == out && stored_source(spec, i).op != Op::constant;
    if (!whole && shape.elements() != 1 && !is_by_channel(shape, out)) return false;
  }
  return true;
}

// The gradient of a repeated operand is the sum over its repetitions, in order.
class BinaryTraining : public TrainStep {
 public:
  explicit BinaryTraining(const TrainSpec& spec)
      : k_(spec.kernels), op_(spec.first().op), n_(spec.floats_of(spec.output())) {
    const size_t width = spec.width();
    const Shape& out = spec.output();
    const BroadcastOperand a = {spec.input(0), true}, b = {spec.input(1), true}, whole = {out, true};
    BinaryArgs forward = BinaryArgs();
    forward.f = function_of(op_);
    set_strides(forward, out, a, b, width);
    step_.reset(new BinaryStep(*k_, forward));
    set_strides(by_[0], out, whole, b, width);
    set_strides(by_[1], out, whole, a, width);
    for (int i = 0; i < 2; ++i) {
      lengths_[i] = spec.floats_of(spec.input(static_cast<size_t>(i)));
      set_strides(sums_[i], out, whole, i == 0 ? a : b, width);
    }
    const bool product = op_ == Op::mul || op_ == Op::div;
    reads_src = spec.wants_backward && product;
    if (spec.wants_backward) scratch_floats = 2 * AlignedFloats::round_up(n_);
  }

  void backward(BlockRun& run, int) override {
    for (int i = 0; i < 2; ++i) {
      const size_t other = static_cast<size_t>(1 - i);
      float* const dx = run.src_grad(static_cast<size_t>(i));
      if (dx == nullptr) continue;
      const float* share = run.grad;
      if (op_ == Op::mul) share = times(Binary::mul, i, run.grad, run.src(other), run.scratch);
      if (op_ == Op::div) {
        // a / b has the slopes 1 / b and -a / b / b
        const float* const b = run.src(1);
        if (i == 0) {
          share = times(Binary::div, 0, run.grad, b, run.scratch);
        } else {
          float* const second = run.scratch + AlignedFloats::round_up(n_);
          times(Binary::mul, 1, run.grad, run.src(0), run.scratch);
          times(Binary::div, 0, run.scratch, b, second);
          share = times(Binary::div, 0, second, b, run.scratch);
        }
      }
      add_up(i, share, dx);
      if (i == 1 && (op_ == Op::sub || op_ == Op::div)) {
        for (size_t j = 0; j < lengths_[1]; ++j) dx[j] = -dx[j];
      }
    }
  }

 private:
  // by_[0] has the second operand's strides beside whole values, by_[1] the first's
  const float* times(Binary f, int which, const float* whole, const float* operand, float* to) const {
    BinaryArgs s = by_[which];
    s.f = f;
    k_->binary(s, whole, operand, operand, to);
    return to;
  }

  void add_up(int i, const float* from, float* to) const {
    const BinaryArgs& s = sums_[i];
    if (lengths_[i] == n_) {
      std::memcpy(to, from, n_ * sizeof(float));
      return;
    }
    std::fill_n(to, lengths_[i], 0.0f);
    const int last = s.rank - 1;
    const size_t n = s.dims[last];
    size_t row[BinaryArgs::max_rank] = {};
    for (;;) {
      if (s.b[last] != 0) {
        k_->add(n, to, from, to);
      } else {  // one lane
        for (size_t j = 0; j < n; ++j) *to = *to + from[j];
      }
      from += n;
      int d = last - 1;
      for (; d >= 0; --d) {
        to += s.b[d];
        if (++row[d] < s.dims[d]) break;
        row[d] = 0;
        to -= s.b[d] * s.dims[d];
      }
      if (d < 0) return;
    }
  }

  const KernelTable* k_;
  Op op_;
  size_t n_, lengths_[2];
  BinaryArgs by_[2] = {}, sums_[2] = {};
};

}  // namespace

bool stretch(Shape& out, const Shape& with, int from) {
  Shape other = with;
  if (out.rank < with.rank) std::swap(out, other);
  for (int i = from; i <= other.rank; ++i) {
    int64_t& dim = out.dims[out.rank - i];
    const int64_t size = other.dims[other.rank - i];
    if (dim != size && dim != 1 && size != 1) return false;
    if (dim == 1) dim = size;
  }
  return true;
}

Shape broadcast_shape(const Node& node, const InputShapes& inputs) {
  Shape out = *inputs[0];
  for (const Shape* one : inputs) {
    const Shape before = out;
    if (stretch(out, *one)) continue;
    const bool longer = before.rank >= one->rank;
    const Shape &a = longer ? before : *one, &b = longer ? *one : before;
    bad_shape(node, {"shapes that broadcast"}, {a.text(), " and ", b.text()});
  }
  out.check(node.name);
  return out;
}

void strides_of(const BroadcastOperand& operand, int rank, size_t width,
                size_t (&strides)[BinaryArgs::max_rank]) {
  size_t next = operand.batched ? width : 1;
  strides[rank] = operand.batched ? 1 : 0;
  for (int d = rank - 1; d >= 0; --d) {
    const int i = d - rank + operand.shape.rank;
    const size_t dim = i < 0 ? 1 : static_cast<size_t>(operand.shape.dims[i]);
    strides[d] = dim == 1 ? 0 : next;
    next *= dim;
  }
}

void set_strides(BinaryArgs& s, const Shape& out, const BroadcastOperand& a, const BroadcastOperand& b,
                 size_t width) {
  size_t of_a[BinaryArgs::max_rank], of_b[BinaryArgs::max_rank];
  strides_of(a, out.rank, width, of_a);
  strides_of(b, out.rank, width, of_b);
  s.rank = 0;
  for (int d = 0; d <= out.rank; ++d) {
    const size_t dim = d == out.rank ? width : static_cast<size_t>(out.dims[d]);
    if (dim == 1) continue;
    const int last = s.rank - 1;
    if (last >= 0 && s.a[last] == of_a[d] * dim && s.b[last] == of_b[d] * dim) {
      s.dims[last] *= dim;
    } else {
      s.dims[s.rank++] = dim;
    }
    s.a[s.rank - 1] = of_a[d];
    s.b[s.rank - 1] = of_b[d];
  }
  if (s.rank == 0) s.dims[s.rank++] = s.a[0] = s.b[0] = 1;
}

void set_blocked_strides(BinaryArgs& s, const StepSpec& spec, const Shape& a, const Shape& b) {
  const Shape& out = spec.output();
  const size_t lanes = static_cast<size_t>(spec.kernels->lanes), n = spec.floats_of(out);
  if (a == out && b == out) {
    s.rank = 1;
    s.dims[0] = n;
    s.a[0] = s.b[0] = 1;
    return;
  }
  s.rank = 3;
  s.dims[0] = static_cast<size_t>(spec.planes_of(out.dims[0]));
  s.dims[1] = n / s.dims[0] / lanes;
  s.dims[2] = lanes;
  const auto set = [&](const Shape& shape, size_t(&strides)[BinaryArgs::max_rank]) {
    const bool whole = shape == out, single = !whole && shape.elements() == 1;
    strides[0] = whole ? s.dims[1] * lanes : single ? 0 : lanes;
    strides[1] = whole ? lanes : 0;
    strides[2] = single ? 0 : 1;
  };
  set(a, s.a);
  set(b, s.b);
}

BinaryArgs by_channel(Binary f, const StepSpec& spec, int64_t operands) {
  BinaryArgs s = BinaryArgs();
  s.f = f;
  s.after = fused_activation(spec);
  if (spec.layout == Layout::blocked) {
    Shape channels = spec.output();
    for (int d = 0; d < channels.rank; ++d) channels.dims[d] = d == 0 ? operands : 1;
    set_blocked_strides(s, spec, spec.output(), channels);
    return s;
  }
  Shape operand = spec.output();
  for (int d = 1; d < operand.rank; ++d) operand.dims[d] = 1;
  operand.dims[0] = operands;
  set_strides(s, spec.output(), {spec.output(), true}, {operand, false}, spec.width());
  return s;
}

const OpDefinition ops::binary = {
    2,           no_attributes, broadcast_shape, plan, make_train_step<BinaryTraining>, fuses_activation,
    View::never, blocked};

}  // namespace kernelet
