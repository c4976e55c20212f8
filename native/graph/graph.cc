#include "graph.h"

#include <cstring>

namespace kernelet {
namespace {

constexpr const char* op_names[] = {"input",
                                    "constant",
                                    "conv2d",
                                    "maxPool2d",
                                    "avgPool2d",
                                    "linear",
                                    "relu",
                                    "tanh",
                                    "sigmoid",
                                    "softmax",
                                    "logSoftmax",
                                    "flatten",
                                    "add",
                                    "concat",
                                    "dropout",
                                    "leakyRelu",
                                    "elu",
                                    "selu",
                                    "silu",
                                    "hardswish",
                                    "hardsigmoid",
                                    "clip",
                                    "gelu",
                                    "exp",
                                    "log",
                                    "abs",
                                    "pow",
                                    "scaledTanh",
                                    "prelu",
                                    "sub",
                                    "mul",
                                    "div",
                                    "batchNorm",
                                    "adaptiveAvgPool2d",
                                    "adaptiveMaxPool2d",
                                    "reshape",
                                    "permute",
                                    "slice",
                                    "pad"};

// Strides, windows and paddings beyond this are nobody's network, and keep int32 arithmetic exact.
constexpr int max_extent = 1 << 15;

[[noreturn]] void bad_shape(const Node& node, std::initializer_list<Text> expected,
                            std::initializer_list<Text> received) {
  fail("ERR_SHAPE",
       {node.name, ": expected ", sentence_of(expected), " but received ", sentence_of(received)});
}

void check_range(const Node& node, const char* what, int value, int low) {
  if (value < low || value > max_extent) {
    fail("ERR_ARGUMENT",
         {node.name, ": expected ", what, " from ", low, " to ", max_extent, " but received ", value});
  }
}

void check_window(const Node& node) {
  for (int i = 0; i < 2; ++i) {
    check_range(node, "kernelSize", node.kernel[i], 1);
    check_range(node, "stride", node.stride[i], 1);
    check_range(node, "dilation", node.dilation[i], 1);
  }
  for (int pad : node.padding) check_range(node, "padding", pad, 0);
}

void check_inputs(const Node& node, size_t index, size_t at_least, size_t at_most) {
  if (node.inputs.size() < at_least || node.inputs.size() > at_most) {
    fail("ERR_ARGUMENT", {node.name, ": ", op_name(node.op), " received ", node.inputs.size(), " inputs"});
  }
  for (int i : node.inputs) {
    if (i < 0 || static_cast<size_t>(i) >= index) {
      fail("ERR_ARGUMENT", {node.name, ": input ", i, " is not an earlier node"});
    }
  }
}

void check_length(const Node& node, const char* what, const Floats& floats, int64_t expected) {
  if (floats.data == nullptr || floats.length != static_cast<size_t>(expected)) {
    bad_shape(node, {expected, " values in ", what}, {floats.length});
  }
}

// What slides over a plane sees [c][l] as [c][1][l].
Shape image_of(const Node& node, const Shape& in) {
  if (in.rank != 3 && in.rank != 2) bad_shape(node, {"an input of [channels, height, width]"}, {in.text()});
  return as_image(in);
}

// And gives [c][l] back.
Shape like(const Shape& in, Shape out) {
  if (in.rank == 2) {
    if (out.dims[1] != 1) out.dims[2] = 0;  // a window that is no row: fits nothing
    out.dims[1] = out.dims[2];
    out.rank = 2;
  }
  return out;
}

Shape conv_shape(const Node& node, const Shape& original) {
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
  Shape out;
  out.rank = 3;
  out.dims[0] = oc;
  for (int i = 0; i < 2; ++i) {
    out.dims[1 + i] = window_outputs(in.dims[1 + i], node.padding[i], node.padding[2 + i], node.kernel[i],
                                     node.stride[i], node.dilation[i], false);
  }
  return like(original, out);
}

Shape pool_shape(const Node& node, const Shape& original) {
  check_window(node);
  const Shape in = image_of(node, original);
  Shape out = in;
  for (int i = 0; i < 2; ++i) {
    // ONNX's limit; PyTorch's is half the window
    const int most = (node.kernel[i] - 1) * node.dilation[i];
    const int pad = node.padding[i] > node.padding[2 + i] ? node.padding[i] : node.padding[2 + i];
    if (pad > most) {
      fail("ERR_ARGUMENT",
           {node.name, ": expected padding smaller than the window, at most ", most, ", but received ", pad});
    }
    out.dims[1 + i] = window_outputs(in.dims[1 + i], node.padding[i], node.padding[2 + i], node.kernel[i],
                                     node.stride[i], node.dilation[i], node.ceil_mode);
  }
  return like(original, out);
}

// The node's own shape, where the input does not say it.
Shape own_shape(const Node& node, const Shape& in) {
  if (node.shape.rank != in.rank) bad_shape(node, {in.rank, " dimensions"}, {node.shape.rank});
  return node.shape;
}

Shape adaptive_shape(const Node& node, const Shape& in) {
  image_of(node, in);
  Shape out = own_shape(node, in);
  out.dims[0] = in.dims[0];
  return out;
}

// NumPy's: aligned at the last dimension, 1 stretches.
Shape broadcast_shape(const Node& node, const Shape& a, const Shape& b) {
  Shape out = a.rank >= b.rank ? a : b;
  const Shape& other = a.rank >= b.rank ? b : a;
  for (int i = 1; i <= other.rank; ++i) {
    int64_t& dim = out.dims[out.rank - i];
    const int64_t with = other.dims[other.rank - i];
    if (dim != with && dim != 1 && with != 1)
      bad_shape(node, {"shapes that broadcast"}, {a.text(), " and ", b.text()});
    if (dim == 1) dim = with;
  }
  out.check(node.name);
  return out;
}

void check_channels(const Node& node, int64_t channels) {
  if (node.op == Op::prelu)
    return check_length(node, "weight", node.weight, node.weight.length == 1 ? 1 : channels);
  check_length(node, "mean", node.mean, channels);
  check_length(node, "variance", node.variance, channels);
  if (node.weight.data != nullptr) check_length(node, "weight", node.weight, channels);
  if (node.bias.data != nullptr) check_length(node, "bias", node.bias, channels);
}

Shape permute_shape(const Node& node, const Shape& in) {
  Shape out = in;
  int seen = 0;
  for (int i = 0; i < in.rank; ++i) {
    const int axis = node.axes[i];
    if (axis < 0 || axis >= in.rank || (seen >> axis & 1) != 0)
      bad_shape(node, {"each axis below ", in.rank, " once"}, {axis});
    seen |= 1 << axis;
    out.dims[i] = in.dims[axis];
  }
  return out;
}

// Counts are the node's own: every index they reach has to be one of the input's.
Shape slice_shape(const Node& node, const Shape& in) {
  const Shape out = own_shape(node, in);
  for (int i = 0; i < in.rank; ++i) {
    const int64_t start = node.starts[i], step = node.steps[i];
    if (step == 0 || step > Shape::max_elements || step < -Shape::max_elements || start < 0 ||
        start >= in.dims[i])
      bad_shape(node, {"a start below ", in.dims[i], " and a step that is not 0"}, {start, " by ", step});
    const int64_t last = start + step * (out.dims[i] - 1);
    if (last < 0 || last >= in.dims[i]) bad_shape(node, {"indices below ", in.dims[i]}, {last});
  }
  return out;
}

Shape pad_shape(const Node& node, const Shape& in) {
  const Shape out = own_shape(node, in);
  for (int i = 0; i < in.rank; ++i) {
    if (node.starts[i] > Shape::max_elements || node.starts[i] < -Shape::max_elements)
      bad_shape(node, {"a padding of at most 2147483647"}, {node.starts[i]});
  }
  return out;
}

Shape linear_shape(const Node& node, const Shape& in) {
  Shape out = in;
  out.dims[out.rank - 1] = node.shape.rank == in.rank ? node.shape.dims[in.rank - 1] : 0;
  out.check(node.name);
  const int64_t features = in.dims[in.rank - 1];
  if (features > Shape::max_elements / out.dims[out.rank - 1])
    bad_shape(node, {"fewer features"}, {in.text()});
  check_length(node, "weight", node.weight, out.dims[out.rank - 1] * features);
  if (node.bias.data != nullptr) check_length(node, "bias", node.bias, out.dims[out.rank - 1]);
  return out;
}

Shape concat_shape(const Node& node, const std::vector<Node>& nodes) {
  Shape out = nodes[node.inputs[0]].shape;
  if (node.axis < 0 || node.axis >= out.rank) bad_shape(node, {"an axis below the rank"}, {node.axis});
  for (size_t i = 1; i < node.inputs.size(); ++i) {
    const Shape& next = nodes[node.inputs[i]].shape;
    bool fits = next.rank == out.rank;
    for (int d = 0; fits && d < out.rank; ++d) fits = d == node.axis || next.dims[d] == out.dims[d];
    if (!fits) bad_shape(node, {"inputs alike but for dimension ", node.axis}, {next.text()});
    out.dims[node.axis] += next.dims[node.axis];
    out.check(node.name);
  }
  return out;
}

}  // namespace

const char* op_name(Op op) { return op_names[static_cast<int>(op)]; }

Shape as_image(const Shape& shape) {
  Shape image = shape;
  if (shape.rank == 2) {
    image.rank = 3;
    image.dims[2] = shape.dims[1];
    image.dims[1] = 1;
  }
  return image;
}

Op op_of(const std::string& name) {
  for (size_t i = 0; i < sizeof op_names / sizeof *op_names; ++i) {
    if (name == op_names[i]) return static_cast<Op>(i);
  }
  fail("ERR_ARGUMENT", {"unknown operation '", name, "'"});
}

int64_t window_outputs(int64_t in, int pad_before, int pad_after, int kernel, int stride, int dilation,
                       bool ceil_mode) {
  const int64_t reach = static_cast<int64_t>(dilation) * (kernel - 1) + 1;
  const int64_t room = in + pad_before + pad_after - reach;
  if (room < 0) return 0;
  int64_t out = (room + (ceil_mode ? stride - 1 : 0)) / stride + 1;
  // the last window must start inside the input or the padding before it
  if (ceil_mode && (out - 1) * stride >= in + pad_before) --out;
  return out;
}

void Graph::validate() const {
  if (nodes.empty() || nodes[0].op != Op::input) {
    fail("ERR_ARGUMENT", {"a graph starts with its input node"});
  }
  if (output < 0 || static_cast<size_t>(output) >= nodes.size()) {
    fail("ERR_ARGUMENT", {"the output ", output, " is not a node of the graph"});
  }
  for (size_t i = 0; i < nodes.size(); ++i) {
    const Node& node = nodes[i];
    node.shape.check(node.name);
    const bool many = node.op == Op::concat;
    size_t count = 1;
    switch (node.op) {
      case Op::input:
      case Op::constant: count = 0; break;
      case Op::add:
      case Op::sub:
      case Op::mul:
      case Op::div: count = 2; break;
      default: break;
    }
    check_inputs(node, i, count, many ? 4096 : count);
    if (node.op == Op::input) {
      if (i != 0) fail("ERR_UNSUPPORTED", {node.name, ": a graph has one input"});
      continue;
    }
    if (node.op == Op::constant) {
      check_length(node, "weight", node.weight, node.shape.elements());
      continue;
    }
    const Shape& in = nodes[node.inputs[0]].shape;
    Shape out = in;
    switch (node.op) {
      case Op::conv2d: out = conv_shape(node, in); break;
      case Op::max_pool2d:
      case Op::avg_pool2d: out = pool_shape(node, in); break;
      case Op::linear: out = linear_shape(node, in); break;
      case Op::concat: out = concat_shape(node, nodes); break;
      case Op::flatten:
      case Op::reshape:
        out = node.shape;
        if (out.elements() != in.elements()) bad_shape(node, {in.elements(), " elements"}, {out.text()});
        break;
      case Op::add:
      case Op::sub:
      case Op::mul:
      case Op::div: out = broadcast_shape(node, in, nodes[node.inputs[1]].shape); break;
      case Op::prelu:
      case Op::batch_norm: check_channels(node, in.dims[0]); break;
      case Op::adaptive_avg_pool2d:
      case Op::adaptive_max_pool2d: out = adaptive_shape(node, in); break;
      case Op::permute: out = permute_shape(node, in); break;
      case Op::slice: out = slice_shape(node, in); break;
      case Op::pad: out = pad_shape(node, in); break;
      case Op::softmax:
      case Op::log_softmax:
        if (node.axis < 0 || node.axis >= in.rank) {
          bad_shape(node, {"an axis below the rank ", in.rank}, {node.axis});
        }
        break;
      case Op::dropout:
        if (!(node.p >= 0.0f && node.p <= 1.0f)) {
          fail("ERR_ARGUMENT", {node.name, ": expected p from 0 to 1 but received ", node.p});
        }
        break;
      default: break;
    }
    for (int d = 0; d < out.rank; ++d) {
      if (out.dims[d] < 1) bad_shape(node, {"a window that fits into the padded input"}, {in.text()});
    }
    if (out != node.shape) bad_shape(node, {"output shape ", out.text()}, {node.shape.text()});
  }
}

}  // namespace kernelet
