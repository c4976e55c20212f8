// prelu: x > 0 ? x : slope x, with one slope or one a channel, and the activation behind it.
#include <cstring>

#include "binary.h"
#include "image_sums.h"
#include "window.h"

namespace kernelet {
namespace {

Shape shape(const Node& node, const InputShapes& inputs) {
  check_length(node, "weight", node.weight, node.weight.length == 1 ? 1 : inputs[0]->dims[0]);
  return *inputs[0];
}

BinaryArgs args_of(const StepSpec& spec) {
  return by_channel(Binary::prelu, spec, static_cast<int64_t>(spec.first().weight.length));
}

void pack_slopes(const Node& node, float* to) {
  std::memcpy(to, node.weight.data, node.weight.length * sizeof(float));
}

void plan(const StepSpec& spec, PlannedStep& planned) {
  planned.step.reset(new BinaryStep(*spec.kernels, args_of(spec)));
  const size_t slopes = spec.first().weight.length;
  planned.operands.push_back({&spec.first(), slopes == 1 ? 1 : spec.operand_floats(slopes), pack_slopes});
  planned.problem = number("n", spec.output().elements());
}

class PReluTraining : public TrainStep {
 public:
  explicit PReluTraining(const TrainSpec& spec)
      : k_(spec.kernels),
        channels_(spec.output()),
        slopes_(static_cast<int>(spec.first().weight.length)),
        args_(args_of(spec)),
        packed_(static_cast<size_t>(slopes_)) {
    weight = spec.weight;
    rows = slopes_;
    row_length = 1;
    parts = {0, slopes_};
    reads_src = spec.wants_backward;
  }
  void forward(BlockRun& run, int) override {
    k_->binary(args_, run.src(0), packed_.data(), packed_.data(), run.dst());
  }
  void backward(BlockRun& run, int) override {
    const size_t step = channels_.inner * static_cast<size_t>(k_->lanes);
    for (int c = 0; c < channels_.count; ++c) {
      const size_t at = static_cast<size_t>(c) * step;
      float sums[train_block_images];
      float* const dx = run.src_grad(0) != nullptr ? run.src_grad(0) + at : nullptr;
      k_->train.prelu_dx(channels_.inner, packed_.data()[slopes_ == 1 ? 0 : c], run.src(0) + at,
                         run.grad + at, dx, sums);
      if (weight.trained) sums_.put(run, c, sums);
    }
  }
  void reserve(int batch, int) override {
    if (weight.trained) sums_.reserve(batch, channels_.count);
  }
  void pack_weight(const float* w, int) override {
    std::memcpy(packed_.data(), w, static_cast<size_t>(slopes_) * sizeof(float));
  }
  void weight_gradient(int batch, int begin, int end, float* dw) override {
    for (int i = begin; i < end; ++i) {
      double sum = 0;
      for (int c = slopes_ == 1 ? 0 : i; c < (slopes_ == 1 ? channels_.count : i + 1); ++c)
        sum += sums_.total(batch, c);
      dw[i - begin] = static_cast<float>(sum);
    }
  }

 private:
  const KernelTable* k_;
  Channels channels_;
  int slopes_;
  BinaryArgs args_;
  AlignedFloats packed_;
  ImageSums sums_;
};

}  // namespace

const OpDefinition ops::prelu = {
    1,           weight_attribute, shape, plan, make_train_step<PReluTraining>, fuses_activation,
    View::never, by_planes};

}  // namespace kernelet
