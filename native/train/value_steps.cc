// The steps of a training program that need no weights' layout: functions of values, arithmetic with broadcasting,
// what moves elements, adaptive pools; and batch norm and PReLU, whose gradients are sums over images in order.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "ops/kernel_args.h"
#include "ops/strides.h"
#include "plan/fuse.h"
#include "step.h"

namespace kernelet {
namespace {

size_t floats_of(const StepSpec& spec, const Shape& shape) {
  return static_cast<size_t>(shape.elements()) * static_cast<size_t>(spec.kernels->lanes);
}

// Any activation, by its input.
class FunctionStep : public TrainStep {
 public:
  explicit FunctionStep(const StepSpec& spec)
      : k_(spec.kernels), f_(unary_of(spec.first())), n_(floats_of(spec, spec.output())) {
    reads_src = spec.wants_backward;
  }
  void forward(const BlockRun& run) override { k_->activate(f_, n_, run.src[0], run.dst); }
  void backward(const BlockRun& run) override {
    k_->train.slope(f_, n_, run.src[0], run.grad, run.src_grad[0]);
  }

 private:
  const KernelTable* k_;
  Unary f_;
  size_t n_;
};

// a op b with broadcasting. The gradient of a repeated operand is the sum over its repetitions, in order.
class BinaryStep : public TrainStep {
 public:
  explicit BinaryStep(const StepSpec& spec)
      : k_(spec.kernels), op_(spec.first().op), n_(floats_of(spec, spec.output())) {
    const size_t width = static_cast<size_t>(k_->lanes);
    const Shape& out = spec.output();
    const Layout a = {spec.input(0), true}, b = {spec.input(1), true}, whole = {out, true};
    forward_.f = binary_of(op_);
    set_strides(forward_, out, a, b, width);
    set_strides(by_[0], out, whole, b, width);
    set_strides(by_[1], out, whole, a, width);
    for (int i = 0; i < 2; ++i) {
      lengths_[i] = floats_of(spec, spec.input(static_cast<size_t>(i)));
      set_strides(sums_[i], out, whole, i == 0 ? a : b, width);
    }
    const bool product = op_ == Op::mul || op_ == Op::div;
    reads_src = spec.wants_backward && product;
    if (spec.wants_backward) scratch_floats = 2 * AlignedFloats::round_up(n_);
  }

  void forward(const BlockRun& run) override {
    k_->binary(forward_, run.src[0], run.src[1], run.src[1], run.dst);
  }

  void backward(const BlockRun& run) override {
    for (int i = 0; i < 2; ++i) {
      if (run.src_grad[i] == nullptr) continue;
      const float* share = run.grad;
      if (op_ == Op::mul) share = times(run, Binary::mul, i, run.grad, run.src[1 - i], run.scratch);
      if (op_ == Op::div) {
        // a / b has the slopes 1 / b and -a / b / b
        const float* const b = run.src[1];
        if (i == 0) {
          share = times(run, Binary::div, 0, run.grad, b, run.scratch);
        } else {
          float* const other = run.scratch + AlignedFloats::round_up(n_);
          times(run, Binary::mul, 1, run.grad, run.src[0], run.scratch);
          times(run, Binary::div, 0, run.scratch, b, other);
          share = times(run, Binary::div, 0, other, b, run.scratch);
        }
      }
      add_up(i, share, run.src_grad[i]);
      if (i == 1 && (op_ == Op::sub || op_ == Op::div)) {
        float* const dx = run.src_grad[1];
        for (size_t j = 0; j < lengths_[1]; ++j) dx[j] = -dx[j];
      }
    }
  }

 private:
  // by_[0] has the second operand's strides beside whole values, by_[1] the first's
  const float* times(const BlockRun&, Binary f, int which, const float* whole, const float* operand,
                     float* to) const {
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
        for (size_t i = 0; i < n; ++i) *to = *to + from[i];
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
  BinaryArgs forward_ = BinaryArgs(), by_[2] = {}, sums_[2] = {};
};

// permute, slice, pad
class MoveStep : public TrainStep {
 public:
  explicit MoveStep(const StepSpec& spec)
      : out_(floats_of(spec, spec.output())),
        in_(floats_of(spec, spec.input())),
        args_(moves_of(spec.first(), spec.input(), static_cast<size_t>(spec.kernels->lanes))) {}
  void forward(const BlockRun& run) override { strided_copy(args_, out_, run.src[0], run.dst); }
  void backward(const BlockRun& run) override {
    strided_copy(reversed(args_), in_, run.grad, run.src_grad[0]);
  }

 private:
  size_t out_, in_;
  CopyArgs args_;
};

class AdaptivePoolStep : public TrainStep {
 public:
  explicit AdaptivePoolStep(const StepSpec& spec)
      : k_(spec.kernels),
        a_(pool_args_of(spec.first(), spec.input())),
        pool_(spec.first().op == Op::adaptive_max_pool2d ? Pool::max : Pool::average) {
    reads_src = spec.wants_backward && pool_ == Pool::max;
  }
  void forward(const BlockRun& run) override { k_->lanes_pool.adaptive(a_, pool_, run.src[0], run.dst); }
  void backward(const BlockRun& run) override {
    k_->train.adaptive_dx(a_, pool_, run.src[0], run.grad, run.src_grad[0]);
  }

 private:
  const KernelTable* k_;
  PoolArgs a_;
  Pool pool_;
};

// ---------------------------------------------------------------- sums over images

// [image][channel], each image's by itself; added up in double in the order of the images, so that neither the
// threads nor the lanes matter.
class ImageSums {
 public:
  void reserve(int images, int channels) {
    channels_ = channels;
    const size_t floats = static_cast<size_t>(images) * static_cast<size_t>(channels);
    if (floats_.size() < floats) floats_ = AlignedFloats(floats);
  }
  // of the images of a part, [lanes]
  void put(const BlockRun& run, int channel, const float* values) {
    for (int lane = 0; lane < run.count; ++lane) at(run.first_image + lane, channel) = values[lane];
  }
  float& at(int image, int channel) {
    return floats_
        .data()[static_cast<size_t>(image) * static_cast<size_t>(channels_) + static_cast<size_t>(channel)];
  }
  double total(int images, int channel) {
    double sum = 0;
    for (int image = 0; image < images; ++image) sum += at(image, channel);
    return sum;
  }

 private:
  AlignedFloats floats_;
  int channels_ = 0;
};

// Of channels: dimension 0 of an image.
struct Channels {
  int count;
  size_t inner;  // elements of one
  explicit Channels(const Shape& shape)
      : count(static_cast<int>(shape.dims[0])),
        inner(static_cast<size_t>(shape.elements() / shape.dims[0])) {}
};

BinaryArgs by_channel(Binary f, const StepSpec& spec, int64_t operands) {
  BinaryArgs s = BinaryArgs();
  s.f = f;
  Shape operand = spec.output();
  for (int d = 1; d < operand.rank; ++d) operand.dims[d] = 1;
  operand.dims[0] = operands;
  set_strides(s, spec.output(), {spec.output(), true}, {operand, false},
              static_cast<size_t>(spec.kernels->lanes));
  return s;
}

class PReluStep : public TrainStep {
 public:
  explicit PReluStep(const StepSpec& spec)
      : k_(spec.kernels),
        channels_(spec.output()),
        slopes_(static_cast<int>(spec.first().weight.length)),
        args_(by_channel(Binary::prelu, spec, slopes_)),
        packed_(static_cast<size_t>(slopes_)) {
    weight = spec.weight;
    rows = slopes_;
    row_length = 1;
    parts = {0, slopes_};
    reads_src = spec.wants_backward;
  }
  void forward(const BlockRun& run) override {
    k_->binary(args_, run.src[0], packed_.data(), packed_.data(), run.dst);
  }
  void backward(const BlockRun& run) override {
    const size_t step = channels_.inner * static_cast<size_t>(k_->lanes);
    for (int c = 0; c < channels_.count; ++c) {
      const size_t at = static_cast<size_t>(c) * step;
      float sums[train_block_images];
      float* const dx = run.src_grad[0] != nullptr ? run.src_grad[0] + at : nullptr;
      k_->train.prelu_dx(channels_.inner, packed_.data()[slopes_ == 1 ? 0 : c], run.src[0] + at,
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

// By the batch's statistics: each image's mean and squares first, then (one thread) the batch's from them, then the
// values; backward likewise. Not training: by the running ones, in one round.
class BatchNormStep : public TrainStep {
 public:
  explicit BatchNormStep(const StepSpec& spec)
      : k_(spec.kernels),
        channels_(spec.output()),
        training_(spec.first().training),
        epsilon_(spec.first().epsilon),
        momentum_(spec.first().momentum),
        mean_of_(spec.mean),
        variance_of_(spec.variance),
        args_(by_channel(Binary::affine, spec, channels_.count)) {
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

  void forward(const BlockRun&) override {}
  void backward(const BlockRun&) override {}

  void forward_round(const BlockRun& run, int round) override {
    const size_t n = static_cast<size_t>(rows);
    if (!training_) {
      fix(run);
      k_->binary(args_, run.src[0], run.scratch, run.scratch + n, run.dst);
    } else if (round == 0) {
      each(run, [&](int c, size_t at) {
        float mean[train_block_images], squares[train_block_images];
        k_->train.moments(channels_.inner, run.src[0] + at, mean, squares);
        means_.put(run, c, mean);
        squares_.put(run, c, squares);
      });
    } else {
      k_->binary(args_, run.src[0], scale_.data(), shift_.data(), run.dst);
    }
  }

  void backward_round(const BlockRun& run, int round) override {
    float* const dx = run.src_grad[0];
    if (round == 0) {
      if (!training_) fix(run);
      const size_t n = static_cast<size_t>(rows);
      const float* const mean = training_ ? mean_.data() : run.scratch + 2 * n;
      const float* const factor = training_ ? factor_.data() : run.scratch + 3 * n;
      each(run, [&](int c, size_t at) {
        float of_grad[train_block_images], of_both[train_block_images];
        k_->train.norm_sums(channels_.inner, run.src[0] + at, run.grad + at, mean[c], factor[c], of_grad,
                            of_both);
        of_grad_.put(run, c, of_grad);
        of_both_.put(run, c, of_both);
        if (!training_ && dx != nullptr)
          k_->train.norm_dx(channels_.inner, run.src[0] + at, run.grad + at, 0, run.scratch[c], 0, 0,
                            dx + at);
      });
    } else if (dx != nullptr) {
      each(run, [&](int c, size_t at) {
        const size_t i = static_cast<size_t>(c);
        k_->train.norm_dx(channels_.inner, run.src[0] + at, run.grad + at, mean_[i], a_[i], b_[i], c_[i],
                          dx + at);
        // lanes without an image have no gradient, though their share of the batch's would be one
        for (size_t j = 0; run.count < k_->lanes && j < channels_.inner; ++j) {
          for (int lane = run.count; lane < k_->lanes; ++lane)
            dx[at + j * static_cast<size_t>(k_->lanes) + static_cast<size_t>(lane)] = 0.0f;
        }
      });
    }
  }

  void meet(bool backward, int, int batch, const float*) override {
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

  void move_statistics(const float* now, float* next) const override {
    if (!training_) return;
    const double m = momentum_, unbiased = count_ > 1 ? count_ / (count_ - 1) : 1;
    for (size_t i = 0; i < static_cast<size_t>(rows); ++i) {
      const size_t mean = mean_of_.offset + i, variance = variance_of_.offset + i;
      next[mean] = static_cast<float>((1 - m) * now[mean] + m * mean_[i]);
      next[variance] = static_cast<float>((1 - m) * now[variance] + m * variance_[i] * unbiased);
    }
  }

 private:
  template <class Body>
  void each(const BlockRun& run, Body body) const {
    const size_t step = channels_.inner * static_cast<size_t>(run.kernels->lanes);
    for (int c = 0; c < rows; ++c) body(c, static_cast<size_t>(c) * step);
  }

  // scratch: scale, shift, mean, factor of the running statistics; a plan's arithmetic
  void fix(const BlockRun& run) const {
    const size_t n = static_cast<size_t>(rows);
    for (size_t i = 0; i < n; ++i) {
      const float mean = run.weights[mean_of_.offset + i], variance = run.weights[variance_of_.offset + i];
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

// A constant that is trained: the same for every image.
class ConstantStep : public TrainStep {
 public:
  explicit ConstantStep(const StepSpec& spec)
      : k_(spec.kernels), values_(static_cast<size_t>(spec.output().elements())) {
    weight = spec.weight;
    rows = static_cast<int>(values_.size());
    row_length = 1;
    parts = {0, rows};
  }
  void forward(const BlockRun& run) override {
    float* to = run.dst;
    for (float value : values_) {
      for (int lane = 0; lane < k_->lanes; ++lane) *to++ = value;
    }
  }
  void backward(const BlockRun& run) override {
    for (int i = 0; i < rows; ++i)
      sums_.put(run, i, run.grad + static_cast<size_t>(i) * static_cast<size_t>(k_->lanes));
  }
  void reserve(int batch, int) override { sums_.reserve(batch, rows); }
  void pack_weight(const float* w, int) override { values_.assign(w, w + rows); }
  void weight_gradient(int batch, int begin, int end, float* dw) override {
    for (int i = begin; i < end; ++i) dw[i - begin] = static_cast<float>(sums_.total(batch, i));
  }

 private:
  const KernelTable* k_;
  std::vector<float> values_;
  ImageSums sums_;
};

}  // namespace

std::unique_ptr<TrainStep> make_value_step(const StepSpec& spec) {
  const Op op = spec.first().op;
  TrainStep* step = nullptr;
  switch (op) {
    case Op::sub:
    case Op::add:
    case Op::mul:
    case Op::div: step = new BinaryStep(spec); break;
    case Op::permute:
    case Op::slice:
    case Op::pad: step = new MoveStep(spec); break;
    case Op::adaptive_avg_pool2d:
    case Op::adaptive_max_pool2d: step = new AdaptivePoolStep(spec); break;
    case Op::prelu: step = new PReluStep(spec); break;
    case Op::batch_norm: step = new BatchNormStep(spec); break;
    case Op::constant: step = new ConstantStep(spec); break;
    default:
      if (activation_of(op) != Activation::none) step = new FunctionStep(spec);
      break;
  }
  return std::unique_ptr<TrainStep>(step);
}

}  // namespace kernelet
