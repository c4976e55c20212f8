// A 1x1 convolution and the depthwise one behind it as one step: the bits of the two alone, whatever the window, the rows
// of a strip and the threads.
#include <string>

#include "check.h"
#include "net.h"

namespace kernelet {
namespace test {

PER_TIER(depth_first) {
  int turn = 0;
  for (const int kernel : {1, 3, 5}) {
    for (const int stride : {1, 2, 3}) {
      for (const int padding : {0, 1, 2, 4}) {
        for (const int channels : {1, 2 * t.lanes, 5 * t.lanes + 1}) {
          const int dilation = ++turn % 3 == 0 ? 2 : 1;
          const std::string name = "k" + std::to_string(kernel) + "s" + std::to_string(stride) + "p" +
                                   std::to_string(padding) + "d" + std::to_string(dilation) + "c" +
                                   std::to_string(channels);
          if (!begin(name)) continue;
          Random random(name);
          Net net(random, shape_of({3, 9 + turn % 7, 8 + turn % 9}));
          const bool residual = stride == 1 && 2 * padding == (kernel - 1) * dilation;
          const int from = net.conv(0, residual ? channels : t.lanes + turn % 5, Window(3, 1, 1));
          int x = net.conv(from, channels, Window(1));
          if (turn % 2 == 0) x = net.batch_norm(x);
          if (turn % 5 != 0) x = net.unary(turn % 5 < 3 ? Op::clip : Op::hardswish, x);
          x = net.conv(x, channels, Window(kernel, stride, padding, dilation), channels);
          if (x < 0) continue;
          if (turn % 3 != 0) x = net.batch_norm(x);
          if (residual) x = net.add(x, from);
          net.unary(Op::silu, x);
          const std::vector<float> image = random_floats(random, net.input_length());
          const auto apart = make_plan(net.graph, t.isa, false, 1, "im2col");
          const std::vector<float> want = run_guarded(*apart, image, 1, Place::ends_at_page);
          for (const size_t strip : {size_t{1}, size_t{2000}, size_t{1} << 20}) {
            for (const int threads : {1, 3}) {
              PlanOptions options = in_blocks(t.isa, threads);
              options.depth_first.strip = strip;
              const auto plan = Plan::make(net.graph, options);
              bool taken = false;
              for (const StepDescription& step : plan->steps()) taken = taken || step.strip > 0;
              check(taken || channels == 1, "the two are one step");
              check_same(run_guarded(*plan, image, 1, Place::ends_at_page).data(), want.data(), want.size(),
                         "depth first");
            }
          }
        }
      }
    }
  }
}

}  // namespace test
}  // namespace kernelet
