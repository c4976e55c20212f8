// maxPool2d, avgPool2d: src [c][ih][iw] -> dst [c][oh][ow]. A 2x2 maximum may share the step of a convolution.
#include "definition.h"
#include "pool_step.h"
#include "window.h"

namespace kernelet {
namespace {

Shape shape(const Node& node, const InputShapes& inputs) {
  check_window(node);
  const Shape in = image_of(node, *inputs[0]);
  for (int i = 0; i < 2; ++i) {
    // ONNX's limit; PyTorch's is half the window
    const int most = (node.kernel[i] - 1) * node.dilation[i];
    const int pad = node.padding[i] > node.padding[2 + i] ? node.padding[i] : node.padding[2 + i];
    if (pad > most) {
      fail("ERR_ARGUMENT",
           {node.name, ": expected padding smaller than the window, at most ", most, ", but received ", pad});
    }
  }
  return like(*inputs[0], window_shape(node, in, in.dims[0], node.ceil_mode));
}

bool is_max(const StepSpec& spec) { return spec.first().op == Op::max_pool2d; }

std::unique_ptr<Step> step_of(const StepSpec& spec) {
  return pool_step(spec, is_max(spec) ? Pool::max : Pool::average, false);
}

void plan(const StepSpec& spec, PlannedStep& planned) {
  planned.step = step_of(spec);
  planned.problem = window_problem(spec.first(), as_image(spec.input()), as_image(spec.output()));
}

class PoolTraining : public TrainStep {
 public:
  explicit PoolTraining(const TrainSpec& spec)
      : TrainStep(step_of(spec)),
        k_(spec.kernels),
        args_(pool_args_of(spec.first(), spec.input())),
        max_(is_max(spec)) {
    reads_src = max_ && spec.wants_backward;
  }
  void backward(BlockRun& run, int) override {
    if (max_) k_->train.max_pool_dx(args_, run.src(0), run.grad, run.src_grad(0));
    else k_->train.avg_pool_dx(args_, run.grad, run.src_grad(0));
  }

 private:
  const KernelTable* k_;
  PoolArgs args_;
  bool max_;
};

}  // namespace

const OpDefinition ops::pool = {1,       window_attributes, shape,    plan, make_train_step<PoolTraining>,
                                nullptr, View::never,       by_planes};

}  // namespace kernelet
