// batchNorm: (x - mean) / sqrt(variance + epsilon) * weight + bias, a channel each, and the activation behind it.
#include "batch_norm.h"

#include <cmath>

#include "binary.h"
#include "image_sums.h"
#include "window.h"

namespace kernelet {
namespace {

Shape shape(const Node& node, const InputShapes& inputs) {
  const int64_t channels = inputs[0]->dims[0];
  check_length(node, "mean", node.mean, channels);
  check_length(node, "variance", node.variance, channels);
  if (node.weight.data != nullptr) check_length(node, "weight", node.weight, channels);
  if (node.bias.data != nullptr) check_length(node, "bias", node.bias, channels);
  return *inputs[0];
}

// As x * scale + shift, rounded once: PyTorch's way.
BinaryArgs args_of(const StepSpec& spec) { return by_channel(Binary::affine, spec, spec.output().dims[0]); }

float scale_of(const Node& node, size_t i) {
  const double deviation = std::sqrt(static_cast<double>(node.variance.data[i]) + node.epsilon);
  return static_cast<float>((node.weight.data != nullptr ? node.weight.data[i] : 1.0) / deviation);
}

void pack_scale(const Node& node, float* to) {
  for (size_t i = 0; i < node.mean.length; ++i) to[i] = scale_of(node, i);
}

void pack_shift(const Node& node, float* to) {
  for (size_t i = 0; i < node.mean.length; ++i) {
    const double at_mean = node.bias.data != nullptr ? node.bias.data[i] : 0.0;
    to[i] = static_cast<float>(at_mean - static_cast<double>(node.mean.data[i]) * scale_of(node, i));
  }
}

void plan(const StepSpec& spec, PlannedStep& planned) {
  planned.step.reset(new BinaryStep(*spec.kernels, args_of(spec), 2));
  add_scale_and_shift(spec.first(), planned, spec.operand_floats(spec.first().mean.length));
  planned.problem = number("n", spec.output().elements());
}

// In training mode by the batch's statistics, in two rounds: each image's mean and squares first, then (one thread)
// the batch's from them, then the values; backward likewise. Else by the running ones, in one round.
class BatchNormTraining : public TrainStep {
 public:
  explicit BatchNormTraining(const TrainSpec& spec)
      : k_(spec.kernels),
        channels_(spec.output()),
        training_(spec.first().training),
        epsilon_(spec.first().epsilon),
        momentum_(spec.first().momentum),
        mean_of_(spec.mean),
        variance_of_(spec.variance),
        args_(args_of(spec)) {
    weight = spec.weight;
    bias = spec.bias;
    rows = channels_.count;
    row_length = 1;
    parts = {0, rows};
    const size_t n = static_cast<size_t>(rows);
    for (std::vector<float>* values : {&bias_, &mean_, &factor_, &scale_, &shift_, &a_, &b_, &c_})
      values->assign(n, 0.0f);
    weight_.assign(n, 1.0f);
    variance_.assign(n, 0.0);
    count_ = 0;
    reads_src = spec.wants_backward;
    forward_rounds = training_ ? 2 : 1;
    backward_rounds = training_ ? 2 : 1;
    if (!training_) scratch_floats = 4 * n;
  }

  void forward(BlockRun& run, int round) override {
    const size_t n = static_cast<size_t>(rows);
    if (!training_) {
      fix(run);
      k_->binary(args_, run.src(0), run.scratch, run.scratch + n, run.dst());
    } else if (round == 0) {
      each([&](int c, size_t at) {
        float mean[train_block_images], squares[train_block_images];
        k_->train.moments(channels_.inner, run.src(0) + at, mean, squares);
        means_.put(run, c, mean);
        squares_.put(run, c, squares);
      });
    } else {
      k_->binary(args_, run.src(0), scale_.data(), shift_.data(), run.dst());
    }
  }

  void backward(BlockRun& run, int round) override {
    float* const dx = run.src_grad(0);
    if (round == 0) {
      if (!training_) fix(run);
      const size_t n = static_cast<size_t>(rows);
      const float* const mean = training_ ? mean_.data() : run.scratch + 2 * n;
      const float* const factor = training_ ? factor_.data() : run.scratch + 3 * n;
      each([&](int c, size_t at) {
        float of_grad[train_block_images], of_both[train_block_images];
        k_->train.norm_sums(channels_.inner, run.src(0) + at, run.grad + at, mean[c], factor[c], of_grad,
                            of_both);
        of_grad_.put(run, c, of_grad);
        of_both_.put(run, c, of_both);
        if (!training_ && dx != nullptr)
          k_->train.norm_dx(channels_.inner, run.src(0) + at, run.grad + at, 0, run.scratch[c], 0, 0,
                            dx + at);
      });
    } else if (dx != nullptr) {
      each([&](int c, size_t at) {
        const size_t i = static_cast<size_t>(c);
        k_->train.norm_dx(channels_.inner, run.src(0) + at, run.grad + at, mean_[i], a_[i], b_[i], c_[i],
                          dx + at);
        // lanes without an image have no gradient, though their share of the batch's would be one
        for (size_t j = 0; run.count < k_->lanes && j < channels_.inner; ++j) {
          for (int lane = run.count; lane < k_->lanes; ++lane)
            dx[at + j * static_cast<size_t>(k_->lanes) + static_cast<size_t>(lane)] = 0.0f;
        }
      });
    }
  }

  void batch_barrier(bool backward, int, int batch) override {
    const double n = static_cast<double>(channels_.inner), all = n * batch;
    for (int c = 0; c < rows; ++c) {
      const size_t i = static_cast<size_t>(c);
      if (backward) {
        const double a = static_cast<double>(weight_[i]) * factor_[i];
        a_[i] = static_cast<float>(a);
        b_[i] = static_cast<float>(a * factor_[i] * of_both_.total(batch, c) / all);
        c_[i] = static_cast<float>(a * of_grad_.total(batch, c) / all);
        continue;
      }
      const double mean = means_.total(batch, c) / batch;
      double squares = squares_.total(batch, c);
      for (int image = 0; image < batch; ++image) {
        const double d = means_.at(image, c) - mean;
        squares += n * d * d;
      }
      variance_[i] = squares / all;
      count_ = all;
      mean_[i] = static_cast<float>(mean);
      factor_[i] = static_cast<float>(1 / std::sqrt(variance_[i] + epsilon_));
      scale_[i] = static_cast<float>(static_cast<double>(weight_[i]) / std::sqrt(variance_[i] + epsilon_));
      shift_[i] = static_cast<float>(bias_[i] - mean * scale_[i]);
    }
  }

  void reserve(int batch, int) override {
    for (ImageSums* sums : {&means_, &squares_, &of_grad_, &of_both_}) sums->reserve(batch, rows);
  }

  void pack_weight(const float* w, int) override { weight_.assign(w, w + rows); }
  void pack_bias(const float* b) override { bias_.assign(b, b + rows); }

  void weight_gradient(int batch, int begin, int end, float* dw) override {
    for (int c = begin; c < end; ++c) dw[c - begin] = static_cast<float>(of_both_.total(batch, c));
  }
  void bias_gradient(int batch, float* db) override {
    for (int c = 0; c < rows; ++c) db[c] = static_cast<float>(of_grad_.total(batch, c));
  }

  void move_statistics(float* values) const override {
    if (!training_) return;
    const double m = momentum_, unbiased = count_ > 1 ? count_ / (count_ - 1) : 1;
    for (size_t i = 0; i < static_cast<size_t>(rows); ++i) {
      const size_t mean = mean_of_.offset + i, variance = variance_of_.offset + i;
      values[mean] = static_cast<float>((1 - m) * values[mean] + m * mean_[i]);
      values[variance] = static_cast<float>((1 - m) * values[variance] + m * variance_[i] * unbiased);
    }
  }

 private:
  template <class Body>
  void each(Body body) const {
    const size_t step = channels_.inner * static_cast<size_t>(k_->lanes);
    for (int c = 0; c < rows; ++c) body(c, static_cast<size_t>(c) * step);
  }

  // scratch: scale, shift, mean, factor of the running statistics; a plan's arithmetic
  void fix(BlockRun& run) const {
    const size_t n = static_cast<size_t>(rows);
    for (size_t i = 0; i < n; ++i) {
      const float mean = run.parameters[mean_of_.offset + i],
                  variance = run.parameters[variance_of_.offset + i];
      const double deviation = std::sqrt(static_cast<double>(variance) + epsilon_);
      const float scale = static_cast<float>(weight_[i] / deviation);
      run.scratch[i] = scale;
      run.scratch[n + i] =
          static_cast<float>(static_cast<double>(bias_[i]) - static_cast<double>(mean) * scale);
      run.scratch[2 * n + i] = mean;
      run.scratch[3 * n + i] = static_cast<float>(1 / deviation);
    }
  }

  const KernelTable* k_;
  Channels channels_;
  bool training_;
  float epsilon_, momentum_;
  ParameterUse mean_of_, variance_of_;
  BinaryArgs args_;
  std::vector<float> weight_, bias_, mean_, factor_, scale_, shift_, a_, b_, c_;
  std::vector<double> variance_;
  double count_;  // values of a channel in the batch
  ImageSums means_, squares_, of_grad_, of_both_;
};

}  // namespace

void add_scale_and_shift(const Node& node, PlannedStep& planned, size_t floats) {
  planned.operands.push_back({&node, floats, pack_scale});
  planned.operands.push_back({&node, floats, pack_shift});
}

const OpDefinition ops::batch_norm = {
    1,
    statistics_attributes | epsilon_attribute | weight_attribute | bias_attribute,
    shape,
    plan,
    make_train_step<BatchNormTraining>,
    fuses_activation,
    View::never,
    by_planes};

}  // namespace kernelet
