// Activations: a row of kernels/activations.inc each, and selu, which is elu with parameters of its own.
#include "definition.h"
#include "window.h"

namespace kernelet {
namespace {

class ActivationStep : public Step {
 public:
  ActivationStep(const KernelTable& k, const Unary& f, size_t n) : activate_(k.activate), f_(f), n_(n) {}
  void run(StepRun& run) const override { activate_(f_, n_, run.src(0), run.dst()); }
  int phases() const override { return 1; }
  void run_part(StepRun& run, int, int part, int parts) const override {
    const size_t begin = part_begin(n_, part, parts, 16), end = part_begin(n_, part + 1, parts, 16);
    activate_(f_, end - begin, run.src(0) + begin, run.dst() + begin);
  }

 private:
  decltype(KernelTable::activate) activate_;
  Unary f_;
  size_t n_;
};

std::unique_ptr<Step> step_of(const StepSpec& spec) {
  return std::unique_ptr<Step>(
      new ActivationStep(*spec.kernels, unary_of(spec.first()), spec.floats_of(spec.output())));
}

void plan(const StepSpec& spec, PlannedStep& planned) {
  planned.step = step_of(spec);
  planned.problem = number("n", spec.output().elements());
}

class ActivationTraining : public TrainStep {
 public:
  explicit ActivationTraining(const TrainSpec& spec)
      : TrainStep(step_of(spec)),
        k_(spec.kernels),
        f_(unary_of(spec.first())),
        by_output_(has_slope_by_output(f_.f)),
        n_(spec.floats_of(spec.output())) {
    reads_dst = spec.wants_backward && by_output_;
    reads_src = spec.wants_backward && !by_output_;
  }
  void backward(BlockRun& run, int) override {
    if (by_output_) k_->train.activate_dx(f_.f, n_, run.dst(), run.grad, run.src_grad(0));
    else k_->train.slope(f_, n_, run.src(0), run.grad, run.src_grad(0));
  }

 private:
  const KernelTable* k_;
  Unary f_;
  bool by_output_;
  size_t n_;
};

}  // namespace

Activation activation_of(Op op) {
  switch (op) {
#define KERNELET_ACTIVATION(name, text, slope) \
  case Op::name:                               \
    return Activation::name;
#include "kernels/activations.inc"
#undef KERNELET_ACTIVATION
    case Op::selu: return Activation::elu;
    default: return Activation::none;
  }
}

Unary unary_of(const Node& node) {
  return {activation_of(node.op), node.alpha, node.op == Op::elu ? 1.0f : node.beta};
}

const char* activation_name(Activation f) {
  static constexpr char names[][12] = {
      "",  // none
#define KERNELET_ACTIVATION(name, text, slope) text,
#include "kernels/activations.inc"
#undef KERNELET_ACTIVATION
  };
  return names[static_cast<int>(f)];
}

bool has_slope_by_output(Activation f) {
  enum class Slope { input, output };
  switch (f) {
#define KERNELET_ACTIVATION(name, text, slope) \
  case Activation::name:                       \
    return Slope::slope == Slope::output;
#include "kernels/activations.inc"
#undef KERNELET_ACTIVATION
    case Activation::none: break;
  }
  return false;
}

const OpDefinition ops::activation = {
    1,       parameter_attributes, same_shape, plan, make_train_step<ActivationTraining>,
    nullptr, View::never,          by_planes};

}  // namespace kernelet
