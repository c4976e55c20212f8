// adaptiveAvgPool2d, adaptiveMaxPool2d: src [c][ih][iw] cut into oh x ow bins -> dst [c][oh][ow].
#include "definition.h"
#include "pool_step.h"
#include "window.h"

namespace kernelet {
namespace {

Shape shape(const Node& node, const InputShapes& inputs) {
  image_of(node, *inputs[0]);
  Shape out = own_shape(node, *inputs[0]);
  out.dims[0] = inputs[0]->dims[0];
  return out;
}

Pool pool_of(const StepSpec& spec) {
  return spec.first().op == Op::adaptive_max_pool2d ? Pool::max : Pool::average;
}

std::unique_ptr<Step> step_of(const StepSpec& spec) { return pool_step(spec, pool_of(spec), true); }

void plan(const StepSpec& spec, PlannedStep& planned) {
  planned.step = step_of(spec);
  planned.problem = spec.input().text() + "o" + spec.output().text();
}

class AdaptivePoolTraining : public TrainStep {
 public:
  explicit AdaptivePoolTraining(const TrainSpec& spec)
      : TrainStep(step_of(spec)),
        k_(spec.kernels),
        args_(pool_args_of(spec.first(), spec.input())),
        pool_(pool_of(spec)) {
    reads_src = spec.wants_backward && pool_ == Pool::max;
  }
  void backward(BlockRun& run, int) override {
    k_->train.adaptive_dx(args_, pool_, run.src(0), run.grad, run.src_grad(0));
  }

 private:
  const KernelTable* k_;
  PoolArgs args_;
  Pool pool_;
};

}  // namespace

const OpDefinition ops::adaptive_pool = {
    1, no_attributes, shape, plan, make_train_step<AdaptivePoolTraining>, nullptr, View::never, by_planes};

}  // namespace kernelet
