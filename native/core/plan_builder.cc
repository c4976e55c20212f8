// From graph to plan: fuse, choose an algorithm per step, pack the weights, lay out one arena.
#include <algorithm>
#include <cstring>

#include "fuse.h"
#include "isa.h"
#include "step.h"
#include "thread_pool.h"

namespace kernelet {
namespace {

// First-fit over the gaps between live values; offsets in floats, all aligned.
class ArenaLayout {
 public:
  size_t place(size_t count) {
    count = AlignedFloats::round_up(count);
    size_t at = 0;
    auto next = live_.begin();
    for (; next != live_.end(); ++next) {
      if (next->begin - at >= count) break;
      at = next->end;
    }
    live_.insert(next, {at, at + count});
    size_ = std::max(size_, at + count);
    return at;
  }
  void release(size_t begin) {
    live_.erase(std::find_if(live_.begin(), live_.end(), [&](const Span& s) { return s.begin == begin; }));
  }
  size_t size() const { return size_; }

 private:
  struct Span {
    size_t begin, end;
  };
  std::vector<Span> live_;  // by offset
  size_t size_ = 0;
};

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

const char* activation_text(Activation f) {
  switch (f) {
    case Activation::relu: return "+relu";
    case Activation::tanh: return "+tanh";
    case Activation::sigmoid: return "+sigmoid";
    case Activation::none: break;
  }
  return "";
}

// In the order the tile does it: a ReLU that moved behind the maximum stands behind it.
std::string epilogue_text(const Epilogue& e, bool has_bias) {
  std::string s = has_bias ? "+bias" : "";
  s += activation_text(e.before);
  if (e.pool != Pool::none) {
    const bool max_first = e.pool == Pool::max && e.before == Activation::none;
    const std::string pool = e.pool == Pool::max ? "+maxPool2x2" : "+avgPool2x2";
    s = max_first ? pool + s : s + pool;
  }
  s += activation_text(e.after);
  return s.empty() ? s : s.substr(1);
}

}  // namespace

class PlanBuilder {
 public:
  PlanBuilder(const Graph& graph, const PlanOptions& options) : graph_(graph), plan_(new Plan) {
    graph.validate();
    if (options.threads < 0 || options.threads > max_threads) {
      throw Error("ERR_ARGUMENT", "threads: expected 0 (chosen by the amount of work) to " +
                                      std::to_string(max_threads) + " but received " +
                                      std::to_string(options.threads));
    }
    if (options.algorithm != "auto" && options.algorithm != "im2col") {
      throw Error("ERR_ARGUMENT",
                  "algorithm: expected one of auto, im2col but received '" + options.algorithm + "'");
    }
    plan_->kernels_ = choose_isa(options.isa).table;
    plan_->threads_ = options.threads;
    plan_->input_length_ = graph.nodes[0].shape.elements();
    plan_->output_shape_ = graph.nodes[graph.output].shape;
    groups_ = fuse(graph, options.fuse);
  }

  std::unique_ptr<const Plan> build() {
    resolve_aliases();
    // Two passes over the steps: the first counts the floats of packed weights, the second packs them.
    for (const Group& group : groups_) {
      if (!is_alias(group)) add_step(group);
    }
    const Op source = graph_.nodes[stored_in(graph_.output)].op;
    if (source == Op::input || source == Op::constant) add_copy(stored_in(graph_.output));
    plan_->weights_ = AlignedFloats(weight_floats_);
    for (const Packing& packing : packings_) pack(packing);
    for (const Constant& constant : constants_) {
      const Floats& value = graph_.nodes[constant.node].weight;
      std::memcpy(plan_->weights_.data() + constant.offset, value.data, value.length * sizeof(float));
    }
    lay_out();
    return std::unique_ptr<const Plan>(plan_.release());
  }

 private:
  // Weights of step `step` and where they go.
  struct Packing {
    size_t step, weights, bias;
    const Node* node;
  };

  // A value that is the same for every image.
  struct Constant {
    size_t node, offset;
  };

  static bool is_alias_op(Op op) { return op == Op::flatten; }
  bool is_alias(const Group& group) const { return is_alias_op(graph_.nodes[group.nodes[0]].op); }

  // A flattened value is the value it flattens.
  void resolve_aliases() {
    stored_in_.resize(graph_.nodes.size());
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      const Node& node = graph_.nodes[i];
      stored_in_[i] = is_alias_op(node.op) ? stored_in_[node.inputs[0]] : static_cast<int>(i);
      if (node.op == Op::constant) constants_.push_back({i, book(node.weight.length)});
    }
  }
  int stored_in(int node) const { return stored_in_[node]; }

  size_t book(size_t floats) {
    const size_t at = weight_floats_;
    weight_floats_ += AlignedFloats::round_up(floats);
    return at;
  }

  Plan::Step& new_step(const Group& group, StepDescription& d) {
    const Node& first = graph_.nodes[group.nodes.front()];
    const Node& last = graph_.nodes[group.nodes.back()];
    plan_->steps_.emplace_back();
    Plan::Step& step = plan_->steps_.back();
    step.op = first.op;
    step.elements = static_cast<size_t>(last.shape.elements());
    for (int node : group.nodes) {
      d.names.push_back(graph_.nodes[node].name);
      d.ops.push_back(op_name(graph_.nodes[node].op));
    }
    d.isa = plan_->kernels_->isa;
    d.input = graph_.nodes[first.inputs[0]].shape;
    d.output = last.shape;
    d.algorithm = "direct";
    sources_.emplace_back();
    for (int input : first.inputs) sources_.back().push_back(stored_in(input));
    values_.push_back(group.nodes.back());
    return step;
  }

  std::string tile() const {
    const KernelTable& k = *plan_->kernels_;
    return std::to_string(k.tile_rows) + "x" + std::to_string(k.tile_vectors * k.lanes);
  }

  void add_step(const Group& group) {
    StepDescription d;
    Plan::Step& step = new_step(group, d);
    const Node& node = graph_.nodes[group.nodes[0]];
    switch (node.op) {
      case Op::conv2d: add_conv(step, group, node, d); break;
      case Op::linear: add_linear(step, group, node, d); break;
      case Op::max_pool2d:
      case Op::avg_pool2d: add_pool(step, node, d); break;
      case Op::softmax:
      case Op::log_softmax: add_softmax(step, node, d); break;
      case Op::concat: add_concat(step, node, d); break;
      default:
        step.activation = activation_of(node.op);
        d.problem = number("n", static_cast<int64_t>(step.elements));
        break;
    }
    plan_->macs_ += d.macs;
    plan_->descriptions_.push_back(std::move(d));
  }

  // The place where an algorithm is chosen from the shape; so far there is one for every shape.
  void add_conv(Plan::Step& step, const Group& group, const Node& node, StepDescription& d) {
    const Shape& in = d.input;
    // with a fused pool an odd last row or column of outputs is never looked at, so never computed
    const bool pooled = group.epilogue.pool != Pool::none;
    const Shape& out = d.output;
    ConvArgs& a = step.conv;
    a = ConvArgs();
    a.ic = static_cast<int32_t>(in.dims[0]);
    a.ih = static_cast<int32_t>(in.dims[1]);
    a.iw = static_cast<int32_t>(in.dims[2]);
    a.oc = static_cast<int32_t>(out.dims[0]);
    a.ph = static_cast<int32_t>(out.dims[1]);
    a.pw = static_cast<int32_t>(out.dims[2]);
    a.oh = pooled ? 2 * a.ph : a.ph;
    a.ow = pooled ? 2 * a.pw : a.pw;
    a.kh = node.kernel[0];
    a.kw = node.kernel[1];
    a.sh = node.stride[0];
    a.sw = node.stride[1];
    a.dh = node.dilation[0];
    a.dw = node.dilation[1];
    a.pt = node.padding[0];
    a.pl = node.padding[1];
    a.groups = node.groups;
    a.epilogue = group.epilogue;
    d.problem = window_problem(node, in, node.shape);
    d.algorithm = "im2col";
    d.tile = tile();
    d.epilogue = epilogue_text(group.epilogue, node.bias.data != nullptr);
    d.macs = int64_t{a.oc} * a.oh * a.ow * (a.ic / a.groups) * a.kh * a.kw;
    scratch_ = std::max(scratch_, plan_->kernels_->conv_scratch_size(a));
    packings_.push_back({plan_->steps_.size() - 1, book(plan_->kernels_->conv_weights_size(a)),
                         book(static_cast<size_t>(a.oc)), &node});
  }

  void add_linear(Plan::Step& step, const Group& group, const Node& node, StepDescription& d) {
    LinearArgs& a = step.linear;
    a = LinearArgs();
    a.in = static_cast<int32_t>(d.input.dims[d.input.rank - 1]);
    a.out = static_cast<int32_t>(d.output.dims[d.output.rank - 1]);
    a.rows = static_cast<int32_t>(d.input.elements() / a.in);
    a.activation = group.epilogue.after;
    d.problem = number("ic", a.in) + number("oc", a.out) + (a.rows > 1 ? number("mb", a.rows) : "");
    d.algorithm = "gemm";
    d.tile = tile();
    d.epilogue = epilogue_text(group.epilogue, node.bias.data != nullptr);
    d.macs = int64_t{a.rows} * a.in * a.out;
    packings_.push_back({plan_->steps_.size() - 1, book(plan_->kernels_->linear_weights_size(a)),
                         book(plan_->kernels_->linear_bias_size(a)), &node});
  }

  void add_pool(Plan::Step& step, const Node& node, StepDescription& d) {
    PoolArgs& a = step.pool;
    a = PoolArgs();
    a.c = static_cast<int32_t>(d.input.dims[0]);
    a.ih = static_cast<int32_t>(d.input.dims[1]);
    a.iw = static_cast<int32_t>(d.input.dims[2]);
    a.oh = static_cast<int32_t>(d.output.dims[1]);
    a.ow = static_cast<int32_t>(d.output.dims[2]);
    a.kh = node.kernel[0];
    a.kw = node.kernel[1];
    a.sh = node.stride[0];
    a.sw = node.stride[1];
    a.dh = node.dilation[0];
    a.dw = node.dilation[1];
    a.pt = node.padding[0];
    a.pl = node.padding[1];
    a.pb = node.padding[2];
    a.pr = node.padding[3];
    a.count_include_pad = node.count_include_pad;
    d.problem = window_problem(node, d.input, d.output);
  }

  void add_softmax(Plan::Step& step, const Node& node, StepDescription& d) {
    SoftmaxArgs& a = step.softmax;
    a = SoftmaxArgs();
    a.outer = a.inner = 1;
    for (int i = 0; i < node.axis; ++i) a.outer *= static_cast<int32_t>(node.shape.dims[i]);
    for (int i = node.axis + 1; i < node.shape.rank; ++i) a.inner *= static_cast<int32_t>(node.shape.dims[i]);
    a.n = static_cast<int32_t>(node.shape.dims[node.axis]);
    a.log = node.op == Op::log_softmax;
    d.problem = node.shape.text() + number("axis", node.axis);
  }

  void add_concat(Plan::Step& step, const Node& node, StepDescription& d) {
    step.outer = 1;
    for (int i = 0; i < node.axis; ++i) step.outer *= static_cast<size_t>(node.shape.dims[i]);
    for (int input : node.inputs) {
      step.lengths.push_back(static_cast<size_t>(graph_.nodes[input].shape.elements()) / step.outer);
    }
    d.algorithm = "copy";
    d.problem = node.shape.text() + number("axis", node.axis);
  }

  // A graph whose output is its input or a constant (perhaps flattened) still owes the caller a copy.
  void add_copy(int value) {
    StepDescription d;
    plan_->steps_.emplace_back();
    plan_->steps_.back().op = Op::flatten;
    plan_->steps_.back().elements = static_cast<size_t>(plan_->output_shape_.elements());
    sources_.push_back({value});
    values_.push_back(graph_.output);
    d.names.push_back(graph_.nodes[graph_.output].name);
    d.ops.push_back(op_name(graph_.nodes[graph_.output].op));
    d.algorithm = "copy";
    d.isa = plan_->kernels_->isa;
    d.problem = number("n", plan_->output_shape_.elements());
    d.input = graph_.nodes[value].shape;
    d.output = plan_->output_shape_;
    plan_->descriptions_.push_back(std::move(d));
  }

  void pack(const Packing& packing) {
    Plan::Step& step = plan_->steps_[packing.step];
    const Node& node = *packing.node;
    float* const weights = plan_->weights_.data() + packing.weights;
    float* const bias = plan_->weights_.data() + packing.bias;
    const bool is_conv = step.op == Op::conv2d;
    const size_t outputs = static_cast<size_t>(is_conv ? step.conv.oc : step.linear.out);
    const size_t length = is_conv ? outputs : plan_->kernels_->linear_bias_size(step.linear);
    std::fill(bias, bias + length, 0.0f);
    if (node.bias.data != nullptr) std::memcpy(bias, node.bias.data, outputs * sizeof(float));
    if (is_conv) {
      plan_->kernels_->conv_pack(step.conv, node.weight.data, weights);
      step.conv.weights = weights;
      step.conv.bias = bias;
    } else {
      plan_->kernels_->linear_pack(step.linear, node.weight.data, weights);
      step.linear.weights = weights;
      step.linear.bias = bias;
    }
  }

  // A value lives from the step that writes it to the last step that reads it.
  void lay_out() {
    const size_t count = plan_->steps_.size();
    std::vector<size_t> last_use(graph_.nodes.size(), 0);
    for (size_t i = 0; i < count; ++i) {
      for (int value : sources_[i]) last_use[value] = i;
    }
    ArenaLayout layout;
    std::vector<Location> where(graph_.nodes.size());
    where[0].kind = Location::input;
    for (const Constant& constant : constants_) {
      where[constant.node].kind = Location::weights;
      where[constant.node].offset = constant.offset;
    }
    for (size_t i = 0; i < count; ++i) {
      Plan::Step& step = plan_->steps_[i];
      const int value = values_[i];
      if (value == graph_.output || value == stored_in(graph_.output)) {
        where[value].kind = Location::output;
      } else {
        where[value].offset = layout.place(step.elements);
      }
      step.dst = where[value];
      for (int source : sources_[i]) step.src.push_back(where[source]);
      for (size_t s = 0; s < sources_[i].size(); ++s) {
        const int source = sources_[i][s];
        const bool again = std::find(sources_[i].begin() + s + 1, sources_[i].end(), source) != sources_[i].end();
        if (where[source].kind == Location::arena && last_use[source] == i && !again) {
          layout.release(where[source].offset);
        }
      }
    }
    plan_->scratch_offset_ = layout.size();
    plan_->workspace_floats_ = layout.size() + AlignedFloats::round_up(scratch_);
  }

  const Graph& graph_;
  std::unique_ptr<Plan> plan_;
  std::vector<Group> groups_;
  std::vector<int> stored_in_;               // node -> node whose buffer holds its value
  std::vector<std::vector<int>> sources_;    // step -> values it reads
  std::vector<int> values_;                  // step -> value it writes
  std::vector<Packing> packings_;
  std::vector<Constant> constants_;
  size_t weight_floats_ = 0, scratch_ = 0;
};

std::unique_ptr<const Plan> Plan::make(const Graph& graph, const PlanOptions& options) {
  return PlanBuilder(graph, options).build();
}

}  // namespace kernelet
