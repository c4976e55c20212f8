// upsampleNearest2d, upsampleBilinear2d: src [c][ih][iw] -> dst [c][oh][ow], larger or smaller. Where each row and column
// of the output lies in the input is worked out once, in the arithmetic of ONNX's and PyTorch's kernels.
#include <algorithm>
#include <cmath>
#include <limits>

#include "definition.h"
#include "window.h"

namespace kernelet {
namespace {

Shape shape(const Node& node, const InputShapes& inputs) {
  image_of(node, *inputs[0]);
  Shape out = own_shape(node, *inputs[0]);
  out.dims[0] = inputs[0]->dims[0];
  for (float scale : node.scales) {
    if (!(scale > 0 && scale <= std::numeric_limits<float>::max()))
      fail("ERR_ARGUMENT",
           {node.name, ": expected scales above 0 but received ", static_cast<double>(scale)});
  }
  return out;
}

// In floats, one rounding a step: a pixel more or less depends on it.
float place_of(const Node& node, int axis, int at, int in, int out) {
  const float x = static_cast<float>(at), scale = node.scales[axis];
  switch (node.coordinates) {
    case Coordinates::asymmetric: return x / scale;
    case Coordinates::step: return x * scale;
    case Coordinates::align_corners:
      return out == 1 ? 0.0f : x * static_cast<float>(in - 1) / static_cast<float>(out - 1);
    case Coordinates::pytorch_half_pixel:
      if (out == 1) return 0.0f;
      break;
    case Coordinates::half_pixel: break;
  }
  return (x + 0.5f) / scale - 0.5f;
}

float rounded(Rounding rounding, float place) {
  const float below = std::floor(place);
  switch (rounding) {
    case Rounding::floor: return below;
    case Rounding::ceil: return std::ceil(place);
    case Rounding::prefer_floor: return place - below > 0.5f ? below + 1 : below;
    case Rounding::prefer_ceil: break;
  }
  return place - below >= 0.5f ? below + 1 : below;
}

// One axis: for each output an input, and how far the output lies from it towards the next.
struct Places {
  std::vector<int32_t> at;
  std::vector<float> share;

  Places(const Node& node, int axis, int64_t in, int64_t out) {
    const float last = static_cast<float>(in - 1);
    const bool nearest = node.op == Op::upsample_nearest2d;
    for (int i = 0; i < out; ++i) {
      float place = place_of(node, axis, i, int_of(in), int_of(out));
      if (nearest) place = rounded(node.rounding, place);
      place = place > 0 ? std::min(place, last) : 0.0f;
      // (the last of 2^31 pixels is no float)
      const int32_t pixel = int_of(std::min(static_cast<int64_t>(place), in - 1));
      at.push_back(pixel);
      if (!nearest) share.push_back(place - static_cast<float>(pixel));
    }
  }
};

class ResizeStep : public Step {
 public:
  explicit ResizeStep(const StepSpec& spec)
      : ResizeStep(spec, as_image(spec.input()), as_image(spec.first().shape)) {}
  void run(StepRun& run) const override { kernel_(args, width_, run.src(0), run.dst()); }

  ResizeArgs args = ResizeArgs();

 private:
  ResizeStep(const StepSpec& spec, const Shape& in, const Shape& out)
      : rows_(spec.first(), 0, in.dims[1], out.dims[1]), columns_(spec.first(), 1, in.dims[2], out.dims[2]) {
    args.c = int_of(spec.planes_of(in.dims[0]));
    args.ih = int_of(in.dims[1]);
    args.iw = int_of(in.dims[2]);
    args.oh = int_of(out.dims[1]);
    args.ow = int_of(out.dims[2]);
    args.rows = rows_.at.data();
    args.columns = columns_.at.data();
    args.down = rows_.share.data();
    args.right = columns_.share.data();
    width_ = spec.layout == Layout::planes ? 1 : spec.kernels->lanes;
    kernel_ = spec.first().op == Op::upsample_nearest2d ? spec.kernels->nearest : spec.kernels->linear_resize;
  }

  Places rows_, columns_;
  int32_t width_;
  decltype(KernelTable::nearest) kernel_;
};

void plan(const StepSpec& spec, PlannedStep& planned) {
  planned.step.reset(new ResizeStep(spec));
  planned.problem = spec.input().text() + "o" + spec.output().text();
}

class ResizeTraining : public TrainStep {
 public:
  explicit ResizeTraining(const TrainSpec& spec)
      : resize_(new ResizeStep(spec)),
        dx_(spec.first().op == Op::upsample_nearest2d ? spec.kernels->train.nearest_dx
                                                      : spec.kernels->train.linear_resize_dx) {
    step_.reset(resize_);
  }
  void backward(BlockRun& run, int) override { dx_(resize_->args, run.grad, run.src_grad(0)); }

 private:
  ResizeStep* resize_;
  decltype(TrainKernels::nearest_dx) dx_;
};

}  // namespace

const OpDefinition ops::resize = {1,       resize_attributes, shape,    plan, make_train_step<ResizeTraining>,
                                  nullptr, View::never,       by_planes};

}  // namespace kernelet
