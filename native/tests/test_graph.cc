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
#include "spoil.h"

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
    {"output beyond", "ERR_ARGUMENT", "", [](Graph& g) { g.output = 18; }},
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
    {"output padding of a stride", "ERR_ARGUMENT", "convTranspose2d16",
     [](Graph& g) { g.nodes[16].output_padding[1] = 2; }},
    {"output padding -1", "ERR_ARGUMENT", "convTranspose2d16",
     [](Graph& g) { g.nodes[16].output_padding[0] = -1; }},
    {"transposed weights too short", "ERR_SHAPE", "convTranspose2d16",
     [](Graph& g) { g.nodes[16].weight.length -= 1; }},
    {"padding that leaves nothing", "ERR_SHAPE", "convTranspose2d16",
     [](Graph& g) { g.nodes[16].padding[3] = 17; }},
    {"a padded output beyond 2^31", "ERR_SHAPE", "convTranspose2d16",
     [](Graph& g) {
       g.nodes[16].stride[0] = g.nodes[16].stride[1] = 32768;
       g.nodes[16].padding[0] = g.nodes[16].padding[1] = 32768;
     }},
    {"scale 0", "ERR_ARGUMENT", "upsampleBilinear2d17", [](Graph& g) { g.nodes[17].scales[0] = 0; }},
    {"scale NaN", "ERR_ARGUMENT", "upsampleBilinear2d17",
     [](Graph& g) { g.nodes[17].scales[1] = float_of(0x7fc00000); }},
    {"resized channels", "ERR_SHAPE", "upsampleBilinear2d17",
     [](Graph& g) { g.nodes[17].shape.dims[0] = 5; }},
    {"resized to another rank", "ERR_SHAPE", "upsampleBilinear2d17",
     [](Graph& g) {
       g.nodes[17].shape = shape_of({4, 4});
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
  x = net.conv_transpose(1, 2, Window(3, 2), 2);
  net.resize(Op::upsample_bilinear2d, 2, 9, 5, Coordinates::half_pixel);
  net.graph.output = 7;
  return net;
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
