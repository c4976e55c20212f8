// What few networks compute element by element, one by one whatever the registers: functions of one number (exact.h);
// maxima, comparisons, logic and remainders of two, where: of three, with broadcasting. What is true is 1, else 0.
#include <algorithm>
#include <cmath>

#include "binary.h"
#include "exact.h"
#include "window.h"

namespace kernelet {
namespace {

// ---------------------------------------------------------------- of one number

class ExactStep : public Step {
 public:
  explicit ExactStep(const StepSpec& spec)
      : op_(spec.first().op),
        n_(spec.floats_of(spec.output())),
        up_(spec.first().alpha),
        down_(spec.first().beta) {}
  void run(StepRun& run) const override { part(run, 0, n_); }
  int phases() const override { return 1; }
  void run_part(StepRun& run, int, int part_, int parts) const override {
    part(run, part_begin(n_, part_, parts, 16), part_begin(n_, part_ + 1, parts, 16));
  }

 private:
  void part(const StepRun& run, size_t begin, size_t end) const {
    const float* const src = run.src(0);
    float* const dst = run.dst();
    for (size_t i = begin; i < end; ++i) dst[i] = value_of(src[i]);
  }
  float value_of(float x) const {
    if (op_ == Op::is_inf) return std::isinf(x) && (x > 0 ? up_ : down_) != 0 ? 1.0f : 0.0f;
    return static_cast<float>(exact_function(op_, static_cast<double>(x)));
  }

  Op op_;
  size_t n_;
  float up_, down_;
};

void plan_exact(const StepSpec& spec, PlannedStep& planned) {
  planned.step.reset(new ExactStep(spec));
  planned.problem = number("n", spec.output().elements());
}

class ExactTraining : public TrainStep {
 public:
  explicit ExactTraining(const TrainSpec& spec)
      : TrainStep(std::unique_ptr<Step>(new ExactStep(spec))),
        op_(spec.first().op),
        n_(spec.floats_of(spec.output())) {
    reads_src = spec.wants_backward;
  }
  void backward(BlockRun& run, int) override {
    const float* const src = run.src(0);
    float* const dx = run.src_grad(0);
    for (size_t i = 0; i < n_; ++i)
      dx[i] = run.grad[i] * static_cast<float>(exact_slope(op_, static_cast<double>(src[i])));
  }

 private:
  Op op_;
  size_t n_;
};

// ---------------------------------------------------------------- of two or three

// A NaN comes through.
float larger(float a, float b, float) { return a > b || a != a ? a : b; }
float smaller(float a, float b, float) { return a < b || a != a ? a : b; }
float less(float a, float b, float) { return a < b ? 1.0f : 0.0f; }
float less_or_equal(float a, float b, float) { return a <= b ? 1.0f : 0.0f; }
float equal(float a, float b, float) { return a == b ? 1.0f : 0.0f; }
float both(float a, float b, float) { return a != 0 && b != 0 ? 1.0f : 0.0f; }
float either(float a, float b, float) { return a != 0 || b != 0 ? 1.0f : 0.0f; }
float one_of(float a, float b, float) { return (a != 0) != (b != 0) ? 1.0f : 0.0f; }
float fraction(float a, float b, float) { return std::fmod(a, b); }  // which is exact
float modulo(float a, float b, float) {
  const float rest = std::fmod(a, b);
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}
float chosen(float condition, float a, float b) { return condition != 0 ? a : b; }

using Function = float (*)(float, float, float);

Function function_of(Op op) {
  switch (op) {
    case Op::maximum: return larger;
    case Op::minimum: return smaller;
    case Op::less: return less;
    case Op::less_equal: return less_or_equal;
    case Op::equal: return equal;
    case Op::logical_and: return both;
    case Op::logical_or: return either;
    case Op::logical_xor: return one_of;
    case Op::remainder: return modulo;
    case Op::fmod: return fraction;
    default: return chosen;
  }
}

// Dimensions of the output, the images of a block last, and how far apart operands lie along them.
struct Walk {
  static constexpr int most = BinaryArgs::max_rank;
  int rank;
  size_t dims[most], steps[3][most];

  explicit Walk(const StepSpec& spec) {
    const Shape& out = spec.output();
    rank = out.rank + 1;
    for (int d = 0; d < out.rank; ++d) dims[d] = static_cast<size_t>(out.dims[d]);
    dims[out.rank] = spec.width();
    for (size_t k = 0; k < 3; ++k) {
      strides_of({spec.input(std::min(k, spec.first().inputs.size() - 1)), true}, out.rank, spec.width(),
                 steps[k]);
    }
  }

  // visit(index of the output, of each operand)
  template <class Visit>
  void each(const Visit& visit) const {
    size_t row[most] = {}, at[3] = {};
    for (size_t i = 0;; ++i) {
      visit(i, at);
      int d = rank - 1;
      for (; d >= 0; --d) {
        for (int k = 0; k < 3; ++k) at[k] += steps[k][d];
        if (++row[d] < dims[d]) break;
        row[d] = 0;
        for (int k = 0; k < 3; ++k) at[k] -= steps[k][d] * dims[d];
      }
      if (d < 0) return;
    }
  }
};

class ChoiceStep : public Step {
 public:
  explicit ChoiceStep(const StepSpec& spec)
      : f_(function_of(spec.first().op)), third_(spec.first().inputs.size() > 2 ? 2 : 1), walk_(spec) {}
  void run(StepRun& run) const override {
    const float *const a = run.src(0), *const b = run.src(1), *const c = run.src(third_);
    float* const dst = run.dst();
    walk_.each([&](size_t i, const size_t* at) { dst[i] = f_(a[at[0]], b[at[1]], c[at[2]]); });
  }

 private:
  Function f_;
  size_t third_;
  Walk walk_;
};

void plan_choice(const StepSpec& spec, PlannedStep& planned) {
  planned.step.reset(new ChoiceStep(spec));
  planned.problem = number("n", spec.output().elements());
}

// The gradient goes to the operand whose value came out; of equals in a maximum half to each, as in PyTorch. Remainders
// pass it on to what is divided; what is 0 or 1 has none.
class ChoiceTraining : public TrainStep {
 public:
  explicit ChoiceTraining(const TrainSpec& spec)
      : TrainStep(std::unique_ptr<Step>(new ChoiceStep(spec))), op_(spec.first().op), walk_(spec) {
    operands_ = spec.first().inputs.size();
    for (size_t k = 0; k < operands_; ++k) lengths_[k] = spec.floats_of(spec.input(k));
    reads_src = spec.wants_backward;
  }
  void backward(BlockRun& run, int) override {
    const float *const a = run.src(0), *const b = run.src(1);
    for (size_t k = 0; k < operands_; ++k) {
      float* const dx = run.src_grad(k);
      if (dx == nullptr) continue;
      std::fill_n(dx, lengths_[k], 0.0f);
      walk_.each(
          [&](size_t i, const size_t* at) { dx[at[k]] += run.grad[i] * share(k, a[at[0]], b[at[1]]); });
    }
  }

 private:
  float share(size_t operand, float a, float b) const {
    const bool first = operand == 0;
    switch (op_) {
      case Op::maximum: return a == b ? 0.5f : (a > b) == first ? 1.0f : 0.0f;
      case Op::minimum: return a == b ? 0.5f : (a < b) == first ? 1.0f : 0.0f;
      case Op::where: return first ? 0.0f : (a != 0) == (operand == 1) ? 1.0f : 0.0f;
      case Op::remainder: return first ? 1.0f : -std::floor(a / b);
      case Op::fmod: return first ? 1.0f : -std::trunc(a / b);
      default: return 0.0f;
    }
  }

  Op op_;
  Walk walk_;
  size_t operands_, lengths_[3];
};

}  // namespace

const OpDefinition ops::exact = {
    1,       parameter_attributes, same_shape, plan_exact, make_train_step<ExactTraining>,
    nullptr, View::never,          by_planes};
const OpDefinition ops::choice = {2, no_attributes, broadcast_shape, plan_choice,
                                  make_train_step<ChoiceTraining>};
const OpDefinition ops::where = {3, no_attributes, broadcast_shape, plan_choice,
                                 make_train_step<ChoiceTraining>};

}  // namespace kernelet
