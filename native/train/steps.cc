// The steps of a training program, a class an operation, and the table of them at the end.
#include <algorithm>
#include <cstring>

#include "ops/kernel_args.h"
#include "plan/fuse.h"
#include "step.h"

namespace kernelet {
namespace {

size_t lanes_of(const StepSpec& spec) { return static_cast<size_t>(spec.kernels->lanes); }
size_t floats_of(const StepSpec& spec, const Shape& shape) {
  return static_cast<size_t>(shape.elements()) * lanes_of(spec);
}

// n rows in the fewest parts of at most `most`, as kernels/conv_common.h cuts them.
void add_parts(std::vector<int>& parts, int begin, int n, int most) {
  const int count = (n + most - 1) / most, unit = most % 2 == 0 ? 2 : 1, units = (n + unit - 1) / unit;
  for (int part = 0; part < count; ++part)
    parts.push_back(begin + unit * (part * (units / count) + std::min(part, units % count)));
}

void copy_bias(const float* bias, int n, float* to) {
  // adding +0 takes the sign off a bias of -0, as plans do
  for (int i = 0; i < n; ++i) to[i] = bias[i] + 0.0f;
}

// ---------------------------------------------------------------- convolution

// conv2d, then an activation, or a 2x2 maximum before or after a ReLU. Backward makes the gradient of the sums
// first, then dX and dW from it.
class ConvStep : public TrainStep {
 public:
  explicit ConvStep(const StepSpec& spec) : k_(spec.kernels) {
    for (size_t i = 1; i < spec.nodes.size(); ++i) {
      const Op op = spec.graph->nodes[static_cast<size_t>(spec.nodes[i])].op;
      if (op == Op::max_pool2d) pooled_ = true;
      else activation_ = activation_of(op);
    }
    Epilogue epilogue = Epilogue();
    epilogue.pool = pooled_ ? Pool::max : Pool::none;
    epilogue.after.f = activation_;
    a_ = conv_args_of(spec.first(), spec.input(), spec.output(), epilogue);
    weight = spec.weight;
    bias = spec.bias;
    rows = a_.oc;
    row_length = int64_t{a_.ic / a_.groups} * a_.kh * a_.kw;
    for (int g = 0; g < a_.groups; ++g)
      add_parts(parts, g * (a_.oc / a_.groups), a_.oc / a_.groups, k_->lanes_conv.tile_rows);
    parts.push_back(rows);
    packed_ = AlignedFloats(k_->lanes_conv.weights_size(a_));
    std::fill_n(packed_.data(), packed_.size(), 0.0f);  // the slack too
    packed_bias_ = AlignedFloats(static_cast<size_t>(a_.oc));
    std::fill_n(packed_bias_.data(), packed_bias_.size(), 0.0f);
    a_.weights = packed_.data();
    a_.bias = packed_bias_.data();
    grad_floats_ = static_cast<size_t>(a_.oc) * a_.oh * a_.ow * lanes_of(spec);
    scratch_floats = k_->lanes_conv.scratch_size(a_);
    if (pooled_) kept_floats = floats_of(spec, spec.output());
    if (!spec.wants_backward) return;
    reads_src = weight.trained || bias.trained;
    reads_dst = activation_ != Activation::none;
    if (pooled_) full_floats_ = AlignedFloats::round_up(grad_floats_);
    const size_t backward =
        full_floats_ + std::max(k_->train.conv_dx_scratch(a_), k_->train.conv_dw_scratch(a_));
    scratch_floats = std::max(scratch_floats, backward);
    bias_at_ = AlignedFloats::round_up(static_cast<size_t>(rows * row_length));
    sum_floats_ = bias_at_ + AlignedFloats::round_up(static_cast<size_t>(rows));
    for (int n = train_block_images / k_->lanes; n > 1; n /= 2) ++levels_;
  }

  void forward(const BlockRun& run) override {
    if (pooled_) k_->train.conv_max(a_, run.src[0], run.dst, run.kept, run.scratch);
    else k_->lanes_conv.run(a_, run.src[0], run.dst, run.scratch);
  }

  void backward(const BlockRun& run) override {
    const float* grad = run.grad;
    float* scratch = run.scratch;
    if (pooled_) {
      k_->train.conv_max_dx(a_, run.dst, run.kept, run.grad, scratch);
      grad = scratch;
      scratch += full_floats_;
    } else if (activation_ != Activation::none) {
      k_->train.activate_dx(activation_, grad_floats_, run.dst, run.grad, run.grad);
    }
    if (run.src_grad[0] != nullptr) {
      k_->train.conv_dx(a_, run.weights + weight.offset, grad, run.src_grad[0], scratch);
    }
    if (weight.trained || bias.trained) {
      float* const to = slot(run);
      k_->train.conv_dw(a_, run.src[0], grad, to, bias.trained ? to + bias_at_ : nullptr, scratch);
      add_part(run);
    }
  }

  void absent(const BlockRun& run) override {
    if (!weight.trained && !bias.trained) return;
    std::fill_n(slot(run), sum_floats_, 0.0f);
    add_part(run);
  }

  void reserve(int batch, int threads) override {
    if (!weight.trained && !bias.trained) return;
    const size_t blocks = static_cast<size_t>((batch + train_block_images - 1) / train_block_images);
    if (sums_.size() < blocks * sum_floats_) sums_ = AlignedFloats(blocks * sum_floats_);
    const size_t slots = static_cast<size_t>(threads) * levels_ * sum_floats_;
    if (slots_.size() < slots) slots_ = AlignedFloats(slots);
  }

  void pack_weight(const float* w, int part) override {
    const size_t begin =
        static_cast<size_t>(parts[static_cast<size_t>(part)]) * static_cast<size_t>(row_length);
    k_->train.pack_rows(parts[static_cast<size_t>(part) + 1] - parts[static_cast<size_t>(part)],
                        static_cast<int32_t>(row_length), w + begin, packed_.data() + begin);
  }
  void pack_bias(const float* b) override { copy_bias(b, a_.oc, packed_bias_.data()); }

  void weight_gradient(int batch, int begin, int end, float* dw) override {
    const size_t from = static_cast<size_t>(begin) * static_cast<size_t>(row_length);
    add_blocks(batch, from, static_cast<size_t>(end - begin) * static_cast<size_t>(row_length), dw);
  }
  void bias_gradient(int batch, float* db) override {
    add_blocks(batch, bias_at_, static_cast<size_t>(rows), db);
  }

 private:
  // Sums of a block's parts meet as the lanes of a register do: 0 and 1, 2 and 3, then those two. Part p waits in
  // the slot of as many levels as its number ends in ones; the last one comes out as the block's.
  float* slot(const BlockRun& run) const { return level(run, trailing_ones(run.part)); }
  float* level(const BlockRun& run, int level) const {
    if (level >= levels_) return sums_.data() + static_cast<size_t>(run.block) * sum_floats_;
    return slots_.data() +
           (static_cast<size_t>(run.thread) * static_cast<size_t>(levels_) + static_cast<size_t>(level)) *
               sum_floats_;
  }
  static int trailing_ones(int n) {
    int count = 0;
    for (; n & 1; n >>= 1) ++count;
    return count;
  }
  void add_part(const BlockRun& run) const {
    float* const sum = slot(run);
    for (int i = 0; i < trailing_ones(run.part); ++i) k_->add(sum_floats_, level(run, i), sum, sum);
  }

  void add_blocks(int batch, size_t from, size_t n, float* to) const {
    const int blocks = (batch + train_block_images - 1) / train_block_images;
    std::memcpy(to, sums_.data() + from, n * sizeof(float));
    for (int b = 1; b < blocks; ++b)
      k_->add(n, to, sums_.data() + static_cast<size_t>(b) * sum_floats_ + from, to);
  }

  const KernelTable* k_;
  ConvArgs a_;
  bool pooled_ = false;
  Activation activation_ = Activation::none;
  AlignedFloats packed_, packed_bias_;
  size_t grad_floats_ = 0, full_floats_ = 0;
  size_t sum_floats_ = 0, bias_at_ = 0;  // dW and db of a block, and where db begins
  int levels_ = 0;
  AlignedFloats sums_, slots_;  // of every block; of parts of blocks
};

// ---------------------------------------------------------------- linear

// linear, then an activation.
class LinearStep : public TrainStep {
 public:
  explicit LinearStep(const StepSpec& spec) : k_(spec.kernels) {
    if (spec.nodes.size() > 1) activation_ = activation_of(spec.last().op);
    a_ = linear_args_of(spec.input(), spec.output(), {activation_, 0, 0});
    weight = spec.weight;
    bias = spec.bias;
    rows = a_.out;
    row_length = a_.in;
    add_parts(parts, 0, rows, k_->lanes_linear.tile_rows);
    parts.push_back(rows);
    packed_ = AlignedFloats(k_->lanes_linear.weights_size(a_));
    std::fill_n(packed_.data(), packed_.size(), 0.0f);
    packed_bias_ = AlignedFloats(k_->lanes_linear.bias_size(a_));
    std::fill_n(packed_bias_.data(), packed_bias_.size(), 0.0f);
    a_.weights = packed_.data();
    a_.bias = packed_bias_.data();
    dst_floats_ = static_cast<size_t>(a_.rows) * static_cast<size_t>(a_.out) * lanes_of(spec);
    reads_src = spec.wants_backward && weight.trained;
    reads_dst = spec.wants_backward && activation_ != Activation::none;
  }

  void forward(const BlockRun& run) override { k_->lanes_linear.run(a_, run.src[0], run.dst); }

  void backward(const BlockRun& run) override {
    float* grad = run.grad;
    if (weight.trained || bias.trained) {
      // by lanes, not by blocks: the part's place among all parts of the batch
      grad = grads_.data() + static_cast<size_t>(run.first_image / k_->lanes) * dst_floats_;
      k_->train.activate_dx(activation_, dst_floats_, run.dst, run.grad, grad);
    } else if (activation_ != Activation::none) {
      k_->train.activate_dx(activation_, dst_floats_, run.dst, run.grad, grad);
    }
    if (run.src_grad[0] != nullptr)
      k_->train.linear_dx(a_, run.weights + weight.offset, grad, run.src_grad[0]);
    if (weight.trained) {
      k_->train.linear_panels(gradient_args(run.batch), run.first_image, run.count, run.src[0],
                              panels_.data());
    }
  }

  void reserve(int batch, int) override {
    if (!weight.trained && !bias.trained) return;
    const size_t parts = static_cast<size_t>((batch + k_->lanes - 1) / k_->lanes);
    if (grads_.size() < parts * dst_floats_) grads_ = AlignedFloats(parts * dst_floats_);
    const size_t panels = weight.trained ? k_->train.linear_panel_size(gradient_args(batch)) : 0;
    if (panels_.size() < panels) panels_ = AlignedFloats(panels);
  }

  void pack_weight(const float* w, int part) override {
    const int begin = parts[static_cast<size_t>(part)];
    const size_t at = static_cast<size_t>(begin) * static_cast<size_t>(row_length);
    k_->train.pack_rows(parts[static_cast<size_t>(part) + 1] - begin, a_.in, w + at, packed_.data() + at);
  }
  void pack_bias(const float* b) override { copy_bias(b, a_.out, packed_bias_.data()); }

  void weight_gradient(int batch, int begin, int end, float* dw) override {
    k_->train.linear_dw(gradient_args(batch), begin, end, dw, nullptr);
  }
  void bias_gradient(int batch, float* db) override {
    k_->train.linear_dw(gradient_args(batch), 0, rows, nullptr, db);
  }

 private:
  LinearGradArgs gradient_args(int batch) const {
    return {batch, a_.rows, a_.in, a_.out, panels_.data(), grads_.data()};
  }

  const KernelTable* k_;
  LinearArgs a_;
  Activation activation_ = Activation::none;
  AlignedFloats packed_, packed_bias_;
  size_t dst_floats_ = 0;
  AlignedFloats panels_, grads_;  // of the whole batch: the kernels say how
};

// ---------------------------------------------------------------- the rest

class PoolStep : public TrainStep {
 public:
  explicit PoolStep(const StepSpec& spec)
      : k_(spec.kernels),
        a_(pool_args_of(spec.first(), spec.input())),
        max_(spec.first().op == Op::max_pool2d) {
    reads_src = max_ && spec.wants_backward;
  }
  void forward(const BlockRun& run) override {
    (max_ ? k_->lanes_pool.max : k_->lanes_pool.average)(a_, run.src[0], run.dst);
  }
  void backward(const BlockRun& run) override {
    if (max_) k_->train.max_pool_dx(a_, run.src[0], run.grad, run.src_grad[0]);
    else k_->train.avg_pool_dx(a_, run.grad, run.src_grad[0]);
  }

 private:
  const KernelTable* k_;
  PoolArgs a_;
  bool max_;
};

class ActivationStep : public TrainStep {
 public:
  explicit ActivationStep(const StepSpec& spec)
      : k_(spec.kernels), f_(activation_of(spec.first().op)), n_(floats_of(spec, spec.output())) {
    reads_dst = spec.wants_backward;
  }
  void forward(const BlockRun& run) override { k_->activate({f_, 0, 0}, n_, run.src[0], run.dst); }
  void backward(const BlockRun& run) override {
    k_->train.activate_dx(f_, n_, run.dst, run.grad, run.src_grad[0]);
  }

 private:
  const KernelTable* k_;
  Activation f_;
  size_t n_;
};

class SoftmaxStep : public TrainStep {
 public:
  explicit SoftmaxStep(const StepSpec& spec)
      : k_(spec.kernels), a_(softmax_args_of(spec.first(), k_->lanes)) {
    reads_dst = spec.wants_backward;
  }
  void forward(const BlockRun& run) override { k_->softmax(a_, run.src[0], run.dst); }
  void backward(const BlockRun& run) override {
    k_->train.softmax_dx(a_, run.dst, run.grad, run.src_grad[0]);
  }

 private:
  const KernelTable* k_;
  SoftmaxArgs a_;
};

class ConcatStep : public TrainStep {
 public:
  explicit ConcatStep(const StepSpec& spec) {
    const Node& node = spec.first();
    for (int i = 0; i < node.axis; ++i) outer_ *= static_cast<size_t>(node.shape.dims[i]);
    for (size_t i = 0; i < node.inputs.size(); ++i)
      lengths_.push_back(floats_of(spec, spec.input(i)) / outer_);
  }
  void forward(const BlockRun& run) override {
    float* to = run.dst;
    for (size_t row = 0; row < outer_; ++row) {
      for (size_t i = 0; i < lengths_.size(); ++i) {
        std::memcpy(to, run.src[i] + row * lengths_[i], lengths_[i] * sizeof(float));
        to += lengths_[i];
      }
    }
  }
  void backward(const BlockRun& run) override {
    const float* from = run.grad;
    for (size_t row = 0; row < outer_; ++row) {
      for (size_t i = 0; i < lengths_.size(); ++i) {
        if (run.src_grad[i] != nullptr)
          std::memcpy(run.src_grad[i] + row * lengths_[i], from, lengths_[i] * sizeof(float));
        from += lengths_[i];
      }
    }
  }

 private:
  size_t outer_ = 1;
  std::vector<size_t> lengths_;
};

// Backward draws the same numbers again.
class DropoutStep : public TrainStep {
 public:
  explicit DropoutStep(const StepSpec& spec)
      : k_(spec.kernels),
        n_(static_cast<size_t>(spec.output().elements())),
        p_(spec.first().p),
        node_(spec.nodes[0]) {}
  void forward(const BlockRun& run) override { k_->train.dropout(args(run), n_, run.src[0], run.dst); }
  void backward(const BlockRun& run) override { k_->train.dropout(args(run), n_, run.grad, run.src_grad[0]); }

 private:
  // SplitMix64 over seed, step and node.
  DropoutArgs args(const BlockRun& run) const {
    uint64_t z = run.seed;
    for (const uint64_t word : {run.step, static_cast<uint64_t>(node_)}) {
      z = (z ^ word) + 0x9e3779b97f4a7c15u;
      z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
      z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
      z ^= z >> 31;
    }
    return {p_, static_cast<uint32_t>(z), static_cast<uint32_t>(run.first_image)};
  }

  const KernelTable* k_;
  size_t n_;
  float p_;
  int node_;
};

template <class Step>
std::unique_ptr<TrainStep> make(const StepSpec& spec) {
  return std::unique_ptr<TrainStep>(new Step(spec));
}

// Operations that can be trained through.
struct Entry {
  Op op;
  std::unique_ptr<TrainStep> (*make)(const StepSpec&);
};

constexpr Entry entries[] = {
    {Op::conv2d, make<ConvStep>},         {Op::linear, make<LinearStep>},
    {Op::max_pool2d, make<PoolStep>},     {Op::avg_pool2d, make<PoolStep>},
    {Op::relu, make<ActivationStep>},     {Op::tanh, make<ActivationStep>},
    {Op::sigmoid, make<ActivationStep>},  {Op::softmax, make<SoftmaxStep>},
    {Op::log_softmax, make<SoftmaxStep>}, {Op::concat, make<ConcatStep>},
    {Op::dropout, make<DropoutStep>},
};

}  // namespace

std::unique_ptr<TrainStep> make_train_step(const StepSpec& spec) {
  for (const Entry& entry : entries) {
    if (entry.op != spec.first().op) continue;
    std::unique_ptr<TrainStep> step = entry.make(spec);
    step->first_node = spec.nodes[0];
    return step;
  }
  if (std::unique_ptr<TrainStep> step = make_value_step(spec)) {
    step->first_node = spec.nodes[0];
    return step;
  }
  fail("ERR_UNSUPPORTED",
       {spec.first().name, ": ", op_name(spec.first().op), " has no backward: it cannot be trained through"});
}

}  // namespace kernelet
