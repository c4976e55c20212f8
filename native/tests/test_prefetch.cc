// Prefetch fusion, a linear layer in slices between the tiles of a convolution; and a fused maximum that trusts its input: both
// against plans that do neither, and against the definition.
#include <cmath>

#include "check.h"
#include "naive.h"
#include "net.h"

namespace kernelet {
namespace test {
namespace {

struct Case {
  int ic, side, oc, groups;
  Window conv;
  bool relu, pool;
  int out;
};

const float infinity = HUGE_VALF;

std::string name_of(const Case& c) {
  return "g" + std::to_string(c.groups) + "ic" + std::to_string(c.ic) + "ih" + std::to_string(c.side) + "oc" +
         std::to_string(c.oc) + "kh" + std::to_string(c.conv.kernel[0]) + "ph" +
         std::to_string(c.conv.padding[0]) + "sh" + std::to_string(c.conv.stride[0]) +
         (c.pool ? "pool" : "") + "to" + std::to_string(c.out);
}

void fuse_prefetch(const KernelTable& t, const Case& c) {
  const std::string name = name_of(c);
  if (!begin(name)) return;
  Random random(name);
  Net net(random, shape_of({c.ic, c.side, c.side}));
  int x = net.conv(0, c.oc, c.conv, c.groups);
  if (c.relu) x = net.unary(Op::relu, x);
  if (c.pool) x = net.pool(Op::max_pool2d, x, Window(2, 2));
  x = net.linear(net.flatten(x), c.out);
  if (c.relu) x = net.unary(Op::relu, x);
  net.linear(x, 10);
  const auto plan = make_plan(net.graph, t.isa, true, 1, "direct-pixels");
  const auto apart = make_plan(net.graph, t.isa, true, 1, "im2col");
  const std::vector<StepDescription>& steps = plan->steps();
  const int inputs = static_cast<int>(steps[0].output.elements());
  const bool large =
      t.linear.weights_size({1, inputs, c.out, {}, nullptr, nullptr, 1}) >= (32 << 10) / sizeof(float);
  // (a long sum is cut elsewhere than slices are)
  const bool along = steps[0].algorithm == "direct-pixels" && large && inputs <= long_sum;
  check(steps[1].during == (along ? steps[0].names.front() : std::string()), "during '%s'",
        steps[1].during.c_str());
  check(apart->steps()[1].during.empty() && steps[2].during.empty(), "no other layer is fused as a prefetch");
  for (Place place : all_places) {
    const std::vector<float> input = random_floats(random, net.input_length());
    const std::vector<float> want = naive_values(t, net.graph, input.data()).back();
    const std::vector<float> got = run_guarded(*plan, input, 1, place);
    check_same(got.data(), want.data(), want.size(), "as defined");
    const std::vector<float> other = run_guarded(*apart, input, 1, place);
    check_same(got.data(), other.data(), other.size(), "as each layer apart");
    // several images one after another: sums of the one before are not gone on with
    std::vector<float> twice = input;
    twice.insert(twice.end(), input.begin(), input.end());
    const std::vector<float> both = run_guarded(*plan, twice, 2, place);
    check_same(both.data() + want.size(), want.data(), want.size(), "the second image");
    std::vector<float> output(want.size());
    check(plan->profile(input.data(), output.data(), 1, 2).size() == steps.size(), "a time for every step");
    check_same(output.data(), want.data(), want.size(), "measured step by step");
  }
}

}  // namespace

PER_TIER(along) {
  const Window k5(5), k3(3, 1, 1), k1(1), strided(3, 2, 1);
  const Case cases[] = {
      {6, 12, 16, 1, k5, true, true, 120},      // LeNet-5's
      {1, 22, 6, 1, k5, true, true, 84},        // one part of the channels
      {3, 16, 7, 1, k3, true, true, 96},        // padded: the scratch holds a copy as well
      {2, 18, 6, 1, k3, false, true, 33},       // rows that tiles overlap
      {2, 7, 10, 1, k3, false, false, 33},      // the same without a pool, where registers are short
      {4, 17, 12, 1, k1, true, true, 130},      // as many inputs as a sum may have
      {3, 15, 8, 1, strided, true, false, 40},  //
      {4, 18, 6, 2, k3, true, true, 120},       // groups
      {1, 16, 8, 1, k3, false, true, 300},      // more panels than tiles
      {2, 16, 2, 1, k3, true, true, 16},        // weights that the first-level cache holds
      {4, 19, 10, 1, k1, true, true, 130},      // a long sum
  };
  for (const Case& c : cases) fuse_prefetch(t, c);
}

// A maximum in registers loses a NaN that is not its first operand, so it must not be taken where one can come.
PER_TIER(bounded_inputs) {
  if (begin("is_bounded")) {
    for (size_t n : {size_t{1}, size_t{7}, size_t{16}, size_t{127}, size_t{128}, size_t{129}, size_t{300}}) {
      for (Place place : all_places) {
        const Guarded src(std::vector<float>(n, -3.0f), place);
        check(t.is_bounded(n, src.data()), "%zu small numbers", n);
      }
      for (size_t at = 0; at < n; ++at) {
        for (float x : {std::nanf(""), infinity, -infinity, bounded_limit, -3e38f}) {
          std::vector<float> values(n, 1.0f);
          values[at] = x;
          check(!t.is_bounded(n, values.data()), "%g at %zu of %zu", static_cast<double>(x), at, n);
        }
      }
    }
  }
  for (const bool relu : {false, true}) {
    for (const float gain : {1.0f, 1e12f, 1e20f, 1e37f}) {
      if (!begin(std::string(relu ? "relu" : "plain") + std::to_string(static_cast<int>(std::log10(gain)))))
        continue;
      Random random(3);
      Net net(random, shape_of({2, 20, 20}));
      std::vector<std::vector<float>> weights;
      int x = 0;
      for (int oc : {7, 5}) {
        x = net.conv(x, oc, Window(3));
        Node& conv = net.graph.nodes[static_cast<size_t>(x)];
        weights.emplace_back(conv.weight.data, conv.weight.data + conv.weight.length);
        for (float& w : weights.back()) w *= gain;
        conv.weight.data = weights.back().data();
        if (relu) x = net.unary(Op::relu, x);
        x = net.pool(Op::max_pool2d, x, Window(2, 2));
      }
      const auto plan = make_plan(net.graph, t.isa, true, 1, "direct-pixels");
      const auto other = make_plan(net.graph, t.isa, false, 1, "im2col");
      const auto lanes = make_plan(net.graph, t.isa, true, 1, "lanes");
      bool good = true, in_lanes = true, as_twin = true;
      const size_t n = net.input_length();
      for (float value : {1.0f, std::nanf(""), infinity, 9e14f, 1e30f, 3e38f}) {
        for (size_t at = 0; at < n; at += value == 1.0f ? n : 7) {
          std::vector<float> input = random_floats(random, n);
          input[at] = value;
          const std::vector<float> want = naive_values(t, net.graph, input.data()).back();
          std::vector<float> got(want.size()), block(want.size()), unfused(want.size());
          plan->run(input.data(), got.data(), 1);
          lanes->run(input.data(), block.data(), 1);
          other->run(input.data(), unfused.data(), 1);
          as_twin = as_twin && difference(got.data(), want.data(), want.size()) == want.size();
          in_lanes = in_lanes && difference(block.data(), want.data(), want.size()) == want.size();
          good = good && difference(got.data(), unfused.data(), got.size()) == got.size();
        }
      }
      check(good, "as without fusion");
      check(in_lanes, "in the lanes");
      check(as_twin, "as defined");
    }
  }
}

}  // namespace test
}  // namespace kernelet
