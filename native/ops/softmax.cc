// softmax, logSoftmax: over one axis, the middle of [outer][n][inner].
#include "definition.h"
#include "window.h"

namespace kernelet {
namespace {

Shape shape(const Node& node, const InputShapes& inputs) {
  check_axis(node, *inputs[0]);
  return *inputs[0];
}

SoftmaxArgs args_of(const StepSpec& spec) {
  const Node& node = spec.first();
  SoftmaxArgs a = SoftmaxArgs();
  a.outer = 1;
  a.inner = int_of(static_cast<int64_t>(spec.width()));
  for (int i = 0; i < node.axis; ++i) a.outer *= int_of(node.shape.dims[i]);
  for (int i = node.axis + 1; i < node.shape.rank; ++i) a.inner *= int_of(node.shape.dims[i]);
  a.n = int_of(node.shape.dims[node.axis]);
  a.log = node.op == Op::log_softmax;
  return a;
}

class SoftmaxStep : public Step {
 public:
  explicit SoftmaxStep(const StepSpec& spec) : softmax_(spec.kernels->softmax), args_(args_of(spec)) {}
  void run(StepRun& run) const override { softmax_(args_, run.src(0), run.dst()); }

 private:
  decltype(KernelTable::softmax) softmax_;
  SoftmaxArgs args_;
};

void plan(const StepSpec& spec, PlannedStep& planned) {
  planned.step.reset(new SoftmaxStep(spec));
  planned.problem = spec.output().text() + number("axis", spec.first().axis);
}

class SoftmaxTraining : public TrainStep {
 public:
  explicit SoftmaxTraining(const TrainSpec& spec)
      : TrainStep(std::unique_ptr<Step>(new SoftmaxStep(spec))), k_(spec.kernels), args_(args_of(spec)) {
    reads_dst = spec.wants_backward;
  }
  void backward(BlockRun& run, int) override {
    k_->train.softmax_dx(args_, run.dst(), run.grad, run.src_grad(0));
  }

 private:
  const KernelTable* k_;
  SoftmaxArgs args_;
};

}  // namespace

const OpDefinition ops::softmax = {1, axis_attribute, shape, plan, make_train_step<SoftmaxTraining>};

}  // namespace kernelet
