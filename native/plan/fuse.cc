#include "fuse.h"

namespace kernelet {
namespace {

// Nodes the output depends on, and how many of those read each node.
struct Uses {
  NodeFlags live;
  std::vector<int> readers;
};

Uses count_uses(const Graph& graph) {
  Uses uses{NodeFlags(graph.nodes.size()), std::vector<int>(graph.nodes.size())};
  uses.live[graph.output] = true;
  for (int i = graph.output; i >= 0; --i) {
    if (!uses.live[i]) continue;
    for (int input : graph.nodes[i].inputs) {
      uses.live[input] = true;
      ++uses.readers[input];
    }
  }
  return uses;
}

// The one live reader of `node`, or -1 where there are several, or none.
int only_reader(const Graph& graph, const Uses& uses, int node) {
  if (node == graph.output || uses.readers[node] != 1) return -1;
  for (int i = node + 1; i <= graph.output; ++i) {
    if (!uses.live[i]) continue;
    for (int input : graph.nodes[i].inputs) {
      if (input == node) return i;
    }
  }
  return -1;
}

// A 2x2 pool with stride 2 that never looks outside its input: the four corners of the register tile.
bool fits_tile(const Node& pool, const Shape& in) {
  for (int i = 0; i < 2; ++i) {
    if (pool.kernel[i] != 2 || pool.stride[i] != 2 || pool.dilation[i] != 1) return false;
    if (pool.padding[i] != 0 || pool.padding[2 + i] != 0) return false;
    if (pool.ceil_mode && in.dims[1 + i] % 2 != 0) return false;
  }
  return true;
}

// What the tile does in registers: a ReLU, a maximum, or both. They commute to the bit, so the ReLU runs once a
// window. Other functions and averages are faster in a pass of their own than row by row out of the tile.
void extend_conv(const Graph& graph, const Uses& uses, Group& group) {
  Epilogue& e = group.epilogue;
  for (;;) {
    const int next = only_reader(graph, uses, group.nodes.back());
    if (next < 0) return;
    const Node& node = graph.nodes[next];
    if (node.op == Op::relu && e.after.f == Activation::none) {
      e.after = unary_of(node);
    } else if (node.op == Op::max_pool2d && e.pool == Pool::none &&
               fits_tile(node, graph.nodes[group.nodes.back()].shape)) {
      e.pool = Pool::max;
    } else {
      return;
    }
    group.nodes.push_back(next);
  }
}

// Besides a convolution.
bool takes_activation(Op op) {
  switch (op) {
    case Op::linear:
    case Op::add:
    case Op::sub:
    case Op::mul:
    case Op::div:
    case Op::prelu:
    case Op::batch_norm: return true;
    default: return false;
  }
}

}  // namespace

Activation activation_of(Op op) {
  switch (op) {
    case Op::relu: return Activation::relu;
    case Op::tanh: return Activation::tanh;
    case Op::sigmoid: return Activation::sigmoid;
    case Op::leaky_relu: return Activation::leaky_relu;
    case Op::elu:
    case Op::selu: return Activation::elu;
    case Op::silu: return Activation::silu;
    case Op::hardswish: return Activation::hardswish;
    case Op::hardsigmoid: return Activation::hardsigmoid;
    case Op::clip: return Activation::clip;
    case Op::gelu: return Activation::gelu;
    case Op::exp: return Activation::exp;
    case Op::log: return Activation::log;
    case Op::abs: return Activation::abs;
    case Op::pow: return Activation::pow;
    case Op::scaled_tanh: return Activation::scaled_tanh;
    default: return Activation::none;
  }
}

Unary unary_of(const Node& node) {
  return {activation_of(node.op), node.alpha, node.op == Op::elu ? 1.0f : node.beta};
}

std::vector<Group> fuse(const Graph& graph, bool enabled, bool int8) {
  const Uses uses = count_uses(graph);
  NodeFlags done(graph.nodes.size());
  std::vector<Group> groups;
  for (int i = 1; i <= graph.output; ++i) {
    if (!uses.live[i] || done[i] || graph.nodes[i].op == Op::constant) continue;
    Group group;
    group.nodes.push_back(i);
    if (enabled && graph.nodes[i].op == Op::conv2d) extend_conv(graph, uses, group);
    if (enabled && takes_activation(graph.nodes[i].op)) {
      const int next = only_reader(graph, uses, i);
      const bool sums = int8 && graph.nodes[i].op == Op::linear;
      if (next >= 0 && activation_of(graph.nodes[next].op) != Activation::none &&
          (!sums || graph.nodes[next].op == Op::relu)) {
        group.epilogue.after = unary_of(graph.nodes[next]);
        group.nodes.push_back(next);
      }
    }
    for (int node : group.nodes) done[node] = true;
    groups.push_back(group);
  }
  return groups;
}

}  // namespace kernelet
