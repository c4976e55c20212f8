// From graph to plan: fuse, choose an algorithm per step, pack the weights, lay out one arena.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "arena.h"
#include "base/cpu.h"
#include "base/thread_pool.h"
#include "fuse.h"
#include "int8_step.h"
#include "kernels/isa.h"
#include "ops/kernel_args.h"
#include "ops/strides.h"
#include "step.h"

namespace kernelet {
namespace {

std::string number(const char* letter, int64_t value) { return letter + std::to_string(value); }

std::string pair_unless(const char* vertical, const char* horizontal, const int (&value)[2], int usual) {
  if (value[0] == usual && value[1] == usual) return "";
  return number(vertical, value[0]) + number(horizontal, value[1]);
}

// oneDNN's letters, dilation counted from 1 as PyTorch does; what is usual is left out.
std::string window_problem(const Node& node, const Shape& in, const Shape& out) {
  std::string s = node.groups > 1 ? number("g", node.groups) : "";
  s += number("ic", in.dims[0]) + number("ih", in.dims[1]) + number("iw", in.dims[2]);
  s += number("oc", out.dims[0]) + number("oh", out.dims[1]) + number("ow", out.dims[2]);
  s += number("kh", node.kernel[0]) + number("kw", node.kernel[1]);
  s += pair_unless("sh", "sw", node.stride, 1) + pair_unless("dh", "dw", node.dilation, 1);
  s += pair_unless("ph", "pw", {node.padding[0], node.padding[1]}, 0);
  return s;
}

std::string activation_text(const Unary& f) {
  constexpr const char* names[] = {"",     "relu",      "tanh",        "sigmoid",   "leakyRelu", "elu",
                                   "silu", "hardswish", "hardsigmoid", "clip",      "gelu",      "exp",
                                   "log",  "abs",       "pow",         "scaledTanh"};
  return f.f == Activation::none ? "" : std::string("+") + names[static_cast<int>(f.f)];
}

// In the order the tile does it: a ReLU that moved behind the maximum stands behind it.
std::string epilogue_text(const Epilogue& e, bool has_bias) {
  std::string s = has_bias ? "+bias" : "";
  if (e.pool != Pool::none) s = "+maxPool2x2" + s;
  s += activation_text(e.after);
  return s.empty() ? s : s.substr(1);
}

// Floats of packed weights, booked while the steps are made and filled afterwards.
class WeightBook {
 public:
  size_t book(size_t floats) {
    const size_t at = size_;
    size_ += AlignedFloats::round_up(floats);
    return at;
  }
  size_t size() const { return size_; }

 private:
  size_t size_ = 0;
};

// Images in the lanes pay off while what is live between steps stays in a core's second-level cache.
constexpr size_t lanes_arena_limit = (size_t{1} << 20) / sizeof(float);

// Of any core, in floats.
constexpr size_t first_level_cache = (size_t{32} << 10) / sizeof(float);

constexpr const char* algorithm_names =
    "auto, fastest, im2col, direct, direct-pixels, direct-channels, winograd, lanes";

// Outputs over what the lanes of ceil(outputs / lanes) registers could hold.
double filled(int64_t outputs, int64_t lanes) {
  return static_cast<double>(outputs) / static_cast<double>((outputs + lanes - 1) / lanes * lanes);
}

// What no output of a layer exceeds while its inputs stay below 1. NaN if a weight is.
double gain_of(const Node& node) {
  double sum = 0;
  for (const Floats* values : {&node.weight, &node.bias}) {
    if (values->data == nullptr) continue;
    for (size_t i = 0; i < values->length; ++i) sum += std::fabs(static_cast<double>(values->data[i]));
  }
  return sum;
}

// Sums this far below the largest float stay finite however they are rounded.
constexpr double safe_sum = 1e30;

// The share of a core's peak that an algorithm should reach at a shape: how full its lanes and tiles are, and
// what it does besides. The constants are fitted to `kernelet bench kernels` over bench/shapes on Zen 3 (16
// registers) and Zen 4 (32); only their order matters.
double efficiency(const ConvArgs& a, const ConvAlgorithm& algorithm, const KernelTable& k) {
  const double m = a.oc / a.groups, taps = static_cast<double>(a.ic / a.groups) * a.kh * a.kw;
  const double window = static_cast<double>(a.kh) * a.kw;
  const bool pooled = a.epilogue.pool != Pool::none;
  const bool many_registers = k.im2col.tile_rows > 3;
  const double outputs = static_cast<double>(a.oh) * a.ow;
  const double inputs = static_cast<double>(a.ih) * a.iw;
  if (&algorithm == &k.depthwise) return taps / (1.25 * taps + 6 * (1 + inputs / outputs));
  const bool narrow = &algorithm == k.narrow_pixels;
  if (&algorithm == &k.direct_pixels || narrow) {
    const int lanes = narrow ? k.lanes / 2 : k.lanes, rows = algorithm.tile_columns / lanes;
    const double chains = std::min(1.0, std::min<double>(m, algorithm.tile_rows) * rows / 8);
    // a depthwise channel is mostly copies and epilogue
    if (a.oc == a.groups && a.ic == a.groups) return 0.3 * outputs / (outputs + 500) / (a.sw > 1 ? 2.5 : 1);
    const double full = (narrow ? narrow_share() : 1.0) * filled(a.ow, lanes) * chains;
    // with few registers a small window leaves a plane as soon as it is touched
    if (!many_registers) return 0.83 * full * window / (window + 0.5);
    // a 1x1 window reads each channel of a large plane once for every few outputs, from beyond the nearest cache
    const double far = window == 1 && outputs > 1500 ? 0.78 : 1;
    return 0.9 * far * full * filled(a.oh, rows) * taps / (taps + 3) * outputs / (outputs + 15);
  }
  if (&algorithm == &k.direct_channels) {
    const double full = filled(a.oc / a.groups, k.lanes);
    const double stores = 22 / taps;  // lanes scatter over planes
    if (!many_registers) return 0.92 * full * window / (window + 0.8) / (1 + stores);
    const double tiles = filled(static_cast<int64_t>(outputs), pooled ? 4 : 2) * outputs / (outputs + 8);
    return 0.86 * full * tiles / (1 + stores);
  }
  if (&algorithm == &k.winograd) {
    const double saved = a.kh == 3 ? 4.0 : 6.25;
    const int64_t tiles = int64_t{(a.oh + 3) / 4} * ((a.ow + 3) / 4);
    const double transforms = m / (m + 24.0) * a.ic / (a.ic + 24.0);
    const double border = static_cast<double>(a.oh) * a.ow / static_cast<double>(16 * tiles);
    // whole panels of four registers, and a last one of 1, 2 or 4
    const int64_t rest = tiles % algorithm.tile_columns, last = rest == 0             ? 0
                                                                : rest <= k.lanes     ? 1
                                                                : rest <= 2 * k.lanes ? 2
                                                                                      : 4;
    const double computed = static_cast<double>(tiles - rest + last * k.lanes);
    return 0.8 * saved * transforms * border * static_cast<double>(tiles) / computed;
  }
  // copying a column costs as much as this many channels' muladds; more where a pool spreads it over corners,
  // or rows are short
  const double copies = pooled ? 30 : many_registers ? 7 + 400.0 / a.ow : 11;
  const int64_t columns = pooled ? int64_t{a.ph} * a.pw : int64_t{a.oh} * a.ow;
  return 0.95 * filled(columns, pooled ? k.lanes : algorithm.tile_columns) * m / (m + copies) * taps /
         (taps + 6);
}

}  // namespace

// The steps of one program: for single images, or for blocks of `lanes` images.
class ProgramBuilder {
 public:
  // `quantized` may be null; its groups are those of `groups`. `quads`: their kernels where bytes go by four.
  ProgramBuilder(const Graph& graph, const std::vector<Group>& groups, const QuantizedGraph* quantized,
                 const KernelTable& kernels, const Int8Kernels* quads, const std::string& algorithm,
                 bool in_lanes, WeightBook& weights)
      : graph_(graph),
        quads_(quads),
        kernels_(kernels),
        algorithm_(algorithm),
        in_lanes_(in_lanes),
        width_(in_lanes ? static_cast<size_t>(kernels.lanes) : 1),
        weights_(weights),
        program_(new Plan::Program) {
    resolve_aliases();
    bounds_.assign(graph_.nodes.size(), std::numeric_limits<double>::infinity());
    for (size_t i = 0; i < groups.size(); ++i) {
      if (is_alias(graph_.nodes[groups[i].nodes[0]].op)) continue;
      quantized_ = quantized != nullptr && quantized->groups[i].runs ? &quantized->groups[i] : nullptr;
      add_step(groups[i]);
    }
    for (size_t i = 0; !in_lanes_ && i + 1 < program_->steps.size(); ++i) take_along(i);
    result_ = stored_in_[graph_.output];
    const Op source = graph_.nodes[result_].op;
    if (source == Op::input || source == Op::constant) add_copy(result_);
    lay_out();
  }

  // Once every program has booked its weights: packs them where they were booked.
  void pack(float* weights) {
    for (const Packing& packing : packings_) pack(packing, weights);
    for (size_t i = 1; i < program_->steps.size(); ++i) {
      if (program_->steps[i].taken_along) cut_pieces(program_->steps[i - 1], program_->steps[i]);
    }
    for (const Constant& constant : constants_) {
      const Floats& value = graph_.nodes[constant.node].weight;
      for (size_t i = 0; i < value.length * width_; ++i) {
        weights[constant.offset + i] = value.data[i / width_];
      }
    }
    for (const Operand& operand : operands_) pack(operand, weights);
  }

  const std::vector<StepDescription>& descriptions() const { return descriptions_; }
  std::unique_ptr<Plan::Program> take() { return std::move(program_); }
  size_t workspace_floats() const { return program_->workspace_floats; }

 private:
  // Weights of step `step` and where they go.
  struct Packing {
    size_t step, weights, bias;
    const Node* node;
    std::shared_ptr<const Int8Step> int8;  // or null
    size_t in_scale, out_scale;
  };
  // A value that is the same for every image.
  struct Constant {
    size_t node, offset;
  };

  // Weights [channels] that a step reads beside its value, not packed: a constant of its own, a slope, or the
  // scale and shift of a batch norm.
  struct Operand {
    const Node* node;
    size_t offset, shift;
  };

  static bool is_alias(Op op) { return op == Op::flatten || op == Op::reshape || op == Op::dropout; }

  // A flattened value is the value it flattens; nothing drops out of a plan.
  void resolve_aliases() {
    stored_in_.resize(graph_.nodes.size());
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      const Node& node = graph_.nodes[i];
      stored_in_[i] = is_alias(node.op) ? stored_in_[node.inputs[0]] : static_cast<int>(i);
      if (node.op == Op::constant) constants_.push_back({i, weights_.book(node.weight.length * width_)});
    }
  }

  Plan::Step& new_step(Op op, std::vector<int> sources, int value) {
    program_->steps.emplace_back();
    Plan::Step& step = program_->steps.back();
    step.op = op;
    step.elements = elements(value);
    sources_.push_back(std::move(sources));
    values_.push_back(value);
    return step;
  }

  void add_step(const Group& group) {
    const Node& node = graph_.nodes[group.nodes.front()];
    std::vector<int> sources;
    for (int input : node.inputs) sources.push_back(stored_in_[input]);
    Plan::Step& step = new_step(node.op, sources, group.nodes.back());
    StepDescription d;
    for (int i : group.nodes) {
      d.names.push_back(graph_.nodes[i].name);
      d.ops.push_back(op_name(graph_.nodes[i].op));
    }
    d.input = graph_.nodes[node.inputs[0]].shape;
    d.output = graph_.nodes[group.nodes.back()].shape;
    d.algorithm = "direct";
    switch (node.op) {
      case Op::conv2d: add_conv(step, group, node, d); break;
      case Op::linear: add_linear(step, group, node, d); break;
      case Op::max_pool2d:
      case Op::avg_pool2d:
      case Op::adaptive_avg_pool2d:
      case Op::adaptive_max_pool2d: add_pool(step, node, d); break;
      case Op::softmax:
      case Op::log_softmax: add_softmax(step, node, d); break;
      case Op::concat: add_concat(step, node, d); break;
      case Op::add:
      case Op::sub:
      case Op::mul:
      case Op::div:
      case Op::prelu:
      case Op::batch_norm: add_binary(step, group, node, d); break;
      case Op::permute:
      case Op::slice:
      case Op::pad: add_moves(step, node, d); break;
      default:
        step.activation = unary_of(node);
        d.problem = number("n", d.output.elements());
        break;
    }
    describe(d);
  }

  void describe(StepDescription& d) {
    d.isa = kernels_.isa;
    descriptions_.push_back(std::move(d));
  }

  static std::string tile_text(int rows, int columns) {
    return std::to_string(rows) + "x" + std::to_string(columns);
  }

  // The place where an algorithm is chosen from the shape.
  const ConvAlgorithm& choose(const ConvArgs& a) const {
    if (in_lanes_) return kernels_.lanes_conv;
    const bool any = algorithm_ == "auto" || algorithm_ == "fastest";
    const bool direct = algorithm_ == "direct" || any;
    const ConvAlgorithm* best = &kernels_.im2col;
    double best_efficiency = any ? efficiency(a, kernels_.im2col, kernels_) : 0;
    // the one that gives other bits, and so never without being asked for
    const ConvAlgorithm& winograd = kernels_.winograd;
    const bool exact = quantized_ != nullptr;  // sums of integers are to be those integers
    if (algorithm_ == winograd.name && winograd.fits(a) && !exact) return winograd;
    for (const ConvAlgorithm* candidate :
         {&kernels_.direct_pixels, kernels_.narrow_pixels, &kernels_.direct_channels, &kernels_.depthwise}) {
      if (candidate == nullptr || !candidate->fits(a)) continue;
      if (!direct && algorithm_ != candidate->name) continue;
      const double e = efficiency(a, *candidate, kernels_);
      if (e > best_efficiency) {
        best = candidate;
        best_efficiency = e;
      }
    }
    if (algorithm_ == "fastest" && !exact && winograd.fits(a) &&
        efficiency(a, winograd, kernels_) > best_efficiency) {
      return winograd;
    }
    return *best;
  }

  // Whichever fills the lanes better; direct-channels takes any number of them.
  const ConvAlgorithm& choose_quads(const ConvArgs& a) const {
    if (in_lanes_) return quads_->lanes_conv;
    const bool pixels = filled(a.ow, kernels_.lanes) > filled(a.oc, kernels_.lanes);
    return pixels && quads_->direct_pixels.fits(a) ? quads_->direct_pixels : quads_->direct_channels;
  }

  // One row is bound by reading the weights: fewer zeros beyond the last output are less to read.
  const LinearAlgorithm& choose(const LinearArgs& a) const {
    const LinearAlgorithm* const narrow = kernels_.narrow_linear;
    const bool smaller = narrow != nullptr && narrow->weights_size(a) < kernels_.linear.weights_size(a);
    return a.rows == 1 && smaller ? *narrow : kernels_.linear;
  }

  void add_conv(Plan::Step& step, const Group& group, const Node& node, StepDescription& d) {
    ConvArgs& a = step.conv;
    a = conv_args_of(node, d.input, d.output, group.epilogue);
    if (forbid_nan(a, group, node)) step.looked_at = elements(sources_.back()[0]);
    d.macs = int64_t{a.oc} * a.oh * a.ow * (a.ic / a.groups) * a.kh * a.kw;
    const std::shared_ptr<Int8Step> int8 = int8_step();
    if (int8) int8->prepare(a);
    const ConvAlgorithm& algorithm = int8 && quads_ != nullptr ? choose_quads(a) : choose(a);
    step.conv_algorithm = &algorithm;
    d.problem = window_problem(node, as_image(d.input), as_image(node.shape));
    d.algorithm = algorithm.name;
    d.tile = tile_text(algorithm.tile_rows, algorithm.tile_columns);
    d.epilogue = epilogue_text(group.epilogue, node.bias.data != nullptr);
    const size_t scratch = algorithm.scratch_size(a), weights = algorithm.weights_size(a);
    book(step, node, int8, scratch, weights, static_cast<size_t>(a.oc), d);
  }

  // A linear layer behind a convolution whose weights no first-level cache holds: they come from the second level
  // while the convolution, which waits for nothing but muladds, computes what the layer reads next.
  void take_along(size_t i) {
    Plan::Step& conv = program_->steps[i];
    Plan::Step& layer = program_->steps[i + 1];
    if (conv.op != Op::conv2d || layer.op != Op::linear || conv.int8 || layer.int8) return;
    if (sources_[i + 1][0] != values_[i] || layer.linear.rows != 1) return;
    const LinearAlgorithm& linear = *layer.linear_algorithm;
    if (conv.conv_algorithm->complete == nullptr || linear.pieces == nullptr) return;
    if (linear.weights_size(layer.linear) < first_level_cache) return;
    conv.conv.sums = layer.sums = AlignedFloats::round_up(conv.conv_algorithm->scratch_size(conv.conv));
    scratch_ = std::max(scratch_, layer.sums + linear.bias_size(layer.linear));
    layer.taken_along = true;
    descriptions_[i + 1].during = descriptions_[i].names.front();
  }

  // Cuts the layer into a share for each tile of the convolution: of the inputs that are complete by then.
  static void cut_pieces(Plan::Step& step, const Plan::Step& layer) {
    const ConvArgs& a = step.conv;
    const LinearAlgorithm& linear = *layer.linear_algorithm;
    std::vector<LinearPiece>& pieces = step.pieces;
    const auto complete = [&](int32_t tile) { return step.conv_algorithm->complete(a, tile); };
    const auto add = [&](int32_t begin, int32_t end, int32_t share, int32_t shares, int32_t tile) {
      const size_t before = pieces.size();
      pieces.resize(before + linear.bias_size(layer.linear) + 1);  // more than there are panels
      const int32_t count = linear.pieces(layer.linear, begin * a.ph * a.pw, end * a.ph * a.pw, share, shares,
                                          pieces.data() + before);
      pieces.resize(before + static_cast<size_t>(count));
      for (size_t i = before; i < pieces.size(); ++i) pieces[i].tile = tile;
    };
    int32_t begin = 0, tile = 0;
    for (int32_t next; complete(tile) >= 0; tile = next) {
      const int32_t end = complete(tile);
      for (next = tile + 1; complete(next) == end;) ++next;
      for (int32_t i = tile; end > begin && i < next; ++i) add(begin, end, i - tile, next - tile, i);
      begin = end;
    }
    add(begin, a.oc, 0, 1, tile - 1);
    pieces.push_back(pieces.back());  // what the last tiles fetch
    pieces.back().tile = -1;
    step.conv.pieces = pieces.data();
  }

  // Lets a fused maximum do without a look at each sum, where one look at the input, or at that of a layer before,
  // shows that no sum can be NaN. Returns whether it is this input that has to be looked at.
  bool forbid_nan(ConvArgs& a, const Group& group, const Node& node) {
    a.no_nan = quantized_ != nullptr;
    if (a.no_nan) return false;
    const double gain = gain_of(node);
    double in = bounds_[sources_.back()[0]];
    const bool looks = a.epilogue.pool == Pool::max && !(in * gain < safe_sum) && tame * gain < safe_sum;
    if (looks) in = tame;
    a.no_nan = in * gain < safe_sum;
    bounds_[group.nodes.back()] = std::max(in, 1.0) * gain;
    return looks;
  }

  std::shared_ptr<Int8Step> int8_step() const {
    return quantized_ == nullptr ? nullptr : std::make_shared<Int8Step>(*quantized_, quads_, width_);
  }

  // Scratch, weights and biases of a convolution or linear layer, in floats.
  void book(Plan::Step& step, const Node& node, const std::shared_ptr<Int8Step>& int8, size_t scratch,
            size_t weights, size_t bias, StepDescription& d) {
    Packing p = {program_->steps.size() - 1, weights_.book(weights), weights_.book(bias), &node, int8, 0, 0};
    if (int8) {
      step.int8 = int8->ends(kernels_, scratch);
      p.in_scale = weights_.book(1);
      p.out_scale = weights_.book(int8->out_scale().size());
      d.int8 = true;
      d.bytes_out = quantized_->bytes_out;
      d.in = quantized_->in;
      d.out = quantized_->out;
      if (quads_ == nullptr) d.algorithm = "int8-" + d.algorithm;
    }
    scratch_ = std::max(scratch_, scratch);
    packings_.push_back(p);
  }

  void add_linear(Plan::Step& step, const Group& group, const Node& node, StepDescription& d) {
    LinearArgs& a = step.linear;
    a = linear_args_of(d.input, d.output, group.epilogue.after);
    d.problem = number("ic", a.in) + number("oc", a.out) + (a.rows > 1 ? number("mb", a.rows) : "");
    d.macs = int64_t{a.rows} * a.in * a.out;
    const std::shared_ptr<Int8Step> int8 = int8_step();
    if (int8) int8->prepare(a);
    const bool quads = int8 && quads_ != nullptr;
    const LinearAlgorithm& algorithm = in_lanes_ ? quads ? quads_->lanes_linear : kernels_.lanes_linear
                                       : quads   ? quads_->linear
                                                 : choose(a);
    step.linear_algorithm = &algorithm;
    d.algorithm = algorithm.name;
    d.tile = tile_text(algorithm.tile_rows, algorithm.tile_columns);
    d.epilogue = epilogue_text(group.epilogue, node.bias.data != nullptr);
    book(step, node, int8, 0, algorithm.weights_size(a), algorithm.bias_size(a), d);
  }

  // What slides over planes, or cuts them into bins.
  void add_pool(Plan::Step& step, const Node& node, StepDescription& d) {
    bounds_[values_.back()] = bounds_[sources_.back()[0]];
    step.pool = pool_args_of(node, d.input);
    step.pool_algorithm = in_lanes_ ? &kernels_.lanes_pool : &kernels_.pool;
    const bool adaptive = node.op == Op::adaptive_avg_pool2d || node.op == Op::adaptive_max_pool2d;
    d.problem = adaptive ? d.input.text() + "o" + d.output.text()
                         : window_problem(node, as_image(d.input), as_image(d.output));
  }

  void add_softmax(Plan::Step& step, const Node& node, StepDescription& d) {
    step.softmax = softmax_args_of(node, static_cast<int32_t>(width_));
    d.problem = node.shape.text() + number("axis", node.axis);
  }

  // A source of a step that is an operand of its own.
  int new_operand(const Node& node, size_t length, bool has_shift) {
    operands_.push_back({&node, weights_.book(length), has_shift ? weights_.book(length) : 0});
    return -static_cast<int>(operands_.size());
  }

  void add_binary(Plan::Step& step, const Group& group, const Node& node, StepDescription& d) {
    BinaryArgs& s = step.binary;
    s = BinaryArgs();
    s.after = group.epilogue.after;
    std::vector<int>& sources = sources_.back();
    Shape shapes[2] = {d.input, d.input};
    bool in_lanes[2] = {true, false};
    if (node.op == Op::prelu || node.op == Op::batch_norm) {
      const bool norm = node.op == Op::batch_norm;
      s.f = norm ? Binary::affine : Binary::prelu;
      if (!norm && node.weight.length == 1) shapes[1].dims[0] = 1;
      for (int i = 1; i < d.input.rank; ++i) shapes[1].dims[i] = 1;
      sources.push_back(new_operand(node, static_cast<size_t>(shapes[1].dims[0]), norm));
    } else {
      s.f = binary_of(node.op);
      for (int i = 0; i < 2; ++i) {
        shapes[i] = graph_.nodes[node.inputs[i]].shape;
        // a constant that is repeated is read as it is, the same for every image
        const Node& stored = graph_.nodes[sources[i]];
        in_lanes[i] = stored.op != Op::constant || shapes[i].elements() == node.shape.elements();
        if (!in_lanes[i]) sources[i] = new_operand(stored, stored.weight.length, false);
      }
    }
    set_strides(s, node.shape, {shapes[0], in_lanes[0]}, {shapes[1], in_lanes[1]}, width_);
    d.problem = number("n", d.output.elements());
    d.epilogue = epilogue_text(group.epilogue, false);
  }

  void add_moves(Plan::Step& step, const Node& node, StepDescription& d) {
    step.copy = moves_of(node, d.input, width_);
    d.algorithm = "copy";
    d.problem = d.input.text() + "o" + d.output.text();
  }

  void add_concat(Plan::Step& step, const Node& node, StepDescription& d) {
    step.outer = 1;
    for (int i = 0; i < node.axis; ++i) step.outer *= static_cast<size_t>(node.shape.dims[i]);
    for (int input : node.inputs) {
      step.lengths.push_back(static_cast<size_t>(graph_.nodes[input].shape.elements()) / step.outer * width_);
    }
    d.algorithm = "copy";
    d.problem = node.shape.text() + number("axis", node.axis);
  }

  // A graph whose output is its input or a constant (perhaps flattened) still owes the caller a copy.
  void add_copy(int value) {
    result_ = static_cast<int>(graph_.nodes.size());  // a value of its own, that no node has
    new_step(Op::flatten, {value}, result_);
    const Node& node = graph_.nodes[graph_.output];
    StepDescription d;
    d.names.push_back(node.name);
    d.ops.push_back(op_name(node.op));
    d.algorithm = "copy";
    d.problem = number("n", node.shape.elements());
    d.input = graph_.nodes[value].shape;
    d.output = node.shape;
    describe(d);
  }

  void pack(const Packing& packing, float* all) {
    Plan::Step& step = program_->steps[packing.step];
    const Node& node = *packing.node;
    float* const weights = all + packing.weights;
    float* const bias = all + packing.bias;
    const bool is_conv = step.op == Op::conv2d;
    const size_t outputs = static_cast<size_t>(is_conv ? step.conv.oc : step.linear.out);
    const size_t length = is_conv ? outputs : step.linear_algorithm->bias_size(step.linear);
    const float* from = node.weight.data;
    std::vector<float> integers;
    if (packing.int8) {
      integers = packing.int8->bias();
      std::copy(integers.begin(), integers.end(), bias);
      std::fill(bias + outputs, bias + length, 0.0f);
      integers = packing.int8->weights();
      from = integers.data();
      all[packing.in_scale] = packing.int8->in_scale();
      step.int8->in.scale = all + packing.in_scale;
      const std::vector<float>& scale = packing.int8->out_scale();
      std::copy(scale.begin(), scale.end(), all + packing.out_scale);
      step.int8->out.scale = all + packing.out_scale;
    } else {
      // adding +0 takes the sign off a bias of -0: a zero sum then never depends on the order of a maximum
      for (size_t i = 0; i < length; ++i) {
        bias[i] = node.bias.data != nullptr && i < outputs ? node.bias.data[i] + 0.0f : 0.0f;
      }
    }
    if (is_conv) {
      step.conv_algorithm->pack(step.conv, from, weights);
      step.conv.weights = weights;
      step.conv.bias = bias;
    } else {
      step.linear_algorithm->pack(step.linear, from, weights);
      step.linear.weights = weights;
      step.linear.bias = bias;
    }
  }

  void pack(const Operand& operand, float* all) {
    const Node& node = *operand.node;
    float* const to = all + operand.offset;
    if (node.op != Op::batch_norm) {
      std::copy(node.weight.data, node.weight.data + node.weight.length, to);
      return;
    }
    // (x - mean) / sqrt(variance + epsilon) * weight + bias, as x * scale + shift: PyTorch's way, rounded once
    for (size_t i = 0; i < node.mean.length; ++i) {
      const double deviation = std::sqrt(static_cast<double>(node.variance.data[i]) + node.epsilon);
      to[i] = static_cast<float>((node.weight.data != nullptr ? node.weight.data[i] : 1.0) / deviation);
      const double at_mean = node.bias.data != nullptr ? node.bias.data[i] : 0.0;
      all[operand.shift + i] = static_cast<float>(at_mean - static_cast<double>(node.mean.data[i]) * to[i]);
    }
  }

  // A value lives from the step that writes it to the last step that reads it.
  void lay_out() {
    std::vector<size_t> last_use(graph_.nodes.size() + 1, 0);
    for (size_t i = 0; i < sources_.size(); ++i) {
      for (int value : sources_[i]) {
        if (value >= 0) last_use[value] = i;
      }
    }
    ArenaLayout layout;
    std::vector<Location> where(graph_.nodes.size() + 1);
    where[0].kind = Location::input;
    if (in_lanes_) {
      where[0].kind = Location::arena;
      where[0].offset = program_->input_offset = layout.place(elements(0));
    }
    for (const Constant& constant : constants_) {
      where[constant.node].kind = Location::weights;
      where[constant.node].offset = constant.offset;
    }
    for (size_t i = 0; i < sources_.size(); ++i) {
      Plan::Step& step = program_->steps[i];
      const int value = values_[i];
      if (value == result_ && !in_lanes_) {
        where[value].kind = Location::output;
      } else {
        where[value].offset = layout.place(elements(value));
        if (value == result_) program_->output_offset = where[value].offset;
      }
      step.dst = where[value];
      std::vector<int> finished;
      for (int source : sources_[i]) {
        if (source >= 0) {
          step.src.push_back(where[source]);
          finished.push_back(source);
          continue;
        }
        const Operand& operand = operands_[static_cast<size_t>(-source - 1)];
        step.src.push_back({Location::weights, operand.offset});
        if (operand.node->op == Op::batch_norm) step.src.push_back({Location::weights, operand.shift});
      }
      std::sort(finished.begin(), finished.end());
      finished.erase(std::unique(finished.begin(), finished.end()), finished.end());
      for (int source : finished) {
        if (where[source].kind == Location::arena && last_use[source] == i)
          layout.release(where[source].offset);
      }
    }
    program_->scratch_offset = layout.size();
    program_->workspace_floats = layout.size() + AlignedFloats::round_up(scratch_);
  }

  // Floats of a value: of a node's, or of the copy that is no node's.
  size_t elements(int value) const {
    const bool copy = value == static_cast<int>(graph_.nodes.size());
    return static_cast<size_t>(graph_.nodes[copy ? graph_.output : value].shape.elements()) * width_;
  }

  const Graph& graph_;
  const Int8Kernels* const quads_;
  const QuantizedGroup* quantized_ = nullptr;  // of the step being made, where it runs on bytes
  const KernelTable& kernels_;
  const std::string& algorithm_;
  const bool in_lanes_;
  const size_t width_;  // images side by side in a value
  WeightBook& weights_;
  std::unique_ptr<Plan::Program> program_;
  int result_ = 0;                         // the value the caller gets
  std::vector<int> stored_in_;             // node -> node whose buffer holds its value
  std::vector<std::vector<int>> sources_;  // step -> values it reads, or -1 - index of an operand
  std::vector<int> values_;                // step -> value it writes
  std::vector<double> bounds_;             // value -> what it stays below while inputs looked at are tame
  std::vector<Packing> packings_;
  std::vector<Constant> constants_;
  std::vector<Operand> operands_;
  std::vector<StepDescription> descriptions_;
  size_t scratch_ = 0;
};

class PlanBuilder {
 public:
  static std::unique_ptr<const Plan> build(const Graph& graph, const PlanOptions& options) {
    graph.validate();
    check(options);
    std::unique_ptr<Plan> plan(new Plan);
    plan->kernels_ = choose_isa(options.isa).table;
    plan->threads_ = options.threads;
    plan->input_length_ = graph.nodes[0].shape.elements();
    plan->output_shape_ = graph.nodes[graph.output].shape;

    const KernelTable& kernels = *plan->kernels_;
    const std::vector<Group> groups = fuse(graph, options.fuse, options.int8);
    QuantizedGraph quantized;
    if (options.int8) quantized = quantize(graph, groups, options);
    const QuantizedGraph* const bytes = options.int8 ? &quantized : nullptr;
    const Int8Kernels* const quads = (cpu_features() & cpu_avx512_vnni) != 0 ? kernels.int8 : nullptr;
    WeightBook weights;
    ProgramBuilder single(graph, groups, bytes, kernels, quads, options.algorithm, false, weights);
    plan->descriptions_ = single.descriptions();
    for (const StepDescription& step : plan->descriptions_) plan->macs_ += step.macs;
    plan->workspace_floats_ = single.workspace_floats();

    std::unique_ptr<ProgramBuilder> lanes;
    const bool only_lanes = options.algorithm == "lanes";
    if (only_lanes || ((options.algorithm == "auto" || options.algorithm == "fastest") && kernels.lanes > 1 &&
                       fits_in_lanes(graph, kernels))) {
      lanes.reset(new ProgramBuilder(graph, groups, bytes, kernels, quads, options.algorithm, true, weights));
      plan->workspace_floats_ = std::max(plan->workspace_floats_, lanes->workspace_floats());
      plan->lanes_threshold_ = only_lanes ? 1 : (3 * kernels.lanes + 3) / 4;
      if (only_lanes) plan->descriptions_ = lanes->descriptions();
    }

    if (options.byte_input) {
      plan->byte_input_ = true;
      plan->scale_ = options.scale;
      plan->shift_ = options.shift;
      if (quantized.byte_input) {
        plan->scale_ = 1;
        plan->shift_ = static_cast<float>(-quantized.zero_of_input);
      }
      plan->bytes_offset_ = AlignedFloats::round_up(plan->workspace_floats_);
      const int64_t images = lanes ? kernels.lanes : 1;
      plan->workspace_floats_ = plan->bytes_offset_ + static_cast<size_t>(images * plan->input_length_);
    }

    plan->weights_ = AlignedFloats(weights.size());
    std::fill(plan->weights_.data(), plan->weights_.data() + weights.size(), 0.0f);
    single.pack(plan->weights_.data());
    plan->single_ = single.take();
    if (lanes) {
      lanes->pack(plan->weights_.data());
      plan->lanes_ = lanes->take();
    }
    return plan;
  }

 private:
  static void check(const PlanOptions& options) {
    if (options.threads < 0 || options.threads > max_threads) {
      fail("ERR_ARGUMENT", {"threads: expected 0 (chosen by the amount of work) to ", max_threads,
                            " but received ", options.threads});
    }
    for (const char* name :
         {"auto", "fastest", "im2col", "direct", "direct-pixels", "direct-channels", "winograd", "lanes"}) {
      if (options.algorithm == name) return;
    }
    fail("ERR_ARGUMENT",
         {"algorithm: expected one of ", algorithm_names, " but received '", options.algorithm, "'"});
  }

  // The two largest neighbours, a value and the next, as a bound that needs no layout.
  static bool fits_in_lanes(const Graph& graph, const KernelTable& kernels) {
    int64_t largest = 0;
    for (const Node& node : graph.nodes) largest = std::max(largest, node.shape.elements());
    return static_cast<size_t>(2 * largest) * static_cast<size_t>(kernels.lanes) <= lanes_arena_limit;
  }
};

std::unique_ptr<const Plan> Plan::make(const Graph& graph, const PlanOptions& options) {
  return PlanBuilder::build(graph, options);
}

}  // namespace kernelet
