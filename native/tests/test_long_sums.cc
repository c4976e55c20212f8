// Sums that are cut into pieces, of convolutions, linear layers, matrix products, recurrent states and averages: the same
// bits however a network is run, and errors that do not grow with the length of one chain.
#include <algorithm>
#include <cinttypes>
#include <cmath>

#include "check.h"
#include "data.h"
#include "naive.h"
#include "net.h"

namespace kernelet {
namespace test {
namespace {

// As in test_same_bits.cc, for every machine.
constexpr uint64_t long_digest_with_fma = 0xa56a59da987f9c3f;
constexpr uint64_t long_digest_without_fma = 0xba7cc781947318e8;
constexpr uint64_t long_conv_digest_with_fma = 0x3fde5462ca8cfc02;
constexpr uint64_t long_conv_digest_without_fma = 0xec62c07ad37695e4;

// Never change one, add another.
std::vector<Net> long_nets(Random& random) {
  std::vector<Net> nets;
  {  // a convolution whose linear layer is too long to run along with it, and enough weights to share them
    Net net(random, shape_of({2, 16, 16}));
    int x = net.pool(Op::max_pool2d, net.unary(Op::relu, net.conv(0, 13, Window(3, 1, 1))), Window(2, 2));
    x = net.unary(Op::sigmoid, net.linear(net.flatten(x), 100));
    net.linear(x, 7);
    nets.push_back(std::move(net));
  }
  {  // just long, by way of an average that is long too
    Net net(random, shape_of({long_sum + 1, 12, 11}));
    const int x = net.adaptive(Op::adaptive_avg_pool2d, 0, 1, 1);
    net.unary(Op::relu, net.linear(net.flatten(x), 33));
    nets.push_back(std::move(net));
  }
  {  // several rows, products of two values either way
    Net net(random, shape_of({3, 800}));
    const int rows = net.linear(0, 780), turned = net.permute(rows, {1, 0});
    const int square = net.matmul(rows, turned), wide = net.matmul(turned, rows);
    net.matmul(square, net.matmul(rows, wide));
    nets.push_back(std::move(net));
  }
  {  // a state
    Net net(random, shape_of({2, long_sum + 5}));
    net.recurrent(Op::rnn_tanh, 0, true, true, false);
    nets.push_back(std::move(net));
  }
  {  // bins of a pool that overlap, in planes and in blocks
    Net net(random, shape_of({17, 29, 31}));
    net.adaptive(Op::adaptive_avg_pool2d, net.conv(0, 32, Window(1)), 2, 2);
    nets.push_back(std::move(net));
  }
  return nets;
}

// The same of convolutions.
std::vector<Net> long_conv_nets(Random& random) {
  std::vector<Net> nets;
  {  // two pieces, everything behind them
    Net net(random, shape_of({88, 6, 5}));
    const int skip = net.conv(0, 20, Window(1));
    int x = net.batch_norm(net.conv(0, 20, Window(3, 1, 1)));
    x = net.unary(Op::relu, net.add(x, skip));
    net.pool(Op::max_pool2d, x, Window(2, 2));
    nets.push_back(std::move(net));
  }
  {  // of groups, with a stride and padding on one side; a maximum and a ReLU behind
    Net net(random, shape_of({180, 9, 7}));
    Window w(3, 2, 1);
    w.padding[0] = w.padding[3] = 0;
    const int x = net.conv(0, 34, w, 2);
    net.unary(Op::relu, net.pool(Op::max_pool2d, x, Window(2, 2)));
    nets.push_back(std::move(net));
  }
  {  // many pieces of one sixteen, with dilation; a few channels
    Net net(random, shape_of({51, 8, 11}));
    net.unary(Op::sigmoid, net.conv(0, 3, Window(5, 1, 2, 2), 1, false));
    nets.push_back(std::move(net));
  }
  {  // a linear layer behind it, which would run along with a short one
    Net net(random, shape_of({96, 8, 8}));
    net.linear(net.flatten(net.unary(Op::relu, net.conv(0, 6, Window(3, 1, 1)))), 30);
    nets.push_back(std::move(net));
  }
  {  // 1x1 over pixels, over one pixel, with a gate; the first is just short enough to be one chain
    constexpr int many = long_sum + 17;
    Net net(random, shape_of({long_sum, 2, 3}));
    const int x = net.unary(Op::hardswish, net.conv(0, many, Window(1)));
    const int mean = net.adaptive(Op::adaptive_avg_pool2d, x, 1, 1);
    const int gate = net.unary(Op::hardsigmoid, net.conv(net.conv(mean, 24, Window(1)), many, Window(1)));
    net.conv(net.binary(Op::mul, x, gate), 17, Window(1));
    nets.push_back(std::move(net));
  }
  return nets;
}

// Every way to run a net, with the twin's bits.
void check_all_ways(const KernelTable& t, const std::vector<Net>& nets) {
  for (size_t i = 0; i < nets.size(); ++i) {
    const std::string name = "net" + std::to_string(i);
    if (!begin(name)) continue;
    const Net& net = nets[i];
    Random random(name);
    const size_t in = net.input_length(), out = net.output_length();
    const int most = 2 * t.lanes + 3;
    const std::vector<float> input = random_floats(random, in * static_cast<size_t>(most));
    const auto alone = make_plan(net.graph, t.isa);
    std::vector<float> want;
    for (int image = 0; image < most; ++image) {
      const std::vector<float> one(input.begin() + image * in, input.begin() + (image + 1) * in);
      const std::vector<float> values = image < 2 ? naive_values(t, net.graph, one.data()).back()
                                                  : run_guarded(*alone, one, 1, all_places[0]);
      want.insert(want.end(), values.begin(), values.end());
    }
    for (const char* algorithm : algorithms) {
      for (bool fuse : {true, false}) {
        for (int threads : {1, 3}) {
          const auto plan = make_plan(net.graph, t.isa, fuse, threads, algorithm);
          for (int batch : {1, 5, most}) {
            if (slow && batch == most) continue;
            const std::vector<float> some(input.begin(), input.begin() + batch * in);
            const std::vector<float> got = run_guarded(*plan, some, batch, all_places[random.next() % 3]);
            check_same(got.data(), want.data(), batch * out, algorithm);
          }
        }
      }
    }
  }
}

void check_digest(const KernelTable& t, const std::vector<Net>& nets, Random& random, uint64_t with_fma,
                  uint64_t without_fma) {
  if (!begin(t.has_fma ? "with-fma" : "without-fma")) return;
  uint64_t hash = fnv_start;
  for (const Net& net : nets) {
    const std::vector<float> input = random_floats(random, net.input_length());
    std::vector<float> output(net.output_length());
    make_plan(net.graph, t.isa)->run(input.data(), output.data(), 1);
    hash = fnv(output.data(), output.size() * sizeof(float), hash);
  }
  note("%s-class digest %016" PRIx64, t.has_fma ? "FMA" : "no-FMA", hash);
  const uint64_t want = t.has_fma ? with_fma : without_fma;
  check(hash == want, "the class's digest is %016" PRIx64, want);
}

}  // namespace

PER_TIER(long_sums) {
  Random weights(20261129);
  check_all_ways(t, long_nets(weights));
}

PER_TIER(long_sums_of_convolutions) {
  Random weights(20261130);
  check_all_ways(t, long_conv_nets(weights));
}

PER_TIER(digest_of_long_sums) {
  Random random(20261129);
  const std::vector<Net> nets = long_nets(random);
  check_digest(t, nets, random, long_digest_with_fma, long_digest_without_fma);
}

PER_TIER(digest_of_long_convolutions) {
  Random random(20261130);
  const std::vector<Net> nets = long_conv_nets(random);
  check_digest(t, nets, random, long_conv_digest_with_fma, long_conv_digest_without_fma);
}

// The same number throughout: in one chain every addition errs the same way. In pieces the error stays below what theory
// allows them, one rounding for each of a piece and one for each piece.
PER_TIER(long_averages) {
  for (int side : {11, 12, 56, 112}) {
    if (!begin(std::to_string(side))) continue;
    const int n = side * side, pieces = (n + average_piece - 1) / average_piece;
    const double chain = n > long_average ? average_piece + pieces : n;
    PoolArgs s = PoolArgs();
    s.c = t.lanes + 1;
    s.ih = s.iw = side;
    s.oh = s.ow = 1;
    const std::vector<float> plane(static_cast<size_t>(s.c) * n, 0.7f);
    std::vector<float> got(static_cast<size_t>(s.c)), naive(got), lanes(got.size() * t.lanes);
    t.pool.adaptive(s, Pool::average, plane.data(), got.data());
    t.batched_pool.adaptive(s, Pool::average, in_lanes({plane}, t.lanes).data(), lanes.data());
    naive_adaptive(s, true, plane.data(), naive.data());
    check_same(got.data(), naive.data(), got.size(), "as defined");
    check(*std::min_element(lanes.begin(), lanes.end()) == naive[0] &&
              *std::max_element(lanes.begin(), lanes.end()) == naive[0],
          "image by image");
    const double off = std::fabs(got[0] / static_cast<double>(0.7f) - 1);
    check(off <= (chain + 1) * 0x1p-24 * 1.01, "off by %g", off);
    float sum = 0;
    for (int i = 0; i < n; ++i) sum = sum + 0.7f;
    const double one = std::fabs(sum / n / static_cast<double>(0.7f) - 1);
    if (side == 112) check(one > 2 * (chain + 1) * 0x1p-24, "one chain would be off by %g only", one);
  }
}

}  // namespace test
}  // namespace kernelet
