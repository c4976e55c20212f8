#include "spoil.h"

#include <climits>
#include <cstdint>

namespace kernelet {
namespace test {
namespace {

constexpr int nasty_ints[] = {0,     -1,    1,       2,       3,       4,       7,      100,   4096,  32767,
                              32768, 32769, 1 << 16, 1 << 30, INT_MAX, INT_MIN, -32768, 46341, 65535, -2};
constexpr int64_t nasty_dims[] = {
    0,         -1,        1,         2,         3,         100,          46341,
    65536,     1ll << 31, 1ll << 32, INT64_MAX, INT64_MIN, -(1ll << 32), (1ll << 31) - 1,
    1ll << 62, 5};

}  // namespace

void corrupt(Net& net, Random& random) {
  Graph& g = net.graph;
  const int count = static_cast<int>(g.nodes.size());
  Node& node = g.nodes[random.next() % g.nodes.size()];
  const int i = random.range(0, 1);
  const auto nasty = [&](int old) {
    if (!random.chance(50)) return random.pick(nasty_ints);
    const int by = random.range(-2, 2);
    return static_cast<int>(static_cast<unsigned>(old) + static_cast<unsigned>(by));  // may wrap
  };
  const auto resized = [&](Floats& floats) {
    // a length the caller lies about is the caller's crime: the floats are there, or the pointer is null
    const size_t length = random.chance(50) ? floats.length + static_cast<size_t>(random.range(0, 2)) - 1
                                            : random.next() % 5000;
    floats = length > 50000 ? Floats() : net.floats(length);
    if (random.chance(10)) floats.data = nullptr;
    if (floats.data == nullptr && random.chance(50)) floats.length = random.next();
  };
  switch (random.range(0, 25)) {
    case 0: node.kernel[i] = nasty(node.kernel[i]); break;
    case 1: node.stride[i] = nasty(node.stride[i]); break;
    case 2: node.dilation[i] = nasty(node.dilation[i]); break;
    case 3: node.padding[random.range(0, 3)] = nasty(node.padding[i]); break;
    case 4: node.groups = nasty(node.groups); break;
    case 5: node.axis = nasty(node.axis); break;
    case 6: node.ceil_mode = !node.ceil_mode; break;
    case 7: node.count_include_pad = !node.count_include_pad; break;
    case 18: node.axes[random.range(0, 5)] = nasty(node.axes[i]); break;
    case 19:
      node.starts[random.range(0, 5)] = nasty_dims[random.next() % (sizeof nasty_dims / sizeof *nasty_dims)];
      break;
    case 20:
      node.steps[random.range(0, 5)] = nasty_dims[random.next() % (sizeof nasty_dims / sizeof *nasty_dims)];
      break;
    case 21: {  // (it may have been spoilt before, and be the least or the greatest there is)
      int64_t& start = node.starts[random.range(0, 2)];
      start = static_cast<int64_t>(static_cast<uint64_t>(start) + static_cast<uint64_t>(random.range(-2, 2)));
      break;
    }
    case 22: resized(random.chance(50) ? node.mean : node.variance); break;
    case 23: node.output_padding[i] = nasty(node.output_padding[i]); break;
    case 24: {
      constexpr int bits[] = {0,          INT32_MIN,  0x3f800000, 0x40490fdb,
                              0x7f800000, 0x7fc00000, 0x00000001, 0x7f7fffff};
      node.scales[i] = float_of(static_cast<uint32_t>(random.pick(bits)));
      if (random.chance(50)) node.coordinates = static_cast<Coordinates>(random.range(0, 4));
      break;
    }
    case 8:
      if (!node.inputs.empty()) node.inputs[random.next() % node.inputs.size()] = nasty(node.inputs[0]);
      break;
    case 9: node.inputs.push_back(random.range(-1, count)); break;
    case 10:
      if (!node.inputs.empty()) node.inputs.pop_back();
      break;
    case 11: node.op = static_cast<Op>(random.range(0, op_count - 1)); break;
    case 12: resized(node.weight); break;
    case 13: resized(node.bias); break;
    case 14: node.shape.rank = random.chance(70) ? random.range(-1, 8) : random.pick(nasty_ints); break;
    case 15:
      node.shape.dims[random.next() % 6] =
          nasty_dims[random.next() % (sizeof nasty_dims / sizeof *nasty_dims)];
      break;
    case 16: {
      int64_t& dim = node.shape.dims[random.next() % 3];
      if (dim > -1000 && dim < 1 << 30) dim += random.range(-2, 2);
      break;
    }
    default: g.output = nasty(g.output); break;
  }
}

void repair(Net& net) {
  Graph& g = net.graph;
  for (size_t n = 1; n < g.nodes.size(); ++n) {
    Node& node = g.nodes[n];
    if (node.inputs.empty() || node.inputs[0] < 0 || node.inputs[0] >= static_cast<int>(n)) continue;
    const Shape& in = g.nodes[static_cast<size_t>(node.inputs[0])].shape;
    if (in.rank < 1 || in.rank > Shape::max_rank) return;
    if (node.op == Op::conv2d || node.op == Op::max_pool2d || node.op == Op::avg_pool2d) {
      if (in.rank != 3) return;
      if (node.op != Op::conv2d) node.shape.dims[0] = in.dims[0];
      for (int i = 0; i < 2; ++i) {
        const bool sane = node.kernel[i] > 0 && node.stride[i] > 0 && node.dilation[i] > 0 &&
                          node.padding[i] >= 0 && node.padding[2 + i] >= 0 && node.padding[i] < 100000 &&
                          node.padding[2 + i] < 100000 && in.dims[1 + i] > 0 && in.dims[1 + i] < 100000;
        if (!sane) return;
        node.shape.dims[1 + i] = naive_outputs(static_cast<int>(in.dims[1 + i]), node.padding[i],
                                               node.padding[2 + i], node.kernel[i], node.stride[i],
                                               node.dilation[i], node.ceil_mode && node.op != Op::conv2d);
      }
      if (node.op != Op::conv2d) continue;
      const int64_t taps = node.groups > 0 ? in.dims[0] / node.groups : 0;
      if (node.shape.dims[0] < 1 || node.shape.dims[0] > 100 || taps < 1 || taps > 100) return;
      if (node.kernel[0] > 1000 || node.kernel[1] > 1000) return;
      const int64_t length = taps * node.shape.dims[0] * node.kernel[0] * node.kernel[1];
      if (length > 200000) return;
      if (node.weight.length != static_cast<size_t>(length))
        node.weight = net.floats(static_cast<size_t>(length));
    } else if (node.op == Op::conv_transpose2d) {
      if (in.rank != 3 || node.groups < 1 || node.groups > 100) return;
      if (in.dims[0] < 1 || in.dims[0] > 10000 || node.shape.dims[0] < 1 || node.shape.dims[0] > 10000)
        return;
      const int64_t filters = in.dims[0] * (node.shape.dims[0] / node.groups);
      int64_t length = filters;
      for (int i = 0; i < 2; ++i) {
        const bool sane = node.kernel[i] > 0 && node.kernel[i] <= 1000 && node.stride[i] > 0 &&
                          node.dilation[i] > 0 && node.padding[i] >= 0 && node.padding[2 + i] >= 0 &&
                          node.output_padding[i] >= 0 && in.dims[1 + i] > 0 && in.dims[1 + i] < 100000;
        if (!sane) return;
        length *= node.kernel[i];
        node.shape.dims[1 + i] = (in.dims[1 + i] - 1) * node.stride[i] + 1 + node.output_padding[i] +
                                 int64_t{node.dilation[i]} * (node.kernel[i] - 1) - node.padding[i] -
                                 node.padding[2 + i];
      }
      if (filters < 1 || filters > 10000 || length > 200000) return;
      if (node.weight.length != static_cast<size_t>(length))
        node.weight = net.floats(static_cast<size_t>(length));
    } else if (node.op == Op::linear) {
      const int64_t features = in.dims[in.rank - 1];
      const int64_t out =
          node.shape.dims[node.shape.rank >= 1 && node.shape.rank <= 6 ? node.shape.rank - 1 : 0];
      if (features < 1 || out < 1 || features > 100000 || out > 1000 || features * out > 200000) return;
      node.shape = in;
      node.shape.dims[in.rank - 1] = out;
      node.weight = net.floats(static_cast<size_t>(features * out));
    } else if (node.op == Op::matmul || (node.op >= Op::lstm && node.op <= Op::rnn_relu)) {
      return;  // its shape may be anything
    } else if (node.op == Op::flatten) {
      bool sane = true;
      for (int d = 0; d < in.rank; ++d) sane = sane && in.dims[d] > 0 && in.dims[d] < 100000;
      if (!sane) return;
      node.shape = shape_of({in.rank <= 3 ? in.elements() : 1});
    } else if (node.op == Op::permute) {
      for (int d = 0; d < in.rank; ++d) {
        if (node.axes[d] < 0 || node.axes[d] >= in.rank) return;
        node.shape.dims[d] = in.dims[node.axes[d]];
      }
      node.shape.rank = in.rank;
    } else if (node.op != Op::concat && node.op != Op::constant && node.op != Op::slice &&
               node.op != Op::pad && node.op != Op::reshape && node.op != Op::adaptive_avg_pool2d &&
               node.op != Op::upsample_nearest2d && node.op != Op::upsample_bilinear2d) {
      node.shape = in;
    }
  }
}

bool runnable(const Graph& g, const Plan& plan) {
  int64_t elements = 0, work = 0;
  for (const Node& node : g.nodes) {
    elements += node.shape.elements();
    if (node.inputs.empty()) continue;
    int64_t window = 1;
    if (node.op == Op::conv2d || node.op == Op::max_pool2d || node.op == Op::avg_pool2d) {
      window = int64_t{node.kernel[0]} * node.kernel[1];
      if (node.op == Op::conv2d)
        window *= g.nodes[static_cast<size_t>(node.inputs[0])].shape.dims[0] / node.groups;
    } else if (node.op == Op::conv_transpose2d) {
      const int64_t channels = g.nodes[static_cast<size_t>(node.inputs[0])].shape.dims[0];
      window = int64_t{node.kernel[0]} * node.kernel[1] * channels / node.groups;
    } else if (node.op >= Op::lstm && node.op <= Op::rnn_relu) {
      window = static_cast<int64_t>(node.weight.length);
    } else if (node.op == Op::linear || node.op == Op::matmul) {
      const Shape& in = g.nodes[static_cast<size_t>(node.inputs[0])].shape;
      window = in.dims[in.rank - 1];
    }
    if (window > 1 << 20 || elements > 1 << 20) return false;
    work += window * node.shape.elements();
  }
  return elements < 1 << 20 && work < 1 << 20 && plan.arena_bytes() < 1 << 24;
}

}  // namespace test
}  // namespace kernelet
