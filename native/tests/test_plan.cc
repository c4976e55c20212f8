// Plans: what describe() says, the arena on DAGs, odd batches, profile.
#include <algorithm>
#include <cmath>

#include "check.h"
#include "data.h"
#include "naive.h"
#include "net.h"
#include "ops/definition.h"

namespace kernelet {
namespace test {
namespace {

std::string joined(const std::vector<std::string>& words) {
  std::string s;
  for (const std::string& word : words) s += (s.empty() ? "" : "+") + word;
  return s;
}

bool check_text(const std::string& got, const std::string& want, const char* what) {
  return check(got == want, "%s is '%s', not '%s'", what, got.c_str(), want.c_str());
}

// Values of one size throughout, read late and often: whatever the arena frees too early is overwritten.
Net random_dag(Random& random, int nodes) {
  constexpr int c = 3, h = 4, w = 5;
  const Shape shape = shape_of({c, h, w});
  Net net(random, shape);
  std::vector<int> values = {0};  // nodes of that shape
  const auto any = [&] { return values[random.next() % values.size()]; };
  while (static_cast<int>(net.graph.nodes.size()) < nodes) {
    switch (random.range(0, 6)) {
      case 0:
      case 1: {
        const int first = any();
        values.push_back(net.add(first, any()));
        break;
      }
      case 2: values.push_back(net.unary(Op::relu, any())); break;
      case 3: values.push_back(net.conv(any(), c, Window(3, 1, 1))); break;
      case 4: {
        std::vector<int> parts;
        for (int i = random.range(1, 4); i > 0; --i) parts.push_back(any());
        values.push_back(net.conv(net.concat(parts, 0), c, Window(1)));
        break;
      }
      case 5: values.push_back(net.flatten(net.flatten(any()), shape)); break;
      default: values.push_back(net.pool(Op::max_pool2d, any(), Window(3, 1, 1))); break;
    }
  }
  // the output looks at many
  int sum = any();
  sum = net.add(sum, any());
  for (int i = random.range(0, 6); i > 0; --i) sum = net.add(sum, any());
  if (random.chance(50)) net.flatten(sum);
  return net;
}

}  // namespace

PER_TIER(describe) {
  if (begin("lenet5")) {
    Random random(5);
    Net net(random, shape_of({1, 28, 28}));
    lenet5(net);
    const auto plan = make_plan(net.graph, t.isa, true, 1, "im2col");
    const auto tile = [](const auto& a) {
      return std::to_string(a.tile_rows) + "x" + std::to_string(a.tile_columns);
    };
    struct {
      const char *ops, *problem, *algorithm, *epilogue, *output;
      int macs;
    } const want[] = {
        {"conv2d+relu+maxPool2d", "ic1ih28iw28oc6oh24ow24kh5kw5", "im2col", "maxPool2x2+bias+relu", "6x12x12",
         86400},
        {"conv2d+relu+maxPool2d", "ic6ih12iw12oc16oh8ow8kh5kw5", "im2col", "maxPool2x2+bias+relu", "16x4x4",
         153600},
        {"linear+relu", "ic256oc120", "gemm", "bias+relu", "120", 30720},
        {"linear+relu", "ic120oc84", "gemm", "bias+relu", "84", 10080},
        {"linear", "ic84oc10", "gemm", "bias", "10", 840},
    };
    int64_t macs = 0;
    if (check(plan->steps().size() == 5, "two fused convolutions and three linear layers")) {
      for (size_t i = 0; i < 5; ++i) {
        const StepDescription& d = plan->steps()[i];
        check_text(joined(d.ops), want[i].ops, "ops");
        check_text(d.problem, want[i].problem, "problem");
        check_text(d.algorithm, want[i].algorithm, "algorithm");
        check_text(d.epilogue, want[i].epilogue, "epilogue");
        check_text(d.output.text(), want[i].output, "output");
        // 120 and 84 outputs fill registers of half the width better, 10 do not
        const bool narrow = i < 4 && t.narrow_linear != nullptr;
        check_text(d.tile, i < 2 ? tile(t.im2col) : tile(narrow ? *t.narrow_linear : t.linear), "tile");
        check_text(d.isa, t.isa, "isa");
        check(d.names.size() == d.ops.size() &&
                  d.names[0] == std::string(op_name(op_of(d.ops[0]))) + d.names[0].substr(d.ops[0].size()),
              "names: %s", joined(d.names).c_str());
        check(d.macs == want[i].macs, "step %zu: %lld multiply-adds", i, static_cast<long long>(d.macs));
        macs += d.macs;
      }
    }
    check(macs == 281640, "LeNet-5 is 281,640 multiply-adds, not %lld", static_cast<long long>(macs));
    check(plan->input_length() == 784 && plan->output_length() == 10, "784 in, 10 out");
    // whatever the algorithm, the layers share steps alike and count alike; the one asked for is used
    for (const std::string algorithm : algorithms) {
      const auto other = make_plan(net.graph, t.isa, true, 1, algorithm.c_str());
      int64_t all = 0;
      for (const StepDescription& d : other->steps()) all += d.macs;
      // behind blocks the linear layers want planes again
      check(other->steps().size() == (algorithm == "blocked" ? 6 : 5) && all == 281640,
            "%s: 5 steps, 281,640 multiply-adds", algorithm.c_str());
      for (int i = 0; i < 2; ++i) {
        const std::string& used = other->steps()[i].algorithm;
        const bool direct_pixels = t.has_fma, direct_channels = t.has_fma && (i == 0 ? 6 : 16) >= t.lanes;
        bool good = used == "im2col" || used == "direct-pixels" || used == "direct-channels";
        if (algorithm == "im2col" || !t.has_fma) good = used == "im2col";
        if (algorithm == "direct" && t.has_fma)
          good = used == "direct-pixels" || (direct_channels && used == "direct-channels");
        if (algorithm == "direct-pixels") good = used == (direct_pixels ? "direct-pixels" : "im2col");
        if (algorithm == "direct-channels") good = used == (direct_channels ? "direct-channels" : "im2col");
        if (algorithm == "blocked") good = used == "blocked";
        if (algorithm == "lanes") good = used == "lanes";
        check(good, "%s: step %d is %s", algorithm.c_str(), i, used.c_str());
      }
      const int side_by_side = algorithm == "lanes" || (algorithm == "auto" && t.lanes > 1) ? t.lanes : 0;
      check(other->batch_lanes() == side_by_side, "%s: %d images side by side", algorithm.c_str(),
            other->batch_lanes());
    }
    check(make_plan(net.graph, t.isa, false)->steps().size() == 11, "11 steps where nothing is fused");
  }
  if (begin("epilogues")) {
    struct {
      std::vector<Op> ops;
      const char* epilogue;
      size_t steps;
    } const cases[] = {
        {{Op::relu}, "bias+relu", 1},
        {{Op::relu, Op::max_pool2d}, "maxPool2x2+bias+relu", 1},
        {{Op::max_pool2d, Op::relu}, "maxPool2x2+bias+relu", 1},
        {{Op::max_pool2d}, "maxPool2x2+bias", 1},
        {{Op::tanh, Op::max_pool2d}, "bias", 3},
        {{Op::max_pool2d, Op::tanh}, "maxPool2x2+bias", 2},
        {{Op::clip}, "bias", 2},
        {{Op::sigmoid, Op::avg_pool2d}, "bias", 3},
        {{Op::relu, Op::avg_pool2d}, "bias+relu", 2},
        {{Op::relu, Op::tanh}, "bias+relu", 2},
        {{Op::max_pool2d, Op::max_pool2d}, "maxPool2x2+bias", 2},
        {{Op::relu, Op::max_pool2d, Op::tanh}, "maxPool2x2+bias+relu", 2},
    };
    for (const auto& c : cases) {
      Random random(1);
      Net net(random, shape_of({1, 10, 10}));
      int x = net.conv(0, 2, Window(3));
      for (Op op : c.ops)
        x = activation_of(op) != Activation::none ? net.unary(op, x) : net.pool(op, x, Window(2, 2));
      const auto plan = make_plan(net.graph, t.isa);
      check_text(plan->steps()[0].epilogue, c.epilogue, "epilogue");
      check(plan->steps().size() == c.steps, "%zu steps", plan->steps().size());
    }
    // what a tile cannot pool stands alone
    for (const Window& w : {Window(3, 2), Window(2, 1), Window(2, 2, 1), Window(2, 2, 0, 2)}) {
      Random random(1);
      Net net(random, shape_of({1, 10, 10}));
      net.pool(Op::max_pool2d, net.conv(0, 2, Window(3)), w);
      check(make_plan(net.graph, t.isa)->steps().size() == 2, "a pool of its own");
    }
    Random random(1);
    Net odd(random, shape_of({1, 9, 9}));
    odd.pool(Op::max_pool2d, odd.conv(0, 2, Window(3)), Window(2, 2), false);
    check(make_plan(odd.graph, t.isa)->steps().size() == 1, "an odd last row is never computed");
    Net ceiling(random, shape_of({1, 9, 9}));
    ceiling.pool(Op::max_pool2d, ceiling.conv(0, 2, Window(3)), Window(2, 2), true);
    check(make_plan(ceiling.graph, t.isa)->steps().size() == 2, "in ceil mode it is");
    Net read_twice(random, shape_of({1, 9, 9}));
    const int x = read_twice.conv(0, 2, Window(3));
    read_twice.add(read_twice.unary(Op::relu, x), x);
    check(make_plan(read_twice.graph, t.isa)->steps().size() == 3, "a value that two read is kept");
  }
  if (begin("winograd")) {
    // its bits are others': never unless asked for, even where it is by far the fastest
    Random random(1);
    Net net(random, shape_of({64, 56, 56}));
    net.conv(0, 64, Window(3, 1, 1));
    for (const std::string algorithm : algorithms) {
      const std::string used = make_plan(net.graph, t.isa, true, 1, algorithm.c_str())->steps()[0].algorithm;
      check(used != "winograd", "%s takes %s", algorithm.c_str(), used.c_str());
    }
    for (const char* algorithm : other_bits) {
      bool used = false;
      const auto plan = make_plan(net.graph, t.isa, true, 1, algorithm);
      for (const StepDescription& step : plan->steps()) used = used || step.algorithm == "winograd";
      check(used == t.has_fma, "%s takes it: %d", algorithm, used);
    }
  }
  if (begin("depth first without a bias")) {
    Random random(1);
    Net net(random, shape_of({3, 9, 9}));
    const int from = net.conv(0, 2 * t.lanes, Window(3, 1, 1));
    const int wide = net.conv(from, 3 * t.lanes, Window(1), 1, false);
    net.conv(wide, 3 * t.lanes, Window(3, 1, 1), 3 * t.lanes, false);
    const auto plan = make_plan(net.graph, t.isa, true, 1, "blocked");
    bool taken = false;
    for (const StepDescription& step : plan->steps()) {
      if (step.strip == 0) continue;
      taken = true;
      check_text(step.epilogue, "conv2d", "epilogue");
    }
    check(taken, "the two are one step");
  }
  if (begin("winograd in front of a maximum")) {
    // how large a tile is does not depend on whether an odd last row or column is computed
    for (int height = 5; height < 24; ++height) {
      for (int width : {7, 11, 16}) {
        Random random("maximum" + std::to_string(height) + "x" + std::to_string(width));
        Net net(random, shape_of({7, height, width}));
        net.pool(Op::max_pool2d, net.conv(0, 5, Window(3, 1, 1)), Window(2, 2), false);
        const std::vector<float> image = random_floats(random, net.input_length());
        const auto fused = make_plan(net.graph, t.isa, true, 1, "winograd");
        const auto apart = make_plan(net.graph, t.isa, false, 1, "winograd");
        const std::vector<float> want = run_guarded(*apart, image, 1, Place::ends_at_page);
        check_same(run_guarded(*fused, image, 1, Place::ends_at_page).data(), want.data(), want.size(),
                   "fused or not");
      }
    }
  }
  if (begin("problem")) {
    Random random(1);
    Net net(random, shape_of({6, 12, 14}));
    Window w(3, 2, 1, 2);
    w.kernel[1] = 2;
    w.padding[1] = 0;
    net.conv(0, 4, w, 2);
    check_text(make_plan(net.graph, t.isa)->steps()[0].problem,
               "g2ic6ih12iw14oc4oh5ow7kh3kw2sh2sw2dh2dw2ph1pw0", "problem");
  }
}

PER_TIER(dags) {
  for (int i = 0; i < (slow ? 60 : 250); ++i) {
    const std::string name = "dag" + std::to_string(i);
    if (!begin(name)) continue;
    Random random(name);
    const Net net = random_dag(random, random.range(4, 30));
    const std::vector<float> input = random_floats(random, net.input_length());
    const std::vector<float> want =
        naive_values(t, net.graph, input.data())[static_cast<size_t>(net.graph.output)];
    for (bool fuse : {true, false}) {
      for (const char* algorithm : {"auto", "lanes"}) {
        const auto plan = make_plan(net.graph, t.isa, fuse, 1, algorithm);
        // twice in the same arena: nothing is left over from the last run
        for (int round = 0; round < 2; ++round) {
          const std::vector<float> got = run_guarded(*plan, input, 1, Place::ends_at_page);
          if (!check_same(got.data(), want.data(), want.size(), fuse ? "fused" : "not fused")) {
            note("%s (%s) is %s", name.c_str(), algorithm, net.text().c_str());
          }
        }
      }
    }
  }
}

PER_TIER(arena) {
  if (begin("chain")) {
    // of a chain's values two live at once
    Random random(1);
    Net net(random, shape_of({1000}));
    for (int i = 0; i < 20; ++i) net.unary(Op::relu, net.graph.output);
    check(make_plan(net.graph, t.isa, false, 1, "im2col")->arena_bytes() <= 2 * 1008 * sizeof(float),
          "two values");
  }
  if (begin("lenet5")) {
    Random random(1);
    Net net(random, shape_of({1, 28, 28}));
    lenet5(net);
    // the largest two values next to each other, conv1's and its ReLU's, and the larger convolution's scratch
    size_t scratch = 0;
    for (const Node& node : net.graph.nodes) {
      if (node.op != Op::conv2d) continue;
      const ConvArgs a = conv_args(node, net.shape(node.inputs[0]));
      scratch = std::max(scratch, t.im2col.scratch_size(a));
    }
    const size_t floats = make_plan(net.graph, t.isa, false, 1, "im2col")->arena_bytes() / sizeof(float);
    check(floats <= 2 * 6 * 24 * 24 + (scratch + 15) / 16 * 16, "%zu floats", floats);
  }
}

PER_TIER(shared_weights) {
  if (!begin("sizes")) return;
  const auto net_of = [](int64_t side, uint64_t seed) {
    Random random(seed);
    auto net = std::make_unique<Net>(random, shape_of({8, side, side}));
    net->conv(0, 64, Window(3, 1, 1));
    net->conv(net->graph.output, 32, Window(3, 2, 1));
    return net;
  };
  const auto small = net_of(12, 5), large = net_of(16, 5), other = net_of(16, 6);
  for (const char* algorithm : algorithms) {
    // these may choose another way for each size
    if (algorithm == std::string("auto") || algorithm == std::string("direct")) continue;
    const auto a = make_plan(small->graph, t.isa, true, 1, algorithm);
    const auto b = make_plan(large->graph, t.isa, true, 1, algorithm);
    const auto c = make_plan(other->graph, t.isa, true, 1, algorithm);
    check(a->weights() == b->weights(), "%s: two sizes of a network have one block of weights", algorithm);
    check(c->weights() != b->weights(), "%s: other weights have their own", algorithm);
  }
}

PER_TIER(plan) {
  Random random(9);
  Net net(random, shape_of({1, 28, 28}));
  lenet5(net);
  const auto plan = make_plan(net.graph, t.isa);
  if (begin("batches")) {
    // around a block of images, and around the fewest images that make one
    std::vector<int> batches = {0,
                                1,
                                2,
                                3,
                                t.lanes / 2,
                                3 * t.lanes / 4 - 1,
                                3 * t.lanes / 4,
                                7 * t.lanes / 8 - 1,
                                7 * t.lanes / 8,
                                t.lanes - 1,
                                t.lanes,
                                t.lanes + 1,
                                2 * t.lanes - 1,
                                2 * t.lanes + 1};
    std::sort(batches.begin(), batches.end());
    batches.erase(std::unique(batches.begin(), batches.end()), batches.end());
    for (int batch : batches) {
      if (batch < 0) continue;
      const std::vector<float> input = random_floats(random, net.input_length() * static_cast<size_t>(batch));
      std::vector<float> alone(10 * static_cast<size_t>(batch));
      for (int image = 0; image < batch; ++image)
        plan->run(input.data() + image * 784, alone.data() + image * 10, 1);
      for (const char* algorithm : {"auto", "im2col", "lanes"}) {
        for (int threads : {1, 2, 3, 5}) {
          const auto other = make_plan(net.graph, t.isa, true, threads, algorithm);
          const std::vector<float> got =
              run_guarded(*other, input, batch, threads % 2 ? Place::ends_at_page : Place::begins_at_page);
          check_same(got.data(), alone.data(), got.size(), "the images alone", true);
        }
      }
    }
  }
  const std::vector<float> input = random_floats(random, net.input_length() * 2);
  if (begin("profile")) {
    for (int batch : {1, 2, t.lanes, 2 * t.lanes + 1}) {
      const int iterations = 1 + batch % 3;
      Random again(batch);
      const std::vector<float> images = random_floats(again, net.input_length() * static_cast<size_t>(batch));
      const Guarded in(images, Place::ends_at_page),
          out(10 * static_cast<size_t>(batch), Place::ends_at_page);
      const std::vector<double> ns = plan->profile(in.data(), out.data(), batch, iterations);
      check(ns.size() == plan->steps().size() && *std::min_element(ns.begin(), ns.end()) >= 0,
            "a time a step");
      check(out.canaries(), "writes to the output alone");
    }
  }
  if (begin("bytes")) {
    // the bytes' floats give the same bits
    PlanOptions options;
    options.isa = t.isa;
    options.byte_input = true;
    options.scale = 1.0f / 255;
    options.shift = -0.5f;
    for (const char* algorithm : {"auto", "im2col", "lanes"}) {
      options.algorithm = algorithm;
      for (int threads : {1, 3}) {
        options.threads = threads;
        const auto on_bytes = Plan::make(net.graph, options);
        check(on_bytes->byte_input() && !plan->byte_input(), "byte_input");
        for (int batch : {1, 2, t.lanes, 2 * t.lanes + 1}) {
          const std::vector<uint8_t> bytes = random_bytes(random, 784 * static_cast<size_t>(batch));
          std::vector<float> floats(bytes.size()), expected(10 * static_cast<size_t>(batch));
          t.from_bytes(bytes.size(), bytes.data(), options.scale, options.shift, floats.data());
          plan->run(floats.data(), expected.data(), batch);
          for (Place place : all_places) {
            const GuardedBytes in(bytes, place);
            const Guarded out(expected.size(), place);
            on_bytes->run(Plan::Input(in.data()), out.data(), batch);
            check_same(out.data(), expected.data(), expected.size(), algorithm, true);
            check(out.canaries() && aligned_canaries_alive(), "nothing but the output is written");
          }
        }
      }
    }
  }
  if (begin("own weights")) {
    // a plan keeps what it needs of the weights: the graph may go
    std::unique_ptr<const Plan> kept;
    std::vector<float> before;
    {
      Random other(17);
      Net gone(other, shape_of({1, 28, 28}));
      lenet5(gone);
      gone.add(gone.graph.output, gone.constant(shape_of({10})));
      kept = make_plan(gone.graph, t.isa);
      before = run_guarded(*kept, input, 2, Place::ends_at_page);
    }
    // its pages are written over by these
    const std::vector<float> zeros(120 * 256, 0.0f);
    const Guarded a(zeros, Place::ends_at_page), b(std::vector<float>(2400, 0.0f), Place::ends_at_page);
    const std::vector<float> after = run_guarded(*kept, input, 2, Place::ends_at_page);
    check_same(after.data(), before.data(), before.size(), "the weights' memory has gone", true);
  }
  if (begin("outputs")) {
    // an input, a constant, or one of them flattened, as the output
    Net same(random, shape_of({2, 3, 4}));
    const std::vector<float> x = random_floats(random, 24);
    std::vector<float> got = run_guarded(*make_plan(same.graph, t.isa), x, 1, Place::ends_at_page);
    check_same(got.data(), x.data(), 24, "the input as the output");
    same.flatten(same.flatten(0), shape_of({4, 6}));
    const auto flat = make_plan(same.graph, t.isa);
    got = run_guarded(*flat, x, 1, Place::ends_at_page);
    check_same(got.data(), x.data(), 24, "the input, flattened, as the output");
    check(flat->output_shape() == shape_of({4, 6}), "output shape");
    const int c = same.constant(shape_of({3, 3}));
    const std::vector<float> value(same.graph.nodes[static_cast<size_t>(c)].weight.data,
                                   same.graph.nodes[static_cast<size_t>(c)].weight.data + 9);
    got = run_guarded(*make_plan(same.graph, t.isa), x, 1, Place::ends_at_page);
    check_same(got.data(), value.data(), 9, "a constant as the output");
  }
  if (begin("repeated")) {
    // a convolution's value that is added to every row, column or pixel is no residual of its tile
    for (const int rows : {1, 6}) {
      for (const int columns : {1, 5}) {
        Net spread(random, shape_of({3, 6, 5}));
        const int channels = t.lanes + 1;
        const int x = spread.conv(0, channels, Window(3, 1, 1));
        const int pooled = spread.adaptive(Op::adaptive_avg_pool2d, x, rows, columns);
        spread.unary(Op::relu, spread.add(x, spread.conv(pooled, channels, Window(1))));
        const std::vector<float> image = random_floats(random, spread.input_length());
        const std::vector<float> want =
            run_guarded(*make_plan(spread.graph, t.isa, false, 1, "im2col"), image, 1, Place::ends_at_page);
        for (const char* algorithm : algorithms) {
          const auto plan = make_plan(spread.graph, t.isa, true, 1, algorithm);
          check_same(run_guarded(*plan, image, 1, Place::ends_at_page).data(), want.data(), want.size(),
                     "a sum that repeats a convolution's value");
        }
      }
    }
  }
  if (begin("nested")) {
    // the caller's output holds numbers of channels at its end that a step before reads as blocks of channels
    const int channels = 2 * t.lanes + 1;
    Net gated(random, shape_of({3, 5, 5}));
    const int x = gated.conv(0, channels, Window(3, 1, 1));
    const int gate = gated.unary(Op::sigmoid, gated.adaptive(Op::adaptive_avg_pool2d, x, 1, 1));
    const int product = gated.binary(Op::mul, x, gate);
    gated.concat({gated.adaptive(Op::adaptive_avg_pool2d, product, 1, 1), gate}, 0);
    const std::vector<float> image = random_floats(random, gated.input_length());
    const std::vector<float> want =
        run_guarded(*make_plan(gated.graph, t.isa, true, 1, "im2col"), image, 1, Place::ends_at_page);
    for (int threads : {1, 3}) {
      const auto blocked = make_plan(gated.graph, t.isa, true, threads, "blocked");
      const std::vector<float> got = run_guarded(*blocked, image, 1, Place::ends_at_page);
      check_same(got.data(), want.data(), want.size(), "a gate that is an output as well");
    }
  }
}

}  // namespace test
}  // namespace kernelet
