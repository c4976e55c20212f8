// conv2d: src [ic][ih][iw] -> dst [oc][oh][ow], and what shares its step: a ReLU and a 2x2 maximum, in either order.
#include "conv.h"

#include <algorithm>

#include "batch_norm.h"
#include "block_sums.h"
#include "definition.h"
#include "pieces.h"
#include "window.h"

namespace kernelet {
namespace {

// ---------------------------------------------------------------- shape

Shape shape(const Node& node, const InputShapes& inputs) {
  const Shape& original = *inputs[0];
  check_window(node);
  check_range(node, "groups", node.groups, 1);
  const Shape in = image_of(node, original);
  const int64_t oc = node.shape.rank == original.rank ? node.shape.dims[0] : 0;
  if (in.dims[0] % node.groups != 0 || oc < 1 || oc % node.groups != 0) {
    bad_shape(node, {"channels divisible by groups=", node.groups}, {in.dims[0], " in, ", oc, " out"});
  }
  Shape weight;
  weight.rank = 4;
  weight.dims[0] = oc;
  weight.dims[1] = in.dims[0] / node.groups;
  weight.dims[2] = node.kernel[0];
  weight.dims[3] = node.kernel[1];
  weight.check(node.name + " weight");
  check_length(node, "weight", node.weight, weight.elements());
  if (node.bias.data != nullptr) check_length(node, "bias", node.bias, oc);
  Shape padded = in;
  for (int i = 0; i < 2; ++i) padded.dims[1 + i] += node.padding[i] + node.padding[2 + i];
  padded.check(node.name + " padded input");
  return like(original, window_shape(node, in, oc, false));
}

// ---------------------------------------------------------------- inference

// What the tile does in registers: a ReLU, a maximum, or both. They commute to the bit, so the ReLU runs once a
// window. Other functions and averages are faster in a pass of their own than row by row out of the tile.
// A tile of blocks takes more, in this order: batch norm, another value added, any activation, a maximum.
bool fuses_in_blocks(const Graph& graph, const std::vector<int>& nodes, const Node& next) {
  const Node& conv = graph.nodes[static_cast<size_t>(nodes[0])];
  bool plain = true, pooled = false, activated = false, added = false;
  for (size_t i = 1; i < nodes.size(); ++i) {
    const Node& node = graph.nodes[static_cast<size_t>(nodes[i])];
    pooled = pooled || node.op == Op::max_pool2d;
    activated = activated || is_activation(node);
    added = added || node.op == Op::add;
    plain = plain && node.op != Op::batch_norm && node.op != Op::add;
  }
  if (next.op == Op::max_pool2d) {
    const Shape& in = graph.nodes[static_cast<size_t>(nodes.back())].shape;
    // The value added has its own rows, and an odd last row or column: the tile walks it as it walks its own.
    const bool odd = in.dims[1] % 2 != 0 || in.dims[2] % 2 != 0;
    return !pooled && !(added && odd) && conv.groups == 1 && fits_tile(next, in);
  }
  // A ReLU behind the maximum may as well come before it, where no sum is -0.
  if (is_activation(next)) return !activated && (!pooled || (next.op == Op::relu && plain));
  if (pooled || activated) return false;
  if (next.op == Op::batch_norm) return nodes.size() == 1;
  if (next.op != Op::add || added) return false;
  // the other value has to be there before the convolution
  const int other = next.inputs[next.inputs[0] == nodes.back() ? 1 : 0];
  const Node& source = graph.nodes[static_cast<size_t>(other)];
  // neither of the two is repeated
  const Shape& own = graph.nodes[static_cast<size_t>(nodes.back())].shape;
  return other < nodes[0] && source.op != Op::constant && source.shape == next.shape && own == next.shape;
}

bool fuses(const Graph& graph, const std::vector<int>& nodes, const Node& next, const FusionRules& rules) {
  if (rules.blocked != nullptr && (*rules.blocked)[static_cast<size_t>(nodes[0])] != 0)
    return fuses_in_blocks(graph, nodes, next);
  if (next.op != Op::relu && next.op != Op::max_pool2d) return false;
  for (size_t i = 1; i < nodes.size(); ++i) {
    if (graph.nodes[static_cast<size_t>(nodes[i])].op == next.op) return false;
  }
  // (behind a sum in pieces it is little to do)
  const Node& conv = graph.nodes[static_cast<size_t>(nodes[0])];
  const int64_t channels = as_image(graph.nodes[static_cast<size_t>(conv.inputs[0])].shape).dims[0];
  if (next.op == Op::max_pool2d &&
      piece_of(channels / conv.groups, int64_t{conv.kernel[0]} * conv.kernel[1]) > 0)
    return false;
  return next.op == Op::relu || fits_tile(next, graph.nodes[static_cast<size_t>(nodes.back())].shape);
}

ConvArgs args_of(const StepSpec& spec) {
  const Node& node = spec.first();
  ConvArgs a = ConvArgs();
  a.epilogue.after = fused_activation(spec);
  for (size_t i = 1; i < spec.nodes->size(); ++i) {
    if (spec.node(i).op == Op::max_pool2d) a.epilogue.pool = Pool::max;
  }
  const Shape in = as_image(spec.input()), out = as_image(spec.output());
  // with a fused pool an odd last row or column of outputs is never read, so never computed
  const int32_t side = a.epilogue.pool == Pool::none ? 1 : 2;
  a.ic = int_of(in.dims[0]);
  a.ih = int_of(in.dims[1]);
  a.iw = int_of(in.dims[2]);
  a.oc = int_of(out.dims[0]);
  a.ph = int_of(out.dims[1]);
  a.pw = int_of(out.dims[2]);
  a.oh = side * a.ph;
  a.ow = side * a.pw;
  const Shape whole = as_image(spec.first().shape);
  a.odd_row = int_of(whole.dims[1]) - a.oh;
  a.odd_column = int_of(whole.dims[2]) - a.ow;
  set_window(a, node);
  a.groups = node.groups;
  a.piece = piece_of(a.ic / a.groups, int64_t{a.kh} * a.kw);
  return a;
}

void plan(const StepSpec& spec, PlannedStep& planned) {
  ConvStep* const step = new ConvStep;
  planned.step.reset(step);
  step->blocked = spec.layout == Layout::blocked;
  step->kernels = spec.kernels;
  step->width = spec.width();
  const ConvArgs& a = step->args = args_of(spec);
  planned.problem = window_problem(spec.first(), as_image(spec.input()), as_image(spec.first().shape));
  planned.macs = int64_t{a.oc} * a.oh * a.ow * (a.ic / a.groups) * a.kh * a.kw;
  planned.has_bias = spec.first().bias.data != nullptr;
  step->args.src_blocked = spec.src_layout == Layout::blocked;
  size_t sources = 1;  // in the order in which the pass that lowers lists them: values, then operands
  for (size_t i = 1; i < spec.nodes->size(); ++i) {
    if (spec.node(i).op == Op::add) step->residual_source = sources++;
  }
  for (size_t i = 1; i < spec.nodes->size(); ++i) {
    if (spec.node(i).op != Op::batch_norm) continue;
    step->scale_source = sources;
    sources += 2;
    add_scale_and_shift(spec.node(i), planned, step->bias_size());
  }
}

// ---------------------------------------------------------------- training

// Backward makes the gradient of the sums first, then dX and dW from it.
class ConvTraining : public TrainStep {
 public:
  explicit ConvTraining(const TrainSpec& spec) : k_(spec.kernels), conv_(new ConvStep) {
    step_.reset(conv_);
    conv_->algorithm = &k_->batched_conv;
    conv_->kernels = k_;
    conv_->width = spec.width();
    ConvArgs& a = conv_->args = args_of(spec);
    pooled_ = a.epilogue.pool != Pool::none;
    activation_ = a.epilogue.after.f;
    weight = spec.weight;
    bias = spec.bias;
    rows = a.oc;
    row_length = int64_t{a.ic / a.groups} * a.kh * a.kw;
    for (int g = 0; g < a.groups; ++g)
      add_row_parts(parts, g * (a.oc / a.groups), a.oc / a.groups, k_->batched_conv.tile_rows);
    parts.push_back(rows);
    packed_ = zeros(k_->batched_conv.weights_size(a));  // the slack too
    packed_bias_ = zeros(static_cast<size_t>(a.oc));
    a.weights = packed_.data();
    a.bias = packed_bias_.data();
    grad_floats_ = static_cast<size_t>(a.oc) * a.oh * a.ow * spec.width();
    scratch_floats = conv_->scratch_size();
    if (pooled_) saved_floats = spec.floats_of(spec.output());
    if (!spec.wants_backward) return;
    reads_src = weight.trained || bias.trained;
    reads_dst = activation_ != Activation::none;
    if (pooled_) full_floats_ = AlignedFloats::round_up(grad_floats_);
    const size_t backward =
        full_floats_ + std::max(k_->train.conv_dx_scratch(a), k_->train.conv_dw_scratch(a));
    scratch_floats = std::max(scratch_floats, backward);
    bias_at_ = AlignedFloats::round_up(static_cast<size_t>(rows * row_length));
    sums_.open(*k_, bias_at_ + AlignedFloats::round_up(static_cast<size_t>(rows)));
  }

  // A maximum of a window is saved with its corner, for backward.
  void forward(BlockRun& run, int) override {
    if (pooled_) k_->train.conv_max(conv_->args, run.src(0), run.dst(), run.saved, run.scratch);
    else step_->run(run);
  }

  void backward(BlockRun& run, int) override {
    const ConvArgs& a = conv_->args;
    const float* grad = run.grad;
    float* scratch = run.scratch;
    if (pooled_) {
      k_->train.conv_max_dx(a, run.dst(), run.saved, run.grad, scratch);
      grad = scratch;
      scratch += full_floats_;
    } else if (activation_ != Activation::none) {
      k_->train.activate_dx(activation_, grad_floats_, run.dst(), run.grad, run.grad);
    }
    if (run.src_grad(0) != nullptr) {
      k_->train.conv_dx(a, run.parameters + weight.offset, grad, run.src_grad(0), scratch);
    }
    if (weight.trained || bias.trained) {
      float* const to = sums_.slot(run);
      k_->train.conv_dw(a, run.src(0), grad, to, bias.trained ? to + bias_at_ : nullptr, scratch);
      sums_.add_part(run);
    }
  }

  void absent(BlockRun& run) override {
    if (weight.trained || bias.trained) sums_.absent(run);
  }

  void reserve(int batch, int threads) override {
    if (weight.trained || bias.trained) sums_.reserve(batch, threads);
  }

  void pack_weight(const float* w, int part) override {
    const size_t begin =
        static_cast<size_t>(parts[static_cast<size_t>(part)]) * static_cast<size_t>(row_length);
    k_->train.pack_rows(parts[static_cast<size_t>(part) + 1] - parts[static_cast<size_t>(part)],
                        static_cast<int32_t>(row_length), w + begin, packed_.data() + begin);
  }
  void pack_bias(const float* b) override { copy_bias(b, static_cast<size_t>(rows), packed_bias_.data()); }

  void weight_gradient(int batch, int begin, int end, float* dw) override {
    const size_t from = static_cast<size_t>(begin) * static_cast<size_t>(row_length);
    sums_.total(batch, from, static_cast<size_t>(end - begin) * static_cast<size_t>(row_length), dw);
  }
  void bias_gradient(int batch, float* db) override {
    sums_.total(batch, bias_at_, static_cast<size_t>(rows), db);
  }

 private:
  const KernelTable* k_;
  ConvStep* conv_;
  bool pooled_ = false;
  Activation activation_ = Activation::none;
  AlignedFloats packed_, packed_bias_;
  size_t grad_floats_ = 0, full_floats_ = 0;
  BlockSums sums_;      // dW, then db
  size_t bias_at_ = 0;  // where db begins
};

}  // namespace

void ConvStep::run(StepRun& run) const {
  if (expand != nullptr) return run_part(run, 0, 0, 1);
  if (blocked) return algorithm->run(with_sources(run), run.src(0), run.dst(), run.scratch);
  run_kernel(run, [&](const float* src, float* dst, float* scratch) {
    if (args.piece > 0) return run_in_pieces(*kernels, *algorithm, args, width, src, dst, scratch);
    const auto convolve = [&] {
      if (run.bounded && !run.unfused) return algorithm->run(args, src, dst, scratch);
      ConvArgs other = args;
      if (!run.bounded && requantization == nullptr) other.no_nan = false;
      if (run.unfused) other.slices = nullptr;
      algorithm->run(other, src, dst, scratch);
    };
    convolve();
    if (checked_floats == 0 || !run.bounded) return;
    // The input is checked after the run, while it is in the first-level cache. If it is out of bounds, the
    // convolution runs again with maxima that keep a NaN.
    run.bounded = kernels->is_bounded(checked_floats, src);
    if (!run.bounded) convolve();
  });
}

size_t ConvStep::scratch_size() const {
  if (expand != nullptr) return depth_first->scratch_size(args);
  if (blocked || args.piece == 0) return algorithm->scratch_size(args);
  return scratch_in_pieces(*algorithm, args, width);
}

void ConvStep::run_part(StepRun& run, int phase, int part, int parts) const {
  const ConvArgs with = with_sources(run);
  if (expand == nullptr)
    return algorithm->run_part(with, run.src(0), run.dst(), run.scratch, phase, part, parts);
  ConvArgs first = expand->args;
  if (expand_scale_source != 0) {
    first.scale = run.src(expand_scale_source);
    first.shift = run.src(expand_scale_source + 1);
  }
  depth_first->run_part(first, with, run.src(0), run.dst(), run.scratch, part, parts);
}

ConvArgs ConvStep::with_sources(const StepRun& run) const {
  ConvArgs with = args;
  if (residual_source != 0) with.residual = run.src(residual_source);
  if (gate_source != 0) with.gate = run.src(gate_source);
  if (scale_source != 0) {
    with.scale = run.src(scale_source);
    with.shift = run.src(scale_source + 1);
  }
  return with;
}

void ConvStep::pack(const float* from, float* weights) const { algorithm->pack(args, from, weights); }

void ConvStep::place(const float* weights, const float* bias) {
  if (algorithm->taps != nullptr) {
    taps.resize(2 * static_cast<size_t>(args.kh) * static_cast<size_t>(args.kw));
    algorithm->taps(args, taps.data());
    args.taps = taps.data();
  }
  args.weights = weights;
  args.bias = bias;
}

ConvArgs conv_args_of(const Graph& graph, int node, const KernelTable& kernels) {
  const std::vector<int> alone = {node};
  return args_of({&graph, &alone, &kernels, Layout::planes});
}

const OpDefinition ops::conv = {1,
                                weight_attribute | bias_attribute | window_attributes | groups_attribute,
                                shape,
                                plan,
                                make_train_step<ConvTraining>,
                                fuses};

}  // namespace kernelet
