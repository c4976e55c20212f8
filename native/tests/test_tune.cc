// Tuning by clocks that lie: whatever is chosen, the bits are those of the plan that was not tuned.
#include <string>

#include "check.h"
#include "net.h"
#include "plan/tune.h"

namespace kernelet {
namespace test {
namespace {

double now = 0;
uint32_t state = 1;

// What takes long seems to take less.
double reversed() { return now -= 1e6; }
double random_clock() {
  state = state * 1664525u + 1013904223u;
  return now += static_cast<double>(state >> 12);
}
// Every second call finds that nothing has passed: odd variants look faster, and their choices are taken.
double alternating() {
  state += 1;
  return now += state % 4 < 2 ? 1e3 : 1e6;
}

// How many choices there were.
size_t check_tuned(const Graph& graph, PlanOptions options, const std::vector<float>& images,
                   const std::vector<float>& want, int64_t batch) {
  size_t choices = 0;
  for (const Clock clock : {reversed, random_clock, alternating}) {
    TuneOptions how;
    how.batch = batch;
    how.seconds = 1e9;
    how.clock = clock;
    const Tuned tuned = tune(graph, options, how);
    const auto same = [&](const Plan& plan, const char* what) {
      check_same(run_guarded(plan, images, batch, Place::ends_at_page).data(), want.data(), want.size(),
                 what);
    };
    same(*tuned.plan, "tuned");
    PlanOptions again = options;
    again.choices = tuned.choices;
    again.divide_from = tuned.divide_from;
    const auto plan = Plan::make(graph, again);
    same(*plan, "by its choices");
    choices += tuned.choices.nodes.size();
  }
  return choices;
}

}  // namespace

PER_TIER(tune) {
  for (int i = 0; i < 24; ++i) {
    const std::string name = "net" + std::to_string(i);
    if (!begin(name)) continue;
    Random random(name);
    Net net = random_net(random, random.range(2, 9));
    // the exact plan of one step a node is what everything is compared with elsewhere
    const auto plain = make_plan(net.graph, t.isa, false, 1, "im2col");
    const int64_t batch = i % 3 == 0 ? t.lanes + 1 : 1;
    const std::vector<float> images = random_floats(random, static_cast<size_t>(batch) * net.input_length());
    const std::vector<float> want = run_guarded(*plain, images, batch, Place::ends_at_page);
    PlanOptions options;
    options.isa = t.isa;
    options.threads = i % 4 == 1 ? 3 : 1;
    if (options.threads > 1) options.divide_from = 64;
    check_tuned(net.graph, options, images, want, batch);
  }
}

// Wide enough for blocks, depth first and Winograd's place.
PER_TIER(tune_wide) {
  if (!begin("inverted")) return;
  Random random("inverted");
  Net net(random, shape_of({3, 24, 24}));
  const int from = net.unary(Op::relu, net.conv(0, 2 * t.lanes, Window(3, 1, 1)));
  int x = net.unary(Op::clip, net.conv(from, 6 * t.lanes, Window(1)));
  x = net.unary(Op::clip, net.conv(x, 6 * t.lanes, Window(3, 1, 1), 6 * t.lanes));
  x = net.add(net.conv(x, 2 * t.lanes, Window(1)), from);
  x = net.conv(x, 2 * t.lanes + 3, Window(3, 2, 1));
  net.linear(net.flatten(x), 37);
  const auto plain = make_plan(net.graph, t.isa, false, 1, "im2col");
  const std::vector<float> image = random_floats(random, net.input_length());
  const std::vector<float> want = run_guarded(*plain, image, 1, Place::ends_at_page);
  for (const int threads : {1, 3}) {
    PlanOptions options;
    options.isa = t.isa;
    options.threads = threads;
    options.divide_from = 1000;
    options.depth_first.from = 1000;
    const size_t choices = check_tuned(net.graph, options, image, want, 1);
    check(choices > 0 || t.lanes == 1, "something was chosen");
  }
}

// What no tuning gives is refused, not computed.
PER_TIER(tune_forged) {
  if (!begin("forged")) return;
  Random random("forged");
  Net net(random, shape_of({4, 9, 9}));
  const int conv = net.conv(0, 2 * t.lanes, Window(3, 1, 1));
  const int relu = net.unary(Op::relu, conv);
  // (of lanes of one float every group is whole blocks)
  const int grouped = net.conv(relu, 4 * t.lanes + 2, Window(3), 2);
  const int linear = net.linear(net.flatten(grouped), 10);
  const auto refused = [&](int node, int way, int algorithm, int strip, const char* option = "auto") {
    PlanOptions options;
    options.isa = t.isa;
    options.algorithm = option;
    Choice choice;
    choice.node = node;
    choice.way = static_cast<Choice::Way>(way);
    choice.algorithm = algorithm;
    choice.strip = strip;
    options.choices.nodes.push_back(choice);
    try {
      Plan::make(net.graph, options);
      return false;
    } catch (const Error& error) {
      return std::string(error.code()) == "ERR_ARGUMENT";
    }
  };
  for (const int node : {-1, 0, relu, 1000, -2147483647}) check(refused(node, 0, 0, 0), "no step of its own");
  for (const int way : {4, 77, 255}) check(refused(conv, way, 0, 0), "no such way");
  for (const int algorithm : {-1, 6, 7, 8, 1 << 30})
    check(refused(conv, Choice::planes, algorithm, 0), "no such kernel");
  for (const int algorithm : {-1, 1, 5, 8})
    check(refused(linear, 0, algorithm, 0), "no kernel of linear layers");
  check(refused(conv, 0, 0, -2), "no such strip");
  check(refused(conv, Choice::winograd, 0, 0), "other bits were not asked for");
  check(refused(grouped, Choice::winograd, 0, 0, "fastest"), "Winograd has no groups");
  check(t.lanes == 1 || refused(grouped, Choice::blocked, 0, 0), "blocks have no such groups");
  check(!refused(conv, Choice::blocked, 0, 1 << 30), "as many tiles as there are");
  check(!refused(conv, Choice::planes, 1, 0), "im2col fits");
}

}  // namespace test
}  // namespace kernelet
