// Graph::validate: what is wrong is refused by code and node, and nothing that passes can do harm.
#include <algorithm>
#include <climits>
#include <cstdint>
#include <cstring>

#include "check.h"
#include "data.h"
#include "kernels/isa.h"
#include "naive.h"
#include "net.h"
#include "ops/definition.h"
#include "ops/window.h"

namespace kernelet {
namespace test {
namespace {

// Each spoils a graph of conv2d (1), maxPool2d (2), flatten (3), linear (4), softmax (5), add (6), concat (7), and beside it
// batchNorm (8), prelu (9), adaptiveAvgPool2d (10), permute (11), slice (12), pad (13), mul (14), reshape (15).
struct Fault {
  const char* what;
  const char* code;
  const char* node;  // which the message has to name
  void (*spoil)(Graph&);
};

const Fault faults[] = {
    {"no nodes", "ERR_ARGUMENT", "", [](Graph& g) { g.nodes.clear(); }},
    {"no input", "ERR_ARGUMENT", "", [](Graph& g) { g.nodes[0].op = Op::relu; }},
    {"two inputs", "ERR_UNSUPPORTED", "flatten3",
     [](Graph& g) { g.nodes[3].op = Op::input, g.nodes[3].inputs.clear(); }},
    {"output -1", "ERR_ARGUMENT", "", [](Graph& g) { g.output = -1; }},
    {"output beyond", "ERR_ARGUMENT", "", [](Graph& g) { g.output = 16; }},
    {"rank 0", "ERR_SHAPE", "maxPool2d2", [](Graph& g) { g.nodes[2].shape.rank = 0; }},
    {"rank 7", "ERR_SHAPE", "maxPool2d2", [](Graph& g) { g.nodes[2].shape.rank = 7; }},
    {"rank -1", "ERR_SHAPE", "maxPool2d2", [](Graph& g) { g.nodes[2].shape.rank = -1; }},
    {"rank 2^30", "ERR_SHAPE", "maxPool2d2", [](Graph& g) { g.nodes[2].shape.rank = 1 << 30; }},
    {"dimension 0", "ERR_SHAPE", "conv2d1", [](Graph& g) { g.nodes[1].shape.dims[1] = 0; }},
    {"dimension -8", "ERR_SHAPE", "conv2d1", [](Graph& g) { g.nodes[1].shape.dims[1] = -8; }},
    {"dimension 2^63 - 1", "ERR_SHAPE", "conv2d1", [](Graph& g) { g.nodes[1].shape.dims[1] = INT64_MAX; }},
    {"dimension off by one", "ERR_SHAPE", "conv2d1", [](Graph& g) { g.nodes[1].shape.dims[1] += 1; }},
    {"2^31 elements", "ERR_SHAPE", "input0",
     [](Graph& g) {
       g.nodes[0].shape.dims[0] = g.nodes[0].shape.dims[1] = 1 << 15, g.nodes[0].shape.dims[2] = 2;
     }},
    {"itself as input", "ERR_ARGUMENT", "conv2d1", [](Graph& g) { g.nodes[1].inputs[0] = 1; }},
    {"a later input", "ERR_ARGUMENT", "conv2d1", [](Graph& g) { g.nodes[1].inputs[0] = 2; }},
    {"input -1", "ERR_ARGUMENT", "conv2d1", [](Graph& g) { g.nodes[1].inputs[0] = -1; }},
    {"no inputs", "ERR_ARGUMENT", "conv2d1", [](Graph& g) { g.nodes[1].inputs.clear(); }},
    {"two inputs of a conv", "ERR_ARGUMENT", "conv2d1", [](Graph& g) { g.nodes[1].inputs.push_back(0); }},
    {"one input of an add", "ERR_ARGUMENT", "add6", [](Graph& g) { g.nodes[6].inputs.pop_back(); }},
    {"an empty concat", "ERR_ARGUMENT", "concat7", [](Graph& g) { g.nodes[7].inputs.clear(); }},
    {"kernel 0", "ERR_ARGUMENT", "conv2d1", [](Graph& g) { g.nodes[1].kernel[0] = 0; }},
    {"kernel -3", "ERR_ARGUMENT", "conv2d1", [](Graph& g) { g.nodes[1].kernel[1] = -3; }},
    {"kernel 32769", "ERR_ARGUMENT", "conv2d1", [](Graph& g) { g.nodes[1].kernel[1] = 32769; }},
    {"stride 0", "ERR_ARGUMENT", "maxPool2d2", [](Graph& g) { g.nodes[2].stride[0] = 0; }},
    {"stride -2^31", "ERR_ARGUMENT", "maxPool2d2", [](Graph& g) { g.nodes[2].stride[0] = INT_MIN; }},
    {"dilation 0", "ERR_ARGUMENT", "maxPool2d2", [](Graph& g) { g.nodes[2].dilation[1] = 0; }},
    {"padding -1", "ERR_ARGUMENT", "conv2d1", [](Graph& g) { g.nodes[1].padding[3] = -1; }},
    {"padding 2^31 - 1", "ERR_ARGUMENT", "conv2d1", [](Graph& g) { g.nodes[1].padding[2] = INT_MAX; }},
    {"padding as large as the window", "ERR_ARGUMENT", "maxPool2d2",
     [](Graph& g) { g.nodes[2].padding[0] = 2; }},
    {"groups 0", "ERR_ARGUMENT", "conv2d1", [](Graph& g) { g.nodes[1].groups = 0; }},
    {"groups that do not divide", "ERR_SHAPE", "conv2d1", [](Graph& g) { g.nodes[1].groups = 3; }},
    {"a window beyond the plane", "ERR_SHAPE", "maxPool2d2",
     [](Graph& g) { g.nodes[2].kernel[0] = 9, g.nodes[2].shape.dims[1] = 1; }},
    {"conv weight missing", "ERR_SHAPE", "conv2d1", [](Graph& g) { g.nodes[1].weight = Floats(); }},
    {"conv weight null", "ERR_SHAPE", "conv2d1", [](Graph& g) { g.nodes[1].weight.data = nullptr; }},
    {"conv weight short", "ERR_SHAPE", "conv2d1", [](Graph& g) { --g.nodes[1].weight.length; }},
    {"conv bias long", "ERR_SHAPE", "conv2d1", [](Graph& g) { ++g.nodes[1].bias.length; }},
    {"linear weight short", "ERR_SHAPE", "linear4", [](Graph& g) { --g.nodes[4].weight.length; }},
    {"linear bias short", "ERR_SHAPE", "linear4", [](Graph& g) { --g.nodes[4].bias.length; }},
    {"linear rank", "ERR_SHAPE", "linear4",
     [](Graph& g) {
       g.nodes[4].shape = shape_of({1, 5});
     }},
    {"flatten to another length", "ERR_SHAPE", "flatten3", [](Graph& g) { g.nodes[3].shape.dims[0] += 1; }},
    {"softmax axis -1", "ERR_SHAPE", "softmax5", [](Graph& g) { g.nodes[5].axis = -1; }},
    {"softmax axis 1", "ERR_SHAPE", "softmax5", [](Graph& g) { g.nodes[5].axis = 1; }},
    {"add of other shapes", "ERR_SHAPE", "add6", [](Graph& g) { g.nodes[6].inputs[0] = 3; }},
    {"concat axis 2^31 - 1", "ERR_SHAPE", "concat7", [](Graph& g) { g.nodes[7].axis = INT_MAX; }},
    {"concat of other ranks", "ERR_SHAPE", "concat7", [](Graph& g) { g.nodes[7].inputs[0] = 0; }},
    {"conv of a vector", "ERR_SHAPE", "conv2d1", [](Graph& g) { g.nodes[0].shape = shape_of({100}); }},
    {"no mean", "ERR_SHAPE", "batchNorm8", [](Graph& g) { g.nodes[8].mean = Floats(); }},
    {"variance short", "ERR_SHAPE", "batchNorm8", [](Graph& g) { --g.nodes[8].variance.length; }},
    {"scale of one", "ERR_SHAPE", "batchNorm8", [](Graph& g) { g.nodes[8].weight.length = 1; }},
    {"slopes of another number", "ERR_SHAPE", "prelu9", [](Graph& g) { g.nodes[9].weight.length = 3; }},
    {"no slope", "ERR_SHAPE", "prelu9", [](Graph& g) { g.nodes[9].weight = Floats(); }},
    {"bins of other channels", "ERR_SHAPE", "adaptiveAvgPool2d10",
     [](Graph& g) { g.nodes[10].shape.dims[0] = 3; }},
    {"bins of another rank", "ERR_SHAPE", "adaptiveAvgPool2d10",
     [](Graph& g) {
       g.nodes[10].shape = shape_of({4, 2});
     }},
    {"an axis twice", "ERR_SHAPE", "permute11", [](Graph& g) { g.nodes[11].axes[0] = 1; }},
    {"axis -1", "ERR_SHAPE", "permute11", [](Graph& g) { g.nodes[11].axes[0] = -1; }},
    {"axis 3", "ERR_SHAPE", "permute11", [](Graph& g) { g.nodes[11].axes[0] = 3; }},
    {"axis 64", "ERR_SHAPE", "permute11", [](Graph& g) { g.nodes[11].axes[0] = 64; }},
    {"step 0", "ERR_SHAPE", "slice12", [](Graph& g) { g.nodes[12].steps[1] = 0; }},
    {"start -1", "ERR_SHAPE", "slice12", [](Graph& g) { g.nodes[12].starts[1] = -1; }},
    {"start beyond", "ERR_SHAPE", "slice12", [](Graph& g) { g.nodes[12].starts[1] = 4; }},
    {"one index too many", "ERR_SHAPE", "slice12", [](Graph& g) { g.nodes[12].shape.dims[0] += 1; }},
    {"steps beyond", "ERR_SHAPE", "slice12", [](Graph& g) { g.nodes[12].steps[0] = INT64_MAX; }},
    {"steps before the first", "ERR_SHAPE", "slice12", [](Graph& g) { g.nodes[12].steps[0] = -1; }},
    {"a slice of another rank", "ERR_SHAPE", "slice12", [](Graph& g) { g.nodes[12].shape = shape_of({1}); }},
    {"padding -2^63", "ERR_SHAPE", "pad13", [](Graph& g) { g.nodes[13].starts[0] = INT64_MIN; }},
    {"padding to another rank", "ERR_SHAPE", "pad13",
     [](Graph& g) {
       g.nodes[13].shape = shape_of({8, 8});
     }},
    {"shapes that do not broadcast", "ERR_SHAPE", "mul14", [](Graph& g) { g.nodes[14].inputs[1] = 0; }},
    {"reshape to another length", "ERR_SHAPE", "reshape15", [](Graph& g) { g.nodes[15].shape.dims[0] += 1; }},
    {"an op on too small a rank", "ERR_SHAPE", "softmax5", [](Graph& g) { g.nodes[5].op = Op::max_pool2d; }},
};

Net sample(Random& random) {
  Net net(random, shape_of({2, 10, 10}));
  int x = net.conv(0, 4, Window(3));
  x = net.pool(Op::max_pool2d, x, Window(2, 2));
  x = net.flatten(x);
  x = net.linear(x, 5);
  x = net.softmax(Op::softmax, x, 0);
  x = net.add(x, 4);
  net.concat({x, 4}, 0);
  x = net.batch_norm(2);
  x = net.prelu(x, true);
  x = net.adaptive(Op::adaptive_avg_pool2d, x, 2, 3);
  x = net.permute(x, {2, 0, 1});
  x = net.slice(x, {0, 1, 0}, {2, 1, 1}, {2, 3, 2});
  x = net.pad(x, {1, -1, 2}, {4, 4, 4}, 0.5f);
  x = net.binary(Op::mul, x, 2);
  net.reshape(x, shape_of({4, 16}));
  net.graph.output = 7;
  return net;
}

constexpr int nasty_ints[] = {0,     -1,    1,       2,       3,       4,       7,      100,   4096,  32767,
                              32768, 32769, 1 << 16, 1 << 30, INT_MAX, INT_MIN, -32768, 46341, 65535, -2};
constexpr int64_t nasty_dims[] = {
    0,         -1,        1,         2,         3,         100,          46341,
    65536,     1ll << 31, 1ll << 32, INT64_MAX, INT64_MIN, -(1ll << 32), (1ll << 31) - 1,
    1ll << 62, 5};

// Spoils one thing of one node, in a way that may or may not leave the graph valid.
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
  switch (random.range(0, 23)) {
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
    case 21: node.starts[random.range(0, 2)] += random.range(-2, 2); break;
    case 22: resized(random.chance(50) ? node.mean : node.variance); break;
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

// After a corruption of attributes, what shapes and weights would have to be: else few graphs get past the
// shapes. Gives up where an attribute makes no sense.
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
    } else if (node.op == Op::linear) {
      const int64_t features = in.dims[in.rank - 1];
      const int64_t out =
          node.shape.dims[node.shape.rank >= 1 && node.shape.rank <= 6 ? node.shape.rank - 1 : 0];
      if (features < 1 || out < 1 || features > 100000 || out > 1000 || features * out > 200000) return;
      node.shape = in;
      node.shape.dims[in.rank - 1] = out;
      node.weight = net.floats(static_cast<size_t>(features * out));
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
               node.op != Op::pad && node.op != Op::reshape && node.op != Op::adaptive_avg_pool2d) {
      node.shape = in;
    }
  }
}

// Small enough to run, and for the twin to follow.
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
    } else if (node.op == Op::linear) {
      const Shape& in = g.nodes[static_cast<size_t>(node.inputs[0])].shape;
      window = in.dims[in.rank - 1];
    }
    if (window > 1 << 20 || elements > 1 << 20) return false;
    work += window * node.shape.elements();
  }
  return elements < 1 << 20 && work < 1 << 20 && plan.arena_bytes() < 1 << 24;
}

}  // namespace

ONCE(validate) {
  if (begin("valid")) {
    Random random(1);
    Net net = sample(random);
    bool good = true;
    try {
      validate(net.graph);
    } catch (const Error&) {
      good = false;
    }
    check(good, "the graph that the faults spoil is valid");
  }
  for (const Fault& fault : faults) {
    if (!begin(fault.what)) continue;
    Random random(1);
    Net net = sample(random);
    fault.spoil(net.graph);
    try {
      make_plan(net.graph, "");
      check(false, "is refused");
    } catch (const Error& error) {
      check(std::strcmp(error.code(), fault.code) == 0, "code %s, not %s: %s", error.code(), fault.code,
            error.what());
      check(std::strncmp(error.what(), fault.node, std::strlen(fault.node)) == 0, "names the node: %s",
            error.what());
    }
  }
  if (begin("ops")) {
    bool round_trip = true;
    for (int op = 0; op <= static_cast<int>(Op::pad); ++op) {
      round_trip = round_trip && op_of(op_name(static_cast<Op>(op))) == static_cast<Op>(op);
    }
    check(round_trip, "op_of undoes op_name");
    for (const char* name : {"", "Conv2d", "conv", "relu "}) {
      try {
        op_of(name);
        check(false, "'%s' is no op", name);
      } catch (const Error& error) {
        check(std::strcmp(error.code(), "ERR_ARGUMENT") == 0, "'%s' is no op", name);
      }
    }
  }
  if (begin("window_outputs")) {
    bool good = true;
    Random random(2);
    for (int i = 0; i < 200000; ++i) {
      const int in = random.range(1, 60), kernel = random.range(1, 9), stride = random.range(1, 12),
                dilation = random.range(1, 5);
      const int most = ((kernel - 1) * dilation + 1) / 2;
      const int before = random.range(0, most), after = random.range(0, most);
      const bool ceiling = random.chance(50);
      const int64_t got = window_outputs(in, before, after, kernel, stride, dilation, ceiling);
      good = good &&
             std::max<int64_t>(got, 0) == naive_outputs(in, before, after, kernel, stride, dilation, ceiling);
    }
    check(good, "PyTorch's formula counts the windows");
  }
}

// Thousands of spoilt graphs: each is refused with a code, or runs within its buffers and gives the naive
// twin's bits.
ONCE(fuzz) {
  const std::vector<std::string> isas = supported_isas();
  const int count = slow ? 4000 : 20000;
  int refused = 0, ran = 0, too_large = 0;
  for (int i = 0; i < count; ++i) {
    const std::string name = "graph" + std::to_string(i);
    if (!begin(name)) continue;
    Random random(name);
    const int size = random.range(2, 9);
    Net net = random_net(random, size, random.chance(30));
    for (int n = random.range(1, 3); n > 0; --n) corrupt(net, random);
    if (random.chance(60)) repair(net);
    const std::string isa = isas[random.next() % isas.size()];
    const bool exact = random.chance(85);
    const char* const algorithm = exact
                                      ? algorithms[random.next() % (sizeof algorithms / sizeof *algorithms)]
                                      : other_bits[random.next() % (sizeof other_bits / sizeof *other_bits)];
    std::unique_ptr<const Plan> plan;
    try {
      plan = make_plan(net.graph, isa.c_str(), random.chance(50), 1, algorithm);
    } catch (const Error& error) {
      ++refused;
      const std::string code = error.code();
      check((code == "ERR_SHAPE" || code == "ERR_ARGUMENT" || code == "ERR_UNSUPPORTED") &&
                *error.what() != '\0',
            "%s: %s", code.c_str(), error.what());
      continue;
    } catch (const std::bad_alloc&) {
      ++refused;
      continue;
    }
    if (!runnable(net.graph, *plan)) {
      ++too_large;
      continue;
    }
    ++ran;
    const std::vector<float> input = random_floats(random, net.input_length());
    const std::vector<float> got = run_guarded(*plan, input, 1, all_places[random.next() % 3]);
    if (!exact) continue;
    const std::vector<float> want =
        naive_values(*choose_isa(isa).table, net.graph, input.data())[static_cast<size_t>(net.graph.output)];
    if (!check_same(got.data(), want.data(), want.size(), isa.c_str()))
      note("%s is %s", name.c_str(), net.text().c_str());
  }
  if (begin("totals")) {
    note("%d graphs: %d refused, %d ran, %d too large to run here", count, refused, ran, too_large);
    check(refused > count / 10 && ran > count / 10, "the fuzz reaches both sides");
  }
}

}  // namespace test
}  // namespace kernelet
