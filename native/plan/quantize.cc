#include "quantize.h"

#include <algorithm>
#include <cmath>

#include "ops/window.h"

namespace kernelet {
namespace {

// Sums and bias stay below: what a float holds exactly, so that kernels of floats sum the same integers.
constexpr double sum_limit = 1 << 24;
// A layer whose weights would keep fewer than five bits of seven for that stays in floats.
constexpr double coarsest = 4;

// One kind of channel group, one row of features, and what sums can be followed by: a ReLU, a maximum.
bool fits(const Graph& graph, const Group& group) {
  const Node& node = graph.nodes[static_cast<size_t>(group.nodes[0])];
  for (size_t i = 1; i < group.nodes.size(); ++i) {
    const Op op = graph.nodes[static_cast<size_t>(group.nodes[i])].op;
    if (op != Op::relu && op != Op::max_pool2d) return false;
  }
  if (node.op == Op::conv2d) return node.groups == 1;
  return node.op == Op::linear && node.shape.elements() == node.shape.dims[node.shape.rank - 1];
}

// Of values in [low, high]; zero is always a byte.
bool set(Quantization& q, float low, float high) {
  if (!(low > -1e30f && high < 1e30f)) return false;  // nor NaN
  const double least = std::min(0.0, static_cast<double>(low));
  const double most = std::max(0.0, static_cast<double>(high));
  q.scale = most - least > 1e-30 ? static_cast<float>((most - least) / 255) : 1 / 255.0f;
  q.zero = static_cast<int32_t>(std::nearbyint(-least / q.scale));
  return true;
}

// `off`: what a byte of the input stands for is (byte - zero - off) * scale.
bool set_weights(QuantizedGroup& group, const Node& node, size_t outputs, double off) {
  const size_t taps = node.weight.length / outputs;
  group.weights.resize(node.weight.length);
  group.bias.resize(outputs);
  group.scale.resize(outputs);
  for (size_t o = 0; o < outputs; ++o) {
    const float* const w = node.weight.data + o * taps;
    double largest = 0, sum = 0;
    for (size_t k = 0; k < taps; ++k) {
      largest = std::max(largest, std::fabs(static_cast<double>(w[k])));
      sum += std::fabs(static_cast<double>(w[k]));
    }
    const double bias = node.bias.data != nullptr ? node.bias.data[o] : 0.0;
    const double in_scale = group.in.scale, reach = 255 + std::fabs(off);
    // rounding adds up to half a unit for each weight
    const double room = sum_limit - 1 - 0.5 * reach * static_cast<double>(taps);
    if (!(sum < 1e30) || !(std::fabs(bias) < 1e30) || room < sum_limit / 2) return false;
    if (sum * reach / room > coarsest * largest / 127) return false;
    const double scale = std::max({largest / 127, (sum * reach + std::fabs(bias) / in_scale) / room, 1e-30});
    double total = 0;
    for (size_t k = 0; k < taps; ++k) {
      const double q = std::nearbyint(w[k] / scale);
      group.weights[o * taps + k] = static_cast<int8_t>(q);
      total += q;
    }
    group.bias[o] = static_cast<int32_t>(std::nearbyint(bias / (in_scale * scale) - off * total));
    group.scale[o] = static_cast<float>(in_scale * scale);
  }
  return true;
}

}  // namespace

QuantizedGraph quantize(const Graph& graph, const std::vector<Group>& groups, const PlanOptions& options) {
  if (options.ranges.data == nullptr || options.ranges.length != 2 * graph.nodes.size()) {
    fail("ERR_ARGUMENT", {"ranges: expected the least and the largest of each of ", graph.nodes.size(),
                          " values but received ", options.ranges.length, " numbers"});
  }
  const std::vector<int> stored = storage_of(graph);
  QuantizedGraph all;
  all.groups.resize(groups.size());
  // the bytes of the caller serve as they are, where nothing else reads them and zero is near them
  const double zero_of_input = -static_cast<double>(options.shift) / options.scale;
  all.byte_input = options.byte_input && options.scale > 0 && std::fabs(zero_of_input) <= 1024 &&
                   stored[graph.output] != 0;
  for (size_t i = 0; all.byte_input && i < groups.size(); ++i) {
    const Node& reader = graph.nodes[groups[i].nodes[0]];
    if (is_view(reader.op)) continue;
    for (int input : reader.inputs) {
      if (stored[input] == 0) all.byte_input = fits(graph, groups[i]);
    }
  }
  const auto run = [&](size_t i) {
    QuantizedGroup& q = all.groups[i];
    const Node& node = graph.nodes[groups[i].nodes[0]];
    if (!fits(graph, groups[i])) return false;
    const int source = stored[node.inputs[0]];
    double off = 0;
    if (source == 0 && all.byte_input) {
      q.in.scale = options.scale;
      q.in.zero = static_cast<int32_t>(std::nearbyint(std::min(255.0, std::max(0.0, zero_of_input))));
      off = zero_of_input - q.in.zero;
    } else if (!set(q.in, options.ranges.data[2 * source], options.ranges.data[2 * source + 1])) {
      return false;
    }
    const Shape outputs = node.op == Op::conv2d ? as_image(node.shape) : node.shape;
    return set_weights(q, node,
                       static_cast<size_t>(outputs.dims[node.op == Op::conv2d ? 0 : outputs.rank - 1]), off);
  };
  // whether all that reads the input runs on bytes
  const auto run_all = [&] {
    bool all_run = true;
    for (size_t i = 0; i < groups.size(); ++i) {
      all.groups[i].runs = run(i);
      const Node& node = graph.nodes[groups[i].nodes[0]];
      const bool reads = !is_view(node.op) && !node.inputs.empty() && stored[node.inputs[0]] == 0;
      if (reads && !all.groups[i].runs) all_run = false;
    }
    return all_run;
  };
  if (!run_all() && all.byte_input) {
    all.byte_input = false;  // weights that do not fit: once more, with the input as floats
    run_all();
  }
  for (size_t i = 0; all.byte_input && i < groups.size(); ++i) {
    const Node& node = graph.nodes[groups[i].nodes[0]];
    all.groups[i].raw = all.groups[i].runs && stored[node.inputs[0]] == 0;
    if (all.groups[i].raw) all.zero_of_input = all.groups[i].in.zero;
  }
  // a value stays bytes where all that read it run on bytes and see the channels it has
  for (size_t i = 0; i < groups.size(); ++i) {
    QuantizedGroup& q = all.groups[i];
    const int value = groups[i].nodes.back();
    q.bytes_out = q.runs && stored[graph.output] != value;
    for (size_t j = i + 1; q.bytes_out && j < groups.size(); ++j) {
      const Node& reader = graph.nodes[groups[j].nodes[0]];
      if (is_view(reader.op)) continue;
      for (int input : reader.inputs) {
        if (stored[input] != value) continue;
        const bool alike = reader.op == Op::linear || graph.nodes[input].shape == graph.nodes[value].shape;
        q.bytes_out = q.bytes_out && all.groups[j].runs && alike;
      }
    }
    if (!q.bytes_out) continue;
    for (size_t j = i + 1; j < groups.size(); ++j) {
      const Node& reader = graph.nodes[groups[j].nodes[0]];
      if (reader.inputs.empty() || stored[reader.inputs[0]] != value || !all.groups[j].runs) continue;
      all.groups[j].bytes_in = true;
      all.groups[j].channels = static_cast<int32_t>(q.bias.size());
      q.out = all.groups[j].in;
    }
    for (float& scale : q.scale) scale = static_cast<float>(static_cast<double>(scale) / q.out.scale);
  }
  return all;
}

}  // namespace kernelet
