#include "net.h"

#include <algorithm>

#include "check.h"
#include "naive.h"
#include "ops/definition.h"
#include "ops/window.h"

namespace kernelet {
namespace test {

Shape shape_of(const std::vector<int64_t>& dims) {
  Shape shape;
  shape.rank = static_cast<int>(dims.size());
  std::copy(dims.begin(), dims.end(), shape.dims);
  return shape;
}

int naive_outputs(int in, int before, int after, int kernel, int stride, int dilation, bool ceil_mode) {
  const int64_t reach = int64_t{kernel - 1} * dilation + 1;
  if (reach > int64_t{in} + before + after) return 0;
  int count = 0;
  for (int64_t start = -before;; start += stride) {
    const bool whole = start + reach <= in + after;
    // ceil mode adds at most one window: it begins inside the input or the padding before it
    const bool extra = ceil_mode && start + reach < int64_t{in} + after + stride && start < in;
    if (!whole && !extra) break;
    ++count;
  }
  return count;
}

Net::Net(Random& random, const Shape& input) : random_(random) {
  Node node;
  node.shape = input;
  append(node);
}

int Net::append(Node node) {
  const int index = static_cast<int>(graph.nodes.size());
  node.name = op_name(node.op) + std::to_string(index);
  graph.nodes.push_back(std::move(node));
  graph.output = index;
  return index;
}

Floats Net::floats(size_t count) {
  storage_.emplace_back(random_floats(random_, count), Place::ends_at_page);
  return {storage_.back().data(), count};
}

static bool set_window(Node& node, const Window& w, const Shape& original, int channels) {
  const Shape in = as_image(original);
  std::copy(w.kernel, w.kernel + 2, node.kernel);
  std::copy(w.stride, w.stride + 2, node.stride);
  std::copy(w.dilation, w.dilation + 2, node.dilation);
  std::copy(w.padding, w.padding + 4, node.padding);
  node.shape = shape_of({channels, 0, 0});
  for (int i = 0; i < 2; ++i) {
    node.shape.dims[1 + i] = naive_outputs(static_cast<int>(in.dims[1 + i]), w.padding[i], w.padding[2 + i],
                                           w.kernel[i], w.stride[i], w.dilation[i], node.ceil_mode);
    if (node.shape.dims[1 + i] < 1) return false;
  }
  if (original.rank == 2) {
    if (node.shape.dims[1] != 1) return false;
    node.shape = shape_of({channels, node.shape.dims[2]});
  }
  return true;
}

int Net::conv(int from, int oc, const Window& w, int groups, bool bias) {
  Node node;
  node.op = Op::conv2d;
  node.inputs = {from};
  node.groups = groups;
  if (!set_window(node, w, shape(from), oc)) return -1;
  const int64_t taps = shape(from).dims[0] / groups * w.kernel[0] * w.kernel[1];
  node.weight = floats(static_cast<size_t>(oc * taps));
  if (bias) node.bias = floats(static_cast<size_t>(oc));
  return append(node);
}

int Net::conv_transpose(int from, int oc, const Window& w, int groups, bool bias, int output_padding) {
  Node node;
  node.op = Op::conv_transpose2d;
  node.inputs = {from};
  node.groups = groups;
  const Shape in = as_image(shape(from));
  std::copy(w.kernel, w.kernel + 2, node.kernel);
  std::copy(w.stride, w.stride + 2, node.stride);
  std::copy(w.dilation, w.dilation + 2, node.dilation);
  std::copy(w.padding, w.padding + 4, node.padding);
  node.shape = shape_of({oc, 0, 0});
  for (int i = 0; i < 2; ++i) {
    node.output_padding[i] = std::min(output_padding, std::max(w.stride[i], w.dilation[i]) - 1);
    // one behind the last pixel that a tap reaches
    int64_t end = 0;
    for (int64_t k = 0; k < w.kernel[i]; ++k)
      end = std::max(end, (in.dims[1 + i] - 1) * w.stride[i] + k * w.dilation[i] + 1);
    node.shape.dims[1 + i] = end + node.output_padding[i] - w.padding[i] - w.padding[2 + i];
    if (node.shape.dims[1 + i] < 1) return -1;
  }
  if (shape(from).rank == 2) {
    if (node.shape.dims[1] != 1) return -1;
    node.shape = shape_of({oc, node.shape.dims[2]});
  }
  if (node.shape.dims[0] * node.shape.dims[1] * node.shape.dims[node.shape.rank - 1] > 1 << 24) return -1;
  node.weight = floats(static_cast<size_t>(in.dims[0] * (oc / groups) * w.kernel[0] * w.kernel[1]));
  if (bias) node.bias = floats(static_cast<size_t>(oc));
  return append(node);
}

int Net::resize(Op op, int from, int oh, int ow, Coordinates coordinates, Rounding rounding) {
  Node node;
  node.op = op;
  node.inputs = {from};
  node.coordinates = coordinates;
  node.rounding = rounding;
  const Shape in = as_image(shape(from));
  node.shape = shape_of({in.dims[0], oh, ow});
  for (int i = 0; i < 2; ++i) {
    node.scales[i] = static_cast<float>(node.shape.dims[1 + i]) / static_cast<float>(in.dims[1 + i]);
    if (coordinates == Coordinates::step) node.scales[i] = 1 / node.scales[i];
  }
  if (shape(from).rank == 2) node.shape = shape_of({in.dims[0], ow});
  return append(node);
}

int Net::pool(Op op, int from, const Window& w, bool ceil_mode, bool count_include_pad) {
  Node node;
  node.op = op;
  node.inputs = {from};
  node.ceil_mode = ceil_mode;
  node.count_include_pad = count_include_pad;
  if (!set_window(node, w, shape(from), static_cast<int>(shape(from).dims[0]))) return -1;
  return append(node);
}

int Net::linear(int from, int out, bool bias) {
  Node node;
  node.op = Op::linear;
  node.inputs = {from};
  node.shape = shape(from);
  const int64_t in = node.shape.dims[node.shape.rank - 1];
  node.shape.dims[node.shape.rank - 1] = out;
  node.weight = floats(static_cast<size_t>(in * out));
  if (bias) node.bias = floats(static_cast<size_t>(out));
  return append(node);
}

int Net::unary(Op op, int from) {
  Node node;
  node.op = op;
  node.inputs = {from};
  node.shape = shape(from);
  const Unary f = test::unary(activation_of(op));
  node.alpha = f.a;
  node.beta = f.b;
  return append(node);
}

int Net::softmax(Op op, int from, int axis) {
  Node node;
  node.op = op;
  node.inputs = {from};
  node.shape = shape(from);
  node.axis = axis;
  return append(node);
}

int Net::flatten(int from, const Shape& to) {
  Node node;
  node.op = Op::flatten;
  node.inputs = {from};
  node.shape = to;
  return append(node);
}

int Net::flatten(int from) { return flatten(from, shape_of({shape(from).elements()})); }

int Net::constant(const Shape& shape) {
  Node node;
  node.op = Op::constant;
  node.shape = shape;
  node.weight = floats(static_cast<size_t>(shape.elements()));
  return append(node);
}

static bool broadcast(const Shape& left, const Shape& right, Shape& out) {
  out.rank = std::max(left.rank, right.rank);
  for (int d = 0; d < out.rank; ++d) {
    const int i = d - out.rank + left.rank, j = d - out.rank + right.rank;
    const int64_t x = i < 0 ? 1 : left.dims[i], y = j < 0 ? 1 : right.dims[j];
    if (x != y && x != 1 && y != 1) return false;
    out.dims[d] = std::max(x, y);
  }
  return true;
}

int Net::binary(Op op, int a, int b) {
  Node node;
  node.op = op;
  node.inputs = {a, b};
  return broadcast(shape(a), shape(b), node.shape) ? append(node) : -1;
}

int Net::where(int condition, int a, int b) {
  Node node;
  node.op = Op::where;
  node.inputs = {condition, a, b};
  Shape both;
  const bool fits = broadcast(shape(condition), shape(a), both) && broadcast(both, shape(b), node.shape);
  return fits ? append(node) : -1;
}

int Net::fold(Op op, int from, int axis, bool alpha, bool beta, int kept) {
  Node node;
  node.op = op;
  node.inputs = {from};
  node.shape = shape(from);
  node.axis = axis;
  node.alpha = alpha ? 1.0f : 0.0f;
  node.beta = beta ? 1.0f : 0.0f;
  if (op != Op::cum_sum && op != Op::sort) kept = 1;
  if (kept > 0) node.shape.dims[axis] = kept;
  return append(node);
}

int Net::matmul(int a, int b) {
  Node node;
  node.op = Op::matmul;
  node.inputs = {a, b};
  const Shape &left = shape(a), &right = shape(b);
  if (left.rank < 2 || right.rank < 2 || left.dims[left.rank - 1] != right.dims[right.rank - 2]) return -1;
  node.shape.rank = std::max(left.rank, right.rank);
  const int stack = node.shape.rank - 2;
  for (int d = 0; d < stack; ++d) {
    const int i = d - node.shape.rank + left.rank, j = d - node.shape.rank + right.rank;
    const int64_t x = i < 0 ? 1 : left.dims[i], y = j < 0 ? 1 : right.dims[j];
    if (x != y && x != 1 && y != 1) return -1;
    node.shape.dims[d] = std::max(x, y);
  }
  node.shape.dims[stack] = left.dims[left.rank - 2];
  node.shape.dims[stack + 1] = right.dims[right.rank - 1];
  return append(node);
}

int Net::recurrent(Op op, int from, bool bias, bool states, bool cells) {
  const int64_t gates = op == Op::lstm ? 4 : op == Op::gru || op == Op::gru_reset_first ? 3 : 1;
  if (shape(from).rank != 2 || shape(from).dims[1] % gates != 0) return -1;
  const int64_t hidden = shape(from).dims[1] / gates;
  Node node;
  node.op = op;
  node.inputs = {from};
  for (int i = 0; states && i < (op == Op::lstm ? 2 : 1); ++i)
    node.inputs.push_back(constant(shape_of({hidden})));
  node.shape = shape_of({shape(from).dims[0], op == Op::lstm && cells ? 2 * hidden : hidden});
  node.weight = floats(static_cast<size_t>(gates * hidden * hidden));
  if (bias && op != Op::gru_reset_first) node.bias = floats(static_cast<size_t>(gates * hidden));
  return append(node);
}

int Net::prelu(int from, bool per_channel) {
  Node node;
  node.op = Op::prelu;
  node.inputs = {from};
  node.shape = shape(from);
  node.weight = floats(per_channel ? static_cast<size_t>(node.shape.dims[0]) : 1);
  return append(node);
}

int Net::batch_norm(int from, bool affine) {
  Node node;
  node.op = Op::batch_norm;
  node.inputs = {from};
  node.shape = shape(from);
  const size_t channels = static_cast<size_t>(node.shape.dims[0]);
  if (affine) {
    node.weight = floats(channels);
    node.bias = floats(channels);
  }
  node.mean = floats(channels);
  std::vector<float> variance = random_floats(random_, channels);
  for (float& v : variance) v = v * v + 0.125f;
  storage_.emplace_back(variance, Place::ends_at_page);
  node.variance = {storage_.back().data(), channels};
  return append(node);
}

int Net::layer_norm(int from, int axis, bool affine, bool rms) {
  Node node;
  node.op = rms ? Op::rms_norm : Op::layer_norm;
  node.inputs = {from};
  node.shape = shape(from);
  node.axis = axis;
  size_t n = 1;
  for (int d = axis; d < node.shape.rank; ++d) n *= static_cast<size_t>(node.shape.dims[d]);
  if (affine) {
    node.weight = floats(n);
    node.bias = floats(n);
  }
  return append(node);
}

int Net::group_norm(int from, int groups, bool affine) {
  Node node;
  node.op = Op::group_norm;
  node.inputs = {from};
  node.shape = shape(from);
  node.groups = groups;
  if (affine) {
    node.weight = floats(static_cast<size_t>(node.shape.dims[0]));
    node.bias = floats(static_cast<size_t>(node.shape.dims[0]));
  }
  return append(node);
}

int Net::adaptive(Op op, int from, int oh, int ow) {
  Node node;
  node.op = op;
  node.inputs = {from};
  node.shape = shape(from);
  node.shape.dims[1] = shape(from).rank == 2 ? ow : oh;
  node.shape.dims[2] = ow;
  if (node.shape.rank == 2) node.shape.dims[2] = 0;
  return append(node);
}

int Net::reshape(int from, const Shape& to) {
  Node node;
  node.op = Op::reshape;
  node.inputs = {from};
  node.shape = to;
  return append(node);
}

int Net::permute(int from, const std::vector<int>& axes) {
  Node node;
  node.op = Op::permute;
  node.inputs = {from};
  node.shape.rank = shape(from).rank;
  for (int d = 0; d < node.shape.rank; ++d) {
    node.axes[d] = axes[static_cast<size_t>(d)];
    node.shape.dims[d] = shape(from).dims[node.axes[d]];
  }
  return append(node);
}

int Net::slice(int from, const std::vector<int64_t>& starts, const std::vector<int64_t>& steps,
               const std::vector<int64_t>& counts) {
  Node node;
  node.op = Op::slice;
  node.inputs = {from};
  node.shape = shape_of(counts);
  std::copy(starts.begin(), starts.end(), node.starts);
  std::copy(steps.begin(), steps.end(), node.steps);
  return append(node);
}

int Net::pad(int from, const std::vector<int64_t>& before, const std::vector<int64_t>& dims, float value) {
  Node node;
  node.op = Op::pad;
  node.inputs = {from};
  node.shape = shape_of(dims);
  std::copy(before.begin(), before.end(), node.starts);
  node.value = value;
  return append(node);
}

int Net::concat(const std::vector<int>& from, int axis) {
  Node node;
  node.op = Op::concat;
  node.inputs = from;
  node.axis = axis;
  node.shape = shape(from[0]);
  node.shape.dims[axis] = 0;
  for (int i : from) node.shape.dims[axis] += shape(i).dims[axis];
  return append(node);
}

std::string Net::text() const {
  std::string s;
  for (const Node& node : graph.nodes) {
    if (!s.empty()) s += ' ';
    s += node.name;
    for (size_t i = 0; i < node.inputs.size(); ++i) s += (i ? "," : "(") + std::to_string(node.inputs[i]);
    s += (node.inputs.empty() ? "" : ")") + std::string(":") + node.shape.text();
  }
  return s + " -> " + std::to_string(graph.output);
}

int lenet5(Net& net) {
  int x = net.unary(Op::relu, net.conv(0, 6, Window(5)));
  x = net.pool(Op::max_pool2d, x, Window(2, 2));
  x = net.unary(Op::relu, net.conv(x, 16, Window(5)));
  x = net.pool(Op::max_pool2d, x, Window(2, 2));
  x = net.flatten(x);
  x = net.unary(Op::relu, net.linear(x, 120));
  x = net.unary(Op::relu, net.linear(x, 84));
  return net.linear(x, 10);
}

PlanOptions in_small_strips(PlanOptions options) {
  options.depth_first.from = 0;
  options.depth_first.strip = 1000;
  options.depth_first.most_repeated = 1e9;
  return options;
}

PlanOptions in_blocks(const char* isa, int threads) {
  PlanOptions options = in_small_strips(PlanOptions());
  options.isa = isa;
  options.algorithm = "blocked";
  options.threads = threads;
  options.divide_from = 0;
  return options;
}

std::unique_ptr<const Plan> make_plan(const Graph& graph, const char* isa, bool fuse, int threads,
                                      const char* algorithm) {
  PlanOptions options;
  options.isa = isa;
  options.fuse = fuse;
  options.threads = threads;
  options.algorithm = algorithm;
  if (options.algorithm == "blocked") options = in_small_strips(options);
  return Plan::make(graph, options);
}

std::vector<float> run_guarded(const Plan& plan, const std::vector<float>& input, int64_t batch,
                               Place place) {
  const Guarded in(input, place);
  const Guarded out(static_cast<size_t>(plan.output_length() * batch), place);
  plan.run(in.data(), out.data(), batch);
  check(out.canaries() && aligned_canaries_alive(), "nothing but the output is written");
  return std::vector<float>(out.data(), out.data() + out.size());
}

}  // namespace test
}  // namespace kernelet
