// Promise 1 of design/architecture.md: a result does not depend on the batch, the threads, fusion, the
// algorithm, or the tier within its class.
#include <algorithm>
#include <cinttypes>
#include <cmath>

#include "check.h"
#include "data.h"
#include "kernels/isa.h"
#include "naive.h"
#include "net.h"

namespace kernelet {
namespace test {
namespace {

// What these nets give with the tiers that have fused multiply-add, and with those that have not: computed
// on x86-64 (avx2, scalar), to be met to the bit by every other tier, machine and compiler.
constexpr uint64_t lenet5_digest_with_fma = 0xf88a8d248fe34fe9;
constexpr uint64_t lenet5_digest_without_fma = 0xae0d553985b84cde;
constexpr uint64_t digest_with_fma = 0xe1a762c339cc3008;
constexpr uint64_t digest_without_fma = 0x692aeadb664b0db5;
constexpr uint64_t block_digest_with_fma = 0xa8b53dffdfc16fc7;
constexpr uint64_t block_digest_without_fma = 0x2d0f86f7ccbb6ca7;

// The nets of the digest: never change one, add another (and print the new digest).
std::vector<Net> fixed_nets(Random& random) {
  std::vector<Net> nets;
  {
    nets.emplace_back(random, shape_of({1, 28, 28}));
    lenet5(nets.back());
  }
  {  // every attribute of a convolution
    Net net(random, shape_of({6, 23, 31}));
    Window w(3, 2, 1);
    w.stride[1] = 3;
    w.dilation[0] = 2;
    w.padding[3] = 4;
    int x = net.unary(Op::relu, net.conv(0, 9, w, 3));
    x = net.conv(x, 18, Window(3, 1, 2, 2), 9, false);  // depthwise, two filters a channel
    x = net.unary(Op::tanh, x);
    x = net.conv(x, 17, Window(1));
    x = net.pool(Op::max_pool2d, x, Window(3, 2, 1), true);
    x = net.linear(net.flatten(x), 65);
    net.softmax(Op::softmax, x, 0);
    nets.push_back(std::move(net));
  }
  {  // the paper's LeNet in small: average pooling, tanh and sigmoid
    Net net(random, shape_of({1, 32, 32}));
    int x = net.pool(Op::avg_pool2d, net.unary(Op::tanh, net.conv(0, 6, Window(5))), Window(2, 2));
    x = net.pool(Op::avg_pool2d, net.conv(x, 16, Window(5)), Window(2, 2));
    x = net.unary(Op::sigmoid, x);
    x = net.unary(Op::tanh, net.linear(net.flatten(x), 120));
    net.softmax(Op::log_softmax, net.linear(x, 10), 0);
    nets.push_back(std::move(net));
  }
  {  // residual sums and concatenation, softmax over channels, K beyond one block
    Net net(random, shape_of({8, 11, 13}));
    const int a = net.unary(Op::relu, net.conv(0, 24, Window(3, 1, 1)));
    const int b = net.conv(a, 24, Window(3, 1, 1));
    const int c = net.unary(Op::relu, net.add(a, b));
    const int d = net.concat({c, a, net.constant(shape_of({2, 11, 13})), b}, 0);
    const int e = net.pool(Op::avg_pool2d, net.conv(d, 12, Window(3)), Window(3, 2, 1), true, false);
    net.softmax(Op::log_softmax, net.linear(net.add(e, e), 7), 0);
    nets.push_back(std::move(net));
  }
  return nets;
}

// The same of nets that run in blocks of channels.
std::vector<Net> fixed_block_nets(Random& random) {
  std::vector<Net> nets;
  {  // residual blocks, with batch norm behind every convolution
    Net net(random, shape_of({3, 18, 18}));
    int x = net.unary(Op::relu, net.batch_norm(net.conv(0, 32, Window(3, 1, 1), 1, false)));
    x = net.pool(Op::max_pool2d, x, Window(3, 2, 1));
    int y = net.unary(Op::relu, net.batch_norm(net.conv(x, 32, Window(3, 1, 1), 1, false)));
    y = net.batch_norm(net.conv(y, 32, Window(3, 1, 1), 1, false));
    x = net.unary(Op::relu, net.add(x, y));
    y = net.unary(Op::relu, net.conv(x, 48, Window(3, 2, 1)));
    y = net.conv(y, 48, Window(3, 1, 1));
    x = net.unary(Op::relu, net.add(y, net.conv(x, 48, Window(1, 2))));
    net.linear(net.flatten(net.adaptive(Op::adaptive_avg_pool2d, x, 1, 1)), 10);
    nets.push_back(std::move(net));
  }
  {  // an inverted residual with squeeze and excitation
    Net net(random, shape_of({3, 20, 20}));
    const int stem = net.unary(Op::hardswish, net.conv(0, 32, Window(3, 2, 1)));
    int x = net.unary(Op::silu, net.conv(stem, 96, Window(1)));
    x = net.unary(Op::silu, net.conv(x, 96, Window(5, 1, 2), 96));
    int gate = net.adaptive(Op::adaptive_avg_pool2d, x, 1, 1);
    gate = net.unary(Op::relu, net.conv(gate, 24, Window(1)));
    gate = net.unary(Op::hardsigmoid, net.conv(gate, 96, Window(1)));
    x = net.add(stem, net.conv(net.binary(Op::mul, x, gate), 32, Window(1)));
    x = net.unary(Op::clip, net.conv(x, 65, Window(3, 2, 1), 1));
    net.linear(net.flatten(net.adaptive(Op::adaptive_avg_pool2d, x, 1, 1)), 10);
    nets.push_back(std::move(net));
  }
  return nets;
}

}  // namespace

// One digest of a list of nets: three images by every algorithm, which all give the same bits.
static uint64_t digest_of(const KernelTable& t, const std::vector<Net>& nets, Random& random) {
  uint64_t hash = fnv_start;
  for (const Net& net : nets) {
    constexpr int batch = 3;
    std::vector<float> input = random_floats(random, net.input_length() * batch);
    for (float& x : input) x *= 4;
    std::vector<float> first;
    for (const char* algorithm : algorithms) {
      const auto plan = make_plan(net.graph, t.isa, true, 1, algorithm);
      std::vector<float> output(net.output_length() * batch);
      plan->run(input.data(), output.data(), batch);
      if (first.empty()) first = output;
      check_same(output.data(), first.data(), first.size(), algorithm, true);
    }
    bool finite = true;
    for (float x : first) finite = finite && x - x == 0;
    check(finite, "nothing but finite numbers in a digest");
    hash = fnv(first.data(), first.size() * sizeof(float), hash);
  }
  note("%s-class digest %016" PRIx64, t.has_fma ? "FMA" : "no-FMA", hash);
  return hash;
}

PER_TIER(digest) {
  if (!begin(t.has_fma ? "with-fma" : "without-fma")) return;
  Random random(20240501);
  const std::vector<Net> nets = fixed_nets(random);
  const uint64_t want = t.has_fma ? digest_with_fma : digest_without_fma;
  check(digest_of(t, nets, random) == want, "the class's digest is %016" PRIx64, want);
}

// LeNet-5 alone, the first of them.
PER_TIER(digest_of_lenet5) {
  if (!begin(t.has_fma ? "with-fma" : "without-fma")) return;
  Random random(20240501);
  std::vector<Net> all = fixed_nets(random), nets;
  nets.push_back(std::move(all.front()));
  const uint64_t want = t.has_fma ? lenet5_digest_with_fma : lenet5_digest_without_fma;
  check(digest_of(t, nets, random) == want, "the class's digest is %016" PRIx64, want);
}

// Nets large enough for blocks of channels, which "auto" takes where a tier has more than one lane.
PER_TIER(digest_of_blocks) {
  if (!begin(t.has_fma ? "with-fma" : "without-fma")) return;
  Random random(20261128);
  const std::vector<Net> nets = fixed_block_nets(random);
  for (const Net& net : nets) {
    bool blocked = false;
    const auto plan = make_plan(net.graph, t.isa);
    for (const StepDescription& step : plan->steps())
      blocked = blocked || std::string(step.layout) == "blocked";
    check(blocked == (t.lanes > 1), "the plan is in blocks");
  }
  const uint64_t want = t.has_fma ? block_digest_with_fma : block_digest_without_fma;
  check(digest_of(t, nets, random) == want, "the class's digest is %016" PRIx64, want);
}

// Random nets on this tier: every way to run them gives the naive twin's bits.
PER_TIER(nets) {
  const int count = slow ? 30 : 90;
  for (int i = 0; i < count; ++i) {
    const bool wild = i % 3 == 2;
    const std::string name = "net" + std::to_string(i) + (wild ? "wild" : "");
    if (!begin(name)) continue;
    Random random(name);
    const Net net = random_net(random, random.range(2, 14), wild);
    // enough for a block of images, and some over
    const int batch = random.chance(50) ? random.range(2, 5) : t.lanes + random.range(0, t.lanes + 2);
    const size_t in = net.input_length(), out = net.output_length();
    const std::vector<float> input = random_floats(random, in * static_cast<size_t>(batch));
    // two images by the naive twin, all of them alone by a plan
    std::vector<float> alone;
    bool good = true;
    const auto one_by_one = make_plan(net.graph, t.isa);
    for (int image = 0; image < batch; ++image) {
      const std::vector<float> one(input.begin() + image * in, input.begin() + (image + 1) * in);
      const std::vector<float> got = run_guarded(*one_by_one, one, 1, all_places[random.next() % 3]);
      alone.insert(alone.end(), got.begin(), got.end());
      if (image > 1) continue;
      const std::vector<float> want =
          naive_values(t, net.graph, one.data())[static_cast<size_t>(net.graph.output)];
      good = check_same(got.data(), want.data(), out, "an image alone") && good;
    }
    for (const char* algorithm : algorithms) {
      for (bool fuse : {true, false}) {
        const std::string what = std::string(algorithm) + (fuse ? ", fused" : ", not fused");
        const auto plan = make_plan(net.graph, t.isa, fuse, 1, algorithm);
        const std::vector<float> together = run_guarded(*plan, input, batch, all_places[random.next() % 3]);
        good = check_same(together.data(), alone.data(), alone.size(), what.c_str()) && good;
      }
      const auto threaded = make_plan(net.graph, t.isa, true, 2, algorithm);
      const std::vector<float> by_two = run_guarded(*threaded, input, batch, all_places[random.next() % 3]);
      good = check_same(by_two.data(), alone.data(), alone.size(), "two threads") && good;
    }
    // Winograd rounds otherwise, but the same way whatever the batch, the threads and fusion
    std::vector<float> first;
    for (bool fuse : {true, false}) {
      for (int threads : {1, 2}) {
        const auto plan = make_plan(net.graph, t.isa, fuse, threads, "winograd");
        const std::vector<float> got = run_guarded(*plan, input, batch, all_places[random.next() % 3]);
        if (first.empty()) first = got;
        good =
            check_same(got.data(), first.data(), first.size(), "winograd, fused or not, by threads") && good;
        const std::vector<float> one(input.end() - static_cast<ptrdiff_t>(in), input.end());
        const std::vector<float> last = run_guarded(*plan, one, 1, all_places[random.next() % 3]);
        good = check_same(last.data(), first.data() + first.size() - out, out,
                          "winograd, the last image alone") &&
               good;
      }
    }
    const std::vector<float> fastest = run_guarded(*make_plan(net.graph, t.isa, true, 1, "fastest"), input,
                                                   batch, all_places[random.next() % 3]);
    for (const std::vector<float>* other : {static_cast<const std::vector<float>*>(&first), &fastest}) {
      double largest = 1, worst = 0;
      for (size_t i = 0; i < alone.size(); ++i) {
        largest = std::max(largest, std::fabs(static_cast<double>(alone[i])));
        if (bits_of((*other)[i]) == bits_of(alone[i])) continue;  // a maximum of nothing too
        const double off = std::fabs(static_cast<double>((*other)[i]) - alone[i]);
        worst = std::max(worst, off == off ? off : 1e30);
      }
      good = check(worst <= 1e-4 * largest, "%s: off by %g of the largest output",
                   other == &first ? "winograd" : "fastest", worst / largest) &&
             good;
    }
    if (!good) note("%s is %s", name.c_str(), net.text().c_str());
  }
  if (begin("arenas")) check(aligned_blocks_alive() == 0, "every arena and weight is freed with its plan");
}

// Tier against tier.
ONCE(classes) {
  for (bool fma : {false, true}) {
    std::vector<const KernelTable*> tiers;
    for (const std::string& isa : supported_isas()) {
      const KernelTable* const table = choose_isa(isa).table;
      if (table->has_fma == fma) tiers.push_back(table);
    }
    for (size_t other = 1; other < tiers.size(); ++other) {
      const std::string pair = std::string(tiers[0]->isa) + "=" + tiers[other]->isa;
      for (int i = 0; i < (slow ? 40 : 200); ++i) {
        const std::string name = pair + " net" + std::to_string(i);
        if (!begin(name)) continue;
        Random random("classes" + std::to_string(i));
        const Net net = random_net(random, random.range(2, 16), i % 4 == 3);
        std::vector<float> input = random_floats(random, net.input_length() * 2);
        if (i % 2 == 1) {
          for (float& x : input) x = x * 30;
        }
        std::vector<float> a(net.output_length() * 2), b(a);
        const char* const algorithm = i % 3 == 0 ? "winograd" : "auto";
        make_plan(net.graph, tiers[0]->isa, true, 1, algorithm)->run(input.data(), a.data(), 2);
        make_plan(net.graph, tiers[other]->isa, true, 1, algorithm)->run(input.data(), b.data(), 2);
        if (!check_same(b.data(), a.data(), a.size(), pair.c_str()))
          note("%s is %s", name.c_str(), net.text().c_str());
      }
      if (!begin(pair + " activations")) continue;
      std::vector<float> x;
      for (uint64_t bits = 0; bits < (uint64_t{1} << 32); bits += 10007)
        x.push_back(float_of(static_cast<uint32_t>(bits)));
      Random random(3);
      for (int i = 0; i < 100000; ++i) x.push_back(20 * random.real());
      std::vector<float> a(x.size()), b(x.size());
      for (int i = 0; i < activation_count; ++i) {
        Unary f = unary(static_cast<Activation>(i));
        if (f.f == Activation::pow) f.a = -0.75f;
        tiers[0]->activate(f, x.size(), x.data(), a.data());
        tiers[other]->activate(f, x.size(), x.data(), b.data());
        check_same(b.data(), a.data(), a.size(), "activation");
      }
    }
  }
}

}  // namespace test
}  // namespace kernelet
