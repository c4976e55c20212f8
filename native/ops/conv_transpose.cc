// convTranspose2d: src [ic][ih][iw] -> dst [oc][oh][ow], weight [ic][oc / groups][kh][kw], and a ReLU that shares its
// step. It is a convolution's way back, its adjoint: training goes back by convolving forward.
#include <algorithm>

#include "block_sums.h"
#include "definition.h"
#include "weighted.h"
#include "window.h"

namespace kernelet {
namespace {

class TransposedStep : public WeightedStep {
 public:
  ConvArgs args = ConvArgs();
  const TransposedConv* kernel = nullptr;
  int32_t width = 1;

  void run(StepRun& run) const override { kernel->run(args, width, run.src(0), run.dst(), run.scratch); }
  size_t weights_size() const override { return kernel->weights_size(args); }
  size_t bias_size() const override { return static_cast<size_t>(args.oc); }
  size_t scratch_size() const override { return kernel->scratch_size(args, width); }
  size_t outputs() const override { return static_cast<size_t>(args.oc); }
  void pack(const float* from, float* weights) const override {
    kernel->pack(args, 0, args.ic, from, weights);
  }
  void place(const float* weights, const float* bias) override {
    args.weights = weights;
    args.bias = bias;
  }
};

// The same over blocks of channels.
class BlockedTransposedStep : public WeightedStep {
 public:
  BlockedTransposedStep(const ConvArgs& args, const KernelTable& k)
      : args_(args), dense_(k.blocked_transposed_conv.dense(args)), k_(k) {}

  void run(StepRun& run) const override { run_part(run, 0, 0, 1); }
  int phases() const override { return 1; }
  void run_part(StepRun& run, int phase, int part, int parts) const override {
    k_.blocked_conv.run_part(dense_, run.src(0), run.dst(), run.scratch, phase, part, parts);
  }
  void share(int parts) override { dense_.parts = parts; }
  size_t weights_size() const override { return k_.blocked_conv.weights_size(dense_); }
  size_t bias_size() const override { return outputs(); }
  size_t scratch_size() const override { return k_.blocked_conv.scratch_size(dense_); }
  size_t outputs() const override { return static_cast<size_t>(args_.oc); }
  void pack(const float* from, float* weights) const override {
    k_.blocked_transposed_conv.pack(args_, from, weights);
  }
  void place(const float* weights, const float* bias) override {
    k_.blocked_conv.taps(dense_, tap_);
    dense_.taps = tap_;
    dense_.weights = weights;
    const size_t places = static_cast<size_t>(args_.kh) * static_cast<size_t>(args_.kw);
    biases_.assign(static_cast<size_t>(dense_.oc), 0.0f);
    for (size_t i = 0; i < places; ++i)
      std::copy_n(bias, outputs(), biases_.begin() + static_cast<ptrdiff_t>(i * (biases_.size() / places)));
    dense_.bias = biases_.data();
  }

 private:
  ConvArgs args_, dense_;
  const KernelTable& k_;
  int32_t tap_[2] = {};
  std::vector<float> biases_;  // for each place of the window
};

Shape shape(const Node& node, const InputShapes& inputs) {
  const Shape& original = *inputs[0];
  check_window(node);
  check_range(node, "groups", node.groups, 1);
  const Shape in = image_of(node, original);
  const int64_t oc = node.shape.rank == original.rank ? node.shape.dims[0] : 0;
  if (in.dims[0] % node.groups != 0 || oc < 1 || oc % node.groups != 0) {
    bad_shape(node, {"channels divisible by groups=", node.groups}, {in.dims[0], " in, ", oc, " out"});
  }
  Shape weight, out, padded = in, full = in;
  weight.rank = 4;
  weight.dims[0] = in.dims[0];
  weight.dims[1] = oc / node.groups;
  out.rank = 3;
  out.dims[0] = oc;
  for (int i = 0; i < 2; ++i) {
    check_range(node, "outputPadding", node.output_padding[i], 0);
    const int64_t most = std::max(node.stride[i], node.dilation[i]) - 1;
    if (node.output_padding[i] > most) {
      fail("ERR_ARGUMENT", {node.name, ": expected an outputPadding below stride or dilation, at most ", most,
                            ", but received ", node.output_padding[i]});
    }
    weight.dims[2 + i] = node.kernel[i];
    const int64_t reach = static_cast<int64_t>(node.dilation[i]) * (node.kernel[i] - 1);
    const int64_t size = (in.dims[1 + i] - 1) * node.stride[i] + reach + 1 + node.output_padding[i];
    out.dims[1 + i] = size - node.padding[i] - node.padding[2 + i];
    // an output may be made of padding alone, but not of less
    if (out.dims[1 + i] < 1) bad_shape(node, {"padding of less than ", size}, {size - out.dims[1 + i]});
    padded.dims[1 + i] += (reach + size) / node.stride[i] + 2;
    full.dims[1 + i] = size;
  }
  weight.check(node.name + " weight");
  check_length(node, "weight", node.weight, weight.elements());
  if (node.bias.data != nullptr) check_length(node, "bias", node.bias, oc);
  padded.check(node.name + " padded input");
  full.dims[0] = oc;
  full.check(node.name + " padded output");
  return like(original, out);
}

bool fuses(const Graph&, const std::vector<int>& nodes, const Node& next, const FusionRules&) {
  return nodes.size() == 1 && next.op == Op::relu;
}

ConvArgs args_of(const StepSpec& spec) {
  const Node& node = spec.first();
  ConvArgs a = ConvArgs();
  const Shape in = as_image(spec.input()), out = as_image(node.shape);
  a.ic = int_of(in.dims[0]);
  a.ih = int_of(in.dims[1]);
  a.iw = int_of(in.dims[2]);
  a.oc = int_of(out.dims[0]);
  a.oh = a.ph = int_of(out.dims[1]);
  a.ow = a.pw = int_of(out.dims[2]);
  set_window(a, node);
  a.groups = node.groups;
  a.epilogue.after = fused_activation(spec);
  return a;
}

TransposedStep* make_step(const StepSpec& spec) {
  TransposedStep* const step = new TransposedStep;
  step->args = args_of(spec);
  step->kernel = &spec.kernels->transposed_conv;
  step->width = int_of(static_cast<int64_t>(spec.width()));
  return step;
}

void plan(const StepSpec& spec, PlannedStep& planned) {
  const ConvArgs a = args_of(spec);
  if (spec.layout == Layout::blocked) planned.step.reset(new BlockedTransposedStep(a, *spec.kernels));
  else planned.step.reset(make_step(spec));
  planned.algorithm = "phases";
  planned.problem = window_problem(spec.first(), as_image(spec.input()), as_image(spec.first().shape));
  planned.macs = int64_t{a.ic} * a.ih * a.iw * (a.oc / a.groups) * a.kh * a.kw;
  planned.has_bias = spec.first().bias.data != nullptr;
}

bool blocked(const StepSpec& spec) { return spec.kernels->blocked_transposed_conv.fits(args_of(spec)); }

// ---------------------------------------------------------------- training

// The convolution of which this is the way back: from our outputs to our inputs.
ConvArgs adjoint(const ConvArgs& a) {
  ConvArgs b = a;
  b.epilogue = Epilogue();
  b.ic = a.oc;
  b.ih = a.oh;
  b.iw = a.ow;
  b.oc = a.ic;
  b.oh = b.ph = a.ih;
  b.ow = b.pw = a.iw;
  return b;
}

class TransposedTraining : public TrainStep {
 public:
  explicit TransposedTraining(const TrainSpec& spec) : k_(spec.kernels), forward_(make_step(spec)) {
    step_.reset(forward_);
    ConvArgs& a = forward_->args;
    back_ = adjoint(a);
    weight = spec.weight;
    bias = spec.bias;
    rows = a.ic;
    row_length = int64_t{a.oc / a.groups} * a.kh * a.kw;
    const int group = a.ic / a.groups;
    for (int g = 0; g < a.groups; ++g) add_row_parts(parts, g * group, group, k_->batched_conv.tile_rows);
    parts.push_back(rows);
    packed_ = zeros(forward_->weights_size());
    packed_bias_ = zeros(static_cast<size_t>(a.oc));
    a.weights = packed_.data();
    a.bias = packed_bias_.data();
    scratch_floats = forward_->scratch_size();
    activation_ = a.epilogue.after.f;
    if (!spec.wants_backward) return;
    reads_src = weight.trained;
    reads_dst = activation_ != Activation::none;
    packed_back_ = zeros(k_->batched_conv.weights_size(back_));
    no_bias_ = zeros(static_cast<size_t>(a.ic));
    back_.weights = packed_back_.data();
    back_.bias = no_bias_.data();
    grad_floats_ = spec.floats_of(spec.output());
    scratch_floats = std::max({scratch_floats, k_->batched_conv.scratch_size(back_),
                               k_->train.conv_dw_scratch(back_), static_cast<size_t>(a.oc) * spec.width()});
    bias_at_ = AlignedFloats::round_up(static_cast<size_t>(rows * row_length));
    sums_.open(*k_, bias_at_ + AlignedFloats::round_up(static_cast<size_t>(a.oc)));
  }

  void backward(BlockRun& run, int) override {
    const ConvArgs& a = forward_->args;
    if (activation_ != Activation::none)
      k_->train.activate_dx(activation_, grad_floats_, run.dst(), run.grad, run.grad);
    if (run.src_grad(0) != nullptr) k_->batched_conv.run(back_, run.grad, run.src_grad(0), run.scratch);
    if (!weight.trained && !bias.trained) return;
    float* const to = sums_.slot(run);
    if (weight.trained) k_->train.conv_dw(back_, run.grad, run.src(0), to, nullptr, run.scratch);
    if (bias.trained) {
      const size_t pixels = static_cast<size_t>(a.oh) * static_cast<size_t>(a.ow);
      k_->train.channel_sums(a.oc, pixels, run.grad, to + bias_at_, run.scratch);
    }
    sums_.add_part(run);
  }

  void absent(BlockRun& run) override {
    if (weight.trained || bias.trained) sums_.absent(run);
  }
  void reserve(int batch, int threads) override {
    if (weight.trained || bias.trained) sums_.reserve(batch, threads);
  }

  void pack_weight(const float* w, int part) override {
    const int begin = parts[static_cast<size_t>(part)], end = parts[static_cast<size_t>(part) + 1];
    forward_->kernel->pack(forward_->args, begin, end, w, packed_.data());
    if (packed_back_.size() == 0) return;
    const size_t at = static_cast<size_t>(begin) * static_cast<size_t>(row_length);
    k_->train.pack_rows(end - begin, static_cast<int32_t>(row_length), w + at, packed_back_.data() + at);
  }
  void pack_bias(const float* b) override { copy_bias(b, packed_bias_.size(), packed_bias_.data()); }

  void weight_gradient(int batch, int begin, int end, float* dw) override {
    const size_t length = static_cast<size_t>(row_length);
    sums_.total(batch, static_cast<size_t>(begin) * length, static_cast<size_t>(end - begin) * length, dw);
  }
  void bias_gradient(int batch, float* db) override {
    sums_.total(batch, bias_at_, static_cast<size_t>(forward_->args.oc), db);
  }

 private:
  const KernelTable* k_;
  TransposedStep* forward_;
  ConvArgs back_;
  Activation activation_;
  AlignedFloats packed_, packed_bias_, packed_back_, no_bias_;
  size_t grad_floats_ = 0;
  BlockSums sums_;      // dW, then db
  size_t bias_at_ = 0;  // where db begins
};

}  // namespace

const OpDefinition ops::conv_transpose = {
    1,
    weight_attribute | bias_attribute | window_attributes | groups_attribute | output_padding_attribute,
    shape,
    plan,
    make_train_step<TransposedTraining>,
    fuses,
    View::never,
    blocked};

}  // namespace kernelet
