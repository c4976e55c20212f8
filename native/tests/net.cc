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

int Net::binary(Op op, int a, int b) {
  Node node;
  node.op = op;
  node.inputs = {a, b};
  const Shape &left = shape(a), &right = shape(b);
  node.shape.rank = std::max(left.rank, right.rank);
  for (int d = 0; d < node.shape.rank; ++d) {
    const int i = d - node.shape.rank + left.rank, j = d - node.shape.rank + right.rank;
    const int64_t x = i < 0 ? 1 : left.dims[i], y = j < 0 ? 1 : right.dims[j];
    if (x != y && x != 1 && y != 1) return -1;
    node.shape.dims[d] = std::max(x, y);
  }
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

namespace {

constexpr int most_elements = 3000;

// oneDNN's conv tests take prime strides: they hide least behind alignment.
Window random_window(Random& random, bool wild, bool pool) {
  constexpr int strides[] = {1, 1, 1, 2, 2, 3, 5, 7};
  constexpr int wild_values[] = {1, 2, 3, 4, 5, 6, 8, 13, 31, 64, 1000, 32768};
  Window w;
  const bool square = random.chance(50);
  for (int i = 0; i < 2; ++i) {
    if (i == 1 && square) {
      w.kernel[1] = w.kernel[0];
      w.stride[1] = w.stride[0];
      w.dilation[1] = w.dilation[0];
      w.padding[1] = w.padding[0];
      w.padding[3] = w.padding[2];
      break;
    }
    w.kernel[i] = random.chance(30) ? 2 : random.range(1, 5);
    w.stride[i] = pool && random.chance(50) ? w.kernel[i] : random.pick(strides);
    w.dilation[i] = random.chance(70) ? 1 : random.range(2, 4);
    if (wild && random.chance(30)) w.kernel[i] = random.range(1, 40);
    if (wild && random.chance(30)) w.stride[i] = random.pick(wild_values);
    if (wild && random.chance(30)) w.dilation[i] = random.pick(wild_values);
    const int most = pool ? (w.kernel[i] - 1) * w.dilation[i] : wild ? 40 : 3;
    if (random.chance(40)) w.padding[i] = w.padding[2 + i] = random.range(0, std::min(most, 40));
    if (random.chance(20)) w.padding[2 + i] = random.range(0, std::min(most, 40));
  }
  if (pool && random.chance(40)) return Window(2, 2);
  return w;
}

// Appends one random node; may append none.
void grow(Net& net, Random& random, bool wild) {
  const int count = static_cast<int>(net.graph.nodes.size());
  const auto any = [&] { return random.chance(60) ? count - 1 : random.range(0, count - 1); };
  const int from = any();
  const Shape& in = net.shape(from);
  const size_t before = net.graph.nodes.size();
  switch (random.range(0, 17)) {
    case 0:
    case 1:
    case 2:
    case 3: {
      if (in.rank != 3 && in.rank != 2) return;
      const int ic = static_cast<int>(in.dims[0]);
      int groups = 1;
      if (random.chance(30)) groups = ic;
      if (random.chance(20) && ic % 2 == 0) groups = 2;
      // one draw a statement: compilers may evaluate arguments in any order
      const int oc = groups * random.range(1, groups > 4 ? 2 : 9);
      const Window w = random_window(random, wild, false);
      net.conv(from, oc, w, groups, random.chance(70));
      break;
    }
    case 4: {
      if (in.rank != 3) return;
      Window w = random_window(random, wild, true);
      net.pool(Op::max_pool2d, from, w, random.chance(30));
      break;
    }
    case 5: {
      if (in.rank != 3) return;
      Window w = random_window(random, wild, true);
      const bool ceil_mode = random.chance(30);
      net.pool(Op::avg_pool2d, from, w, ceil_mode, random.chance(50));
      break;
    }
    case 6: {
      const int out = random.range(1, 70);
      net.linear(from, out, random.chance(70));
      break;
    }
    case 7:
    case 8: {
      // (no exp, log or power: what they overflow to would hide the rest)
      constexpr int ops[] = {
          static_cast<int>(Op::relu),        static_cast<int>(Op::relu),
          static_cast<int>(Op::tanh),        static_cast<int>(Op::sigmoid),
          static_cast<int>(Op::clip),        static_cast<int>(Op::leaky_relu),
          static_cast<int>(Op::elu),         static_cast<int>(Op::selu),
          static_cast<int>(Op::silu),        static_cast<int>(Op::hardswish),
          static_cast<int>(Op::gelu),        static_cast<int>(Op::abs),
          static_cast<int>(Op::hardsigmoid), static_cast<int>(Op::scaled_tanh),
      };
      net.unary(static_cast<Op>(random.pick(ops)), from);
      break;
    }
    case 9: {
      if (random.chance(50)) {
        const Op op = random.chance(50) ? Op::softmax : Op::log_softmax;
        net.softmax(op, from, random.range(0, in.rank - 1));
      } else if (random.chance(70)) {
        net.flatten(from);
      } else {
        net.reshape(from, random.chance(50) ? shape_of({1, in.elements(), 1}) : shape_of({in.elements(), 1}));
      }
      break;
    }
    case 10: {
      // an earlier value of the same shape, this value itself, or a constant
      std::vector<int> alike;
      for (int i = 0; i < count; ++i) {
        if (net.shape(i) == in) alike.push_back(i);
      }
      const int other =
          random.chance(20) ? net.constant(net.shape(from)) : alike[random.next() % alike.size()];
      random.chance(50) ? net.add(from, other) : net.add(other, from);
      break;
    }
    case 11: {
      // any value or constant that broadcasts
      constexpr int ops[] = {static_cast<int>(Op::add), static_cast<int>(Op::sub), static_cast<int>(Op::mul)};
      const Op op = static_cast<Op>(random.pick(ops));
      int other = random.range(0, count - 1);
      if (random.chance(60)) {
        Shape shape = in;
        for (int d = 0; d < in.rank; ++d) shape.dims[d] = random.chance(50) ? 1 : in.dims[d];
        for (int drop = random.range(0, in.rank - 1); drop > 0; --drop) {
          for (int d = 1; d < shape.rank; ++d) shape.dims[d - 1] = shape.dims[d];
          shape.dims[--shape.rank] = 0;
        }
        other = net.constant(shape);
      }
      if ((random.chance(50) ? net.binary(op, from, other) : net.binary(op, other, from)) < 0)
        net.graph.nodes.resize(before);
      net.graph.output = static_cast<int>(net.graph.nodes.size()) - 1;
      break;
    }
    case 12: {
      if (random.chance(70)) net.batch_norm(from, random.chance(80));
      else net.prelu(from, random.chance(70));
      break;
    }
    case 13: {
      if (in.rank != 3 && in.rank != 2) return;
      const Op op = random.chance(60) ? Op::adaptive_avg_pool2d : Op::adaptive_max_pool2d;
      const int oh = random.chance(40) ? 1 : random.range(1, 7),
                ow = random.chance(40) ? 1 : random.range(1, 7);
      net.adaptive(op, from, oh, ow);
      break;
    }
    case 14: {
      std::vector<int> axes;
      for (int d = 0; d < in.rank; ++d) axes.insert(axes.begin() + random.range(0, d), d);
      net.permute(from, axes);
      break;
    }
    case 15: {
      std::vector<int64_t> starts, steps, counts;
      for (int d = 0; d < in.rank; ++d) {
        const int dim = static_cast<int>(in.dims[d]), step = random.chance(60) ? 1 : random.range(1, 3);
        const int first = random.chance(50) ? 0 : random.range(0, dim - 1);
        const int n = random.range(1, (dim - 1 - first) / step + 1);
        const bool backwards = random.chance(20);
        starts.push_back(backwards ? first + (n - 1) * step : first);
        steps.push_back(backwards ? -step : step);
        counts.push_back(n);
      }
      net.slice(from, starts, steps, counts);
      break;
    }
    case 16: {
      std::vector<int64_t> starts, dims;
      for (int d = 0; d < in.rank; ++d) {
        const int begin = random.chance(60) ? 0 : random.range(-2, 3),
                  end = random.chance(60) ? 0 : random.range(-2, 3);
        starts.push_back(begin);
        dims.push_back(std::max<int64_t>(1, in.dims[d] + begin + end));
      }
      net.pad(from, starts, dims, random.real());
      break;
    }
    default: {
      const int axis = random.range(0, in.rank - 1);
      std::vector<int> fitting;
      for (int i = 0; i < count; ++i) {
        Shape a = net.shape(i);
        if (a.rank != in.rank) continue;
        a.dims[axis] = in.dims[axis];
        if (a == in) fitting.push_back(i);
      }
      std::vector<int> parts;
      for (int i = random.range(1, 4); i > 0; --i) parts.push_back(fitting[random.next() % fitting.size()]);
      net.concat(parts, axis);
      break;
    }
  }
  // too large to go on with: take it back
  if (net.graph.nodes.size() > before && net.shape(net.graph.output).elements() > most_elements) {
    net.graph.nodes.resize(before);
    net.graph.output = static_cast<int>(before) - 1;
  }
}

}  // namespace

Net random_net(Random& random, int nodes, bool wild) {
  const Shape inputs[] = {shape_of({random.range(1, 8), random.range(4, 20), random.range(4, 20)}),
                          shape_of({random.range(1, 3), random.range(1, 30), random.range(1, 30)}),
                          shape_of({random.range(1, 6), random.range(1, 60)}),
                          shape_of({random.range(1, 80)}),
                          shape_of({2, random.range(1, 5), 3, random.range(1, 9)})};
  Net net(random, inputs[random.chance(80) ? random.range(0, 1) : random.range(2, 4)]);
  for (int tries = 0; tries < 3 * nodes && static_cast<int>(net.graph.nodes.size()) <= nodes; ++tries) {
    grow(net, random, wild);
  }
  if (random.chance(10)) net.graph.output = random.range(0, net.graph.output);
  return net;
}

std::unique_ptr<const Plan> make_plan(const Graph& graph, const char* isa, bool fuse, int threads,
                                      const char* algorithm) {
  PlanOptions options;
  options.isa = isa;
  options.fuse = fuse;
  options.threads = threads;
  options.algorithm = algorithm;
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
