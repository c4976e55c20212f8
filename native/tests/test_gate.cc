// A product with a number a channel and the 1x1 convolution behind it as one step: the bits of the two alone, whatever the
// channels, the pixels and the threads; and what is not such a pair stays two steps.
#include <algorithm>
#include <string>

#include "check.h"
#include "net.h"

namespace kernelet {
namespace test {
namespace {

// Steps that compute more than the product with it.
int gated_steps(const Plan& plan) {
  int count = 0;
  for (const StepDescription& step : plan.steps()) count += step.ops.size() > 1 && step.ops[0] == "mul";
  return count;
}

}  // namespace

PER_TIER(gate) {
  int turn = 0;
  for (const int channels : {1, t.lanes, 3 * t.lanes + 1, 300}) {
    for (const int outputs : {3, 2 * t.lanes, 5 * t.lanes + 2, 250}) {
      for (const int side : {2, 9, 15}) {
        const std::string name =
            "ic" + std::to_string(channels) + "oc" + std::to_string(outputs) + "side" + std::to_string(side);
        if (!begin(name)) continue;
        Random random(name);
        Net net(random, shape_of({3, side, side + turn % 3}));
        const int x = net.conv(0, channels, Window(3, 1, 1));
        int gate = net.adaptive(Op::adaptive_avg_pool2d, x, 1, 1);
        gate = net.unary(Op::sigmoid, net.conv(gate, channels, Window(1)));
        int y = turn % 2 == 0 ? net.binary(Op::mul, x, gate) : net.binary(Op::mul, gate, x);
        const int convolution = y = net.conv(y, outputs, Window(1));
        if (turn % 3 == 0) y = net.batch_norm(y);
        if (channels == outputs) y = net.add(y, x);
        net.unary(turn % 4 == 0 ? Op::silu : Op::relu, y);
        ++turn;
        const std::vector<float> image = random_floats(random, net.input_length());
        const std::vector<float> want =
            run_guarded(*make_plan(net.graph, t.isa, false, 1, "im2col"), image, 1, Place::ends_at_page);
        for (const int threads : {1, 3}) {
          for (const int strip : {0, 2}) {
            PlanOptions options = in_blocks(t.isa, threads);
            if (strip > 0) options.choices.at(convolution).strip = strip;
            const auto plan = Plan::make(net.graph, options);
            check(gated_steps(*plan) == 1, "the two are one step");
            for (Place place : all_places)
              check_same(run_guarded(*plan, image, 1, place).data(), want.data(), want.size(), "gated");
          }
        }
      }
    }
  }
}

// What reads the product otherwise, or more than once, finds it whole.
PER_TIER(no_gate) {
  for (const char* kind :
       {"window", "stride", "padding", "pooled", "two readers", "the result", "depth first"}) {
    if (!begin(kind)) continue;
    const std::string what = kind;
    Random random(what);
    Net net(random, shape_of({3, 12, 12}));
    const int channels = 2 * t.lanes;
    const int x = net.conv(0, channels, Window(3, 1, 1));
    const int gate = net.unary(Op::sigmoid, net.adaptive(Op::adaptive_avg_pool2d, x, 1, 1));
    const int product = net.binary(Op::mul, x, gate);
    if (what == "window") net.conv(product, 16, Window(3, 1, 1));
    if (what == "stride") net.conv(product, 16, Window(1, 2));
    if (what == "padding") net.conv(product, 16, Window(1, 1, 1));
    if (what == "pooled") net.pool(Op::max_pool2d, net.conv(product, 16, Window(1)), Window(2, 2));
    if (what == "two readers") net.add(product, net.conv(product, channels, Window(1)));
    // a convolution with a gate is no expansion: what it writes is whole
    if (what == "depth first")
      net.conv(net.conv(product, 3 * t.lanes, Window(1)), 3 * t.lanes, Window(3, 1, 1), 3 * t.lanes);
    const std::vector<float> image = random_floats(random, net.input_length());
    const std::vector<float> want =
        run_guarded(*make_plan(net.graph, t.isa, false, 1, "im2col"), image, 1, Place::ends_at_page);
    const auto plan = Plan::make(net.graph, in_blocks(t.isa, 1));
    check(gated_steps(*plan) == (what == "depth first" ? 1 : 0), "the product is a step of its own");
    check_same(run_guarded(*plan, image, 1, Place::ends_at_page).data(), want.data(), want.size(), kind);
  }
}

}  // namespace test
}  // namespace kernelet
