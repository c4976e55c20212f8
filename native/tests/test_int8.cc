// Int8 steps against a twin in integers, and every tier against every other: with the CPU's instructions for
// bytes or with floats that hold them, the same integers and so the same bits.
#include <algorithm>
#include <cmath>

#include "base/cpu.h"
#include "check.h"
#include "data.h"
#include "kernels/isa.h"
#include "naive.h"
#include "net.h"

namespace kernelet {
namespace test {
namespace {

std::unique_ptr<const Plan> make_int8(const Graph& graph, const std::vector<float>& ranges, const char* isa,
                                      int threads = 1, const char* algorithm = "auto", bool fuse = true) {
  PlanOptions options;
  options.isa = isa;
  options.threads = threads;
  options.algorithm = algorithm;
  options.fuse = fuse;
  options.int8 = true;
  options.ranges = {ranges.data(), ranges.size()};
  return Plan::make(graph, options);
}

// Least and largest of every node's values for some images.
std::vector<float> ranges_of(const KernelTable& t, const Net& net, const std::vector<float>& images) {
  std::vector<float> ranges;
  for (size_t at = 0; at < images.size(); at += net.input_length()) {
    const auto values = naive_values(t, net.graph, images.data() + at);
    ranges.resize(2 * values.size(), 0.0f);
    for (size_t i = 0; i < values.size(); ++i) {
      for (float x : values[i]) {
        ranges[2 * i] = std::min(ranges[2 * i], x);
        ranges[2 * i + 1] = std::max(ranges[2 * i + 1], x);
      }
    }
  }
  return ranges;
}

// A chain of convolutions, pools and linear layers, with ReLUs and now and then another activation.
Net random_chain(Random& random) {
  const int size = random.range(5, 17);
  Net net(random, shape_of({random.range(1, 9), size, random.range(5, 21)}));
  int x = 0;
  for (int layer = random.range(1, 3); layer > 0; --layer) {
    Window w(random.range(1, 5), random.range(1, 2), random.range(0, 2), random.range(1, 2));
    w.kernel[1] = random.range(1, 6);
    const int conv = net.conv(x, random.range(1, 20), w, 1, random.chance(80));
    if (conv < 0) continue;
    x = conv;
    const bool early = random.chance(50);
    if (random.chance(70) && early) x = net.unary(Op::relu, x);
    if (random.chance(10)) x = net.unary(Op::tanh, x);
    if (random.chance(60)) {
      const int pool = net.pool(Op::max_pool2d, x, random.chance(80) ? Window(2, 2) : Window(3, 2, 1));
      if (pool >= 0) x = pool;
    }
    if (random.chance(50) && !early) x = net.unary(Op::relu, x);
  }
  x = net.flatten(x);
  if (random.chance(70)) x = net.unary(Op::relu, net.linear(x, random.range(1, 40), random.chance(80)));
  net.linear(x, random.range(1, 18));
  return net;
}

// ---------------------------------------------------------------- the twin

struct Bytes {
  double scale = 1;
  float scale32 = 1;
  int zero = 0;
};

Bytes bytes_of(float low, float high) {
  Bytes b;
  const double least = std::min(0.0f, low), most = std::max(0.0f, high);
  b.scale32 = most - least > 1e-30 ? static_cast<float>((most - least) / 255) : 1 / 255.0f;
  b.scale = b.scale32;
  b.zero = static_cast<int>(std::nearbyint(-least / b.scale));
  return b;
}

// To a byte less its zero.
int quantized(float x, const Bytes& b) {
  float low = static_cast<float>(-b.zero), high = static_cast<float>(255 - b.zero);
  if (!(x > low)) x = low;
  if (x > high) x = high;
  return static_cast<int>(std::nearbyintf(x));
}

// A chain's output: integers where the plan has bytes, floats between.
std::vector<float> naive_int8(const KernelTable& t, const Graph& graph, const std::vector<float>& ranges,
                              const float* input) {
  const size_t nodes = graph.nodes.size();
  std::vector<float> floats(input, input + graph.nodes[0].shape.elements());
  std::vector<int> bytes;
  bool as_bytes = false;
  for (size_t i = 1; i < nodes; ++i) {
    const Node& node = graph.nodes[i];
    const Shape& in = graph.nodes[i - 1].shape;
    if (node.op == Op::flatten) continue;
    if (node.op != Op::conv2d && node.op != Op::linear) {
      // alone: in floats, by the twin of floats
      Graph one;
      one.nodes.resize(2);
      one.nodes[0].shape = in;
      one.nodes[1] = node;
      one.nodes[1].inputs = {0};
      one.output = 1;
      floats = naive_values(t, one, floats.data())[1];
      continue;
    }
    size_t source = i - 1;
    while (graph.nodes[source].op == Op::flatten) --source;
    const Bytes b = bytes_of(ranges[2 * source], ranges[2 * source + 1]);
    if (!as_bytes) {
      const float inverse = static_cast<float>(1.0 / b.scale);
      bytes.clear();
      for (float x : floats) bytes.push_back(quantized(x * inverse, b));
    }
    // weights
    const size_t outputs =
        static_cast<size_t>(node.op == Op::conv2d ? node.shape.dims[0] : node.shape.elements());
    const size_t taps = node.weight.length / outputs;
    std::vector<int> weights, bias;
    std::vector<double> scales;
    for (size_t o = 0; o < outputs; ++o) {
      double largest = 0, sum = 0;
      for (size_t k = 0; k < taps; ++k) {
        const double size = std::fabs(static_cast<double>(node.weight.data[o * taps + k]));
        largest = std::max(largest, size);
        sum += size;
      }
      // coarser where 24 bits would not hold the largest sum that can be
      const double at = node.bias.data != nullptr ? node.bias.data[o] : 0.0;
      const double room = 16777215 - 127.5 * static_cast<double>(taps);
      const double scale = std::max(largest / 127, (255 * sum + std::fabs(at) / b.scale) / room);
      scales.push_back(b.scale * scale);
      for (size_t k = 0; k < taps; ++k)
        weights.push_back(static_cast<int>(std::nearbyint(node.weight.data[o * taps + k] / scale)));
      bias.push_back(static_cast<int>(std::nearbyint(at / (b.scale * scale))));
    }
    // sums
    std::vector<int64_t> sums;
    int64_t h = 1, w = 1;
    if (node.op == Op::linear) {
      for (size_t o = 0; o < outputs; ++o) {
        int64_t sum = bias[o];
        for (size_t k = 0; k < taps; ++k) sum += int64_t{bytes[k]} * weights[o * taps + k];
        sums.push_back(sum);
      }
    } else {
      const ConvArgs s = conv_args(node, in);
      h = s.oh;
      w = s.ow;
      for (int o = 0; o < s.oc; ++o) {
        for (int y = 0; y < s.oh; ++y) {
          for (int x = 0; x < s.ow; ++x) {
            int64_t sum = bias[static_cast<size_t>(o)];
            for (int c = 0; c < s.ic; ++c) {
              for (int r = 0; r < s.kh; ++r) {
                for (int q = 0; q < s.kw; ++q) {
                  const int iy = y * s.sh - s.pt + r * s.dh, ix = x * s.sw - s.pl + q * s.dw;
                  if (iy < 0 || iy >= s.ih || ix < 0 || ix >= s.iw) continue;
                  sum += int64_t{bytes[static_cast<size_t>((c * s.ih + iy) * s.iw + ix)]} *
                         weights[static_cast<size_t>(((o * s.ic + c) * s.kh + r) * s.kw + q)];
                }
              }
            }
            sums.push_back(sum);
          }
        }
      }
    }
    for (int64_t sum : sums) check(sum < (1 << 24) && sum > -(1 << 24), "a sum of at most 24 bits");
    // what is fused: one ReLU, and one 2x2 pool of a convolution
    bool relu = false, pooled = false;
    while (i + 1 < nodes) {
      const Node& next = graph.nodes[i + 1];
      if (next.op == Op::relu && !relu) {
        relu = true;
        for (int64_t& sum : sums) sum = std::max<int64_t>(sum, 0);
      } else if (node.op == Op::conv2d && next.op == Op::max_pool2d && !pooled && next.kernel[0] == 2) {
        pooled = true;
        std::vector<int64_t> windows;
        for (size_t o = 0; o < outputs; ++o) {
          for (int64_t y = 0; y + 1 < h; y += 2) {
            for (int64_t x = 0; x + 1 < w; x += 2) {
              const int64_t* p = sums.data() + (static_cast<int64_t>(o) * h + y) * w + x;
              windows.push_back(std::max(std::max(p[0], p[1]), std::max(p[w], p[w + 1])));
            }
          }
        }
        sums = windows;
      } else {
        break;
      }
      ++i;
      if (node.op == Op::linear) break;
    }
    size_t next = i + 1;
    while (next < nodes && graph.nodes[next].op == Op::flatten) ++next;
    as_bytes = next < nodes && (graph.nodes[next].op == Op::conv2d || graph.nodes[next].op == Op::linear);
    const Bytes out = as_bytes ? bytes_of(ranges[2 * i], ranges[2 * i + 1]) : Bytes();
    const size_t positions = sums.size() / outputs;
    bytes.clear();
    floats.clear();
    for (size_t j = 0; j < sums.size(); ++j) {
      float scale = static_cast<float>(scales[j / positions]);
      if (as_bytes) scale = static_cast<float>(static_cast<double>(scale) / out.scale);
      const float y = static_cast<float>(sums[j]) * scale;
      if (as_bytes) {
        bytes.push_back(quantized(y, out));
      } else {
        floats.push_back(y);
      }
    }
  }
  return floats;
}

std::vector<float> run_all(const Plan& plan, const std::vector<float>& input, int64_t batch, Random& random) {
  return run_guarded(plan, input, batch, all_places[random.next() % 3]);
}

}  // namespace

PER_TIER(int8_chains) {
  int on_bytes = 0, layers = 0;
  for (int i = 0; i < (slow ? 20 : 120); ++i) {
    const std::string name = "chain" + std::to_string(i);
    if (!begin(name)) continue;
    Random random(name);
    const Net net = random_chain(random);
    const int batch = random.chance(50) ? 2 : t.lanes + 1 + random.range(0, t.lanes + 2);
    std::vector<float> input = random_floats(random, net.input_length() * static_cast<size_t>(batch));
    if (random.chance(30)) {
      for (float& x : input) x = x * x;
    }
    const std::vector<float> ranges = ranges_of(
        t, net,
        std::vector<float>(input.begin(), input.begin() + static_cast<ptrdiff_t>(net.input_length())));
    bool good = true;
    std::vector<float> want;
    for (int image = 0; image < 2; ++image) {
      const std::vector<float> one =
          naive_int8(t, net.graph, ranges, input.data() + static_cast<size_t>(image) * net.input_length());
      want.insert(want.end(), one.begin(), one.end());
    }
    for (const char* algorithm :
         {"auto", "im2col", "direct", "direct-channels", "winograd", "fastest", "lanes"}) {
      for (int threads : {1, 2}) {
        const auto plan = make_int8(net.graph, ranges, t.isa, threads, algorithm);
        const std::vector<float> got = run_all(*plan, input, batch, random);
        good = check_same(got.data(), want.data(), want.size(), algorithm, true) && good;
        if (got.size() > want.size()) {
          // the others as two by two
          const auto alone = make_int8(net.graph, ranges, t.isa);
          for (int image = 2; image < batch; ++image) {
            const size_t in = net.input_length(), out = net.output_length();
            const std::vector<float> x(input.begin() + static_cast<ptrdiff_t>(in) * image,
                                       input.begin() + static_cast<ptrdiff_t>(in) * (image + 1));
            const std::vector<float> y = run_all(*alone, x, 1, random);
            good = check_same(got.data() + static_cast<size_t>(image) * out, y.data(), out, "alone", true) &&
                   good;
          }
        }
        for (const StepDescription& step : plan->steps()) {
          if (step.macs == 0 || threads == 2) continue;
          ++layers;
          on_bytes += step.int8;
        }
      }
    }
    if (!good) note("%s is %s", name.c_str(), net.text().c_str());
  }
  if (layers > 0) check(on_bytes > layers * 9 / 10, "%d of %d layers run on bytes", on_bytes, layers);
}

// Any graph, what runs on bytes and what does not: by tiers, batches and ways to run it.
ONCE(int8_nets) {
  std::vector<const KernelTable*> tiers;
  for (const std::string& isa : supported_isas()) tiers.push_back(choose_isa(isa).table);
  note("bytes by four: %s",
       (cpu_features() & cpu_avx512_vnni) != 0 && tiers.back()->int8 != nullptr ? "yes" : "no");
  for (int i = 0; i < (slow ? 30 : 150); ++i) {
    const std::string name = "net" + std::to_string(i);
    if (!begin(name)) continue;
    Random random(name);
    const Net net = random_net(random, random.range(2, 14), i % 3 == 2);
    const int batch = random.chance(50) ? random.range(1, 4) : 16 + random.range(0, 17);
    const std::vector<float> input = random_floats(random, net.input_length() * static_cast<size_t>(batch));
    const std::vector<float> ranges = ranges_of(*tiers[0], net, input);
    std::vector<float> first[2];
    bool good = true;
    for (const KernelTable* t : tiers) {
      std::vector<float>& want = first[t->has_fma];
      for (const char* algorithm : {"auto", "lanes", "direct"}) {
        const auto plan = make_int8(net.graph, ranges, t->isa, random.range(1, 2), algorithm);
        const std::vector<float> got = run_all(*plan, input, batch, random);
        if (want.empty()) want = got;
        good = check_same(got.data(), want.data(), want.size(), t->isa) && good;
      }
    }
    if (!good) note("%s is %s", name.c_str(), net.text().c_str());
  }
}

ONCE(int8_refused) {
  if (!begin("ranges")) return;
  Random random("ranges");
  Net net(random, shape_of({1, 28, 28}));
  lenet5(net);
  for (size_t count : {size_t{0}, size_t{3}, 2 * net.graph.nodes.size() + 1}) {
    bool refused = false;
    try {
      make_int8(net.graph, std::vector<float>(count, 1.0f), "");
    } catch (const Error& e) {
      refused = std::string(e.code()) == "ERR_ARGUMENT";
    }
    check(refused, "%zu ranges are refused", count);
  }
  // no range, no bytes
  std::vector<float> ranges(2 * net.graph.nodes.size(), std::nanf(""));
  const auto plan = make_int8(net.graph, ranges, "");
  for (const StepDescription& step : plan->steps()) check(!step.int8, "stays in floats");
}

// Sums that floats could not hold exactly: a layer of many weights of one size stays in floats on every tier; with
// a few large ones among them it runs on bytes, coarser.
ONCE(int8_long_sums) {
  for (bool even : {true, false}) {
    if (!begin(even ? "even" : "uneven")) continue;
    Random random("long sums");
    Net net(random, shape_of({4000}));
    net.linear(0, 3);
    std::vector<float> weights(12000);
    for (size_t i = 0; i < weights.size(); ++i) weights[i] = even || i % 4000 < 30 ? 1.0f : 0.2f;
    net.graph.nodes[1].weight = {weights.data(), weights.size()};
    const std::vector<float> ranges = {0, 1, 0, 4000}, input(8000, 1.0f);
    std::vector<float> first;
    for (const std::string& isa : supported_isas()) {
      const auto plan = make_int8(net.graph, ranges, isa.c_str());
      check(plan->steps()[0].int8 == !even, "bytes or floats");
      if (even) continue;
      const std::vector<float> got = run_all(*plan, input, 2, random);
      if (first.empty()) first = got;
      check_same(got.data(), first.data(), first.size(), isa.c_str(), true);
      check(std::fabs(got[0] - 824) < 30, "%g is about right", static_cast<double>(got[0]));
    }
  }
}

// Pixels as they are: as the same values given as floats, where the scales are alike.
ONCE(int8_byte_input) {
  for (int padding : {0, 2}) {
    for (int channels : {1, 3, 4, 6}) {
      for (float shift : {0.0f, -0.5f, -0.37f}) {
        const std::string name = "pad" + std::to_string(padding) + "ic" + std::to_string(channels) + "shift" +
                                 std::to_string(static_cast<int>(shift * 100));
        if (!begin(name)) continue;
        Random random(name);
        Net net(random, shape_of({channels, 12, 13}));
        int x = net.unary(Op::relu, net.conv(0, 7, Window(3, 1, padding)));
        x = net.pool(Op::max_pool2d, x, Window(2, 2));
        net.linear(net.flatten(x), 9);
        constexpr int batch = 19;
        const std::vector<uint8_t> pixels = random_bytes(random, net.input_length() * batch);
        PlanOptions options;
        options.byte_input = true;
        options.scale = 1 / 255.0f;
        options.shift = shift;
        options.int8 = true;
        std::vector<float> values;
        for (uint8_t p : pixels) values.push_back(p * options.scale + shift);
        std::vector<float> ranges = ranges_of(*choose_isa("").table, net, values);
        options.ranges = {ranges.data(), ranges.size()};
        const auto on_floats = make_plan(net.graph, "");
        std::vector<float> want(net.output_length() * batch), first;
        on_floats->run(values.data(), want.data(), batch);
        double largest = 0, worst = 0;
        for (float y : want) largest = std::max(largest, std::fabs(static_cast<double>(y)));
        for (const std::string& isa : supported_isas()) {
          options.isa = isa;
          const auto plan = Plan::make(net.graph, options);
          check(plan->steps()[0].in.scale == options.scale, "pixels are the bytes");
          for (Place place : all_places) {
            const GuardedBytes in(pixels, place);
            const Guarded out(want.size(), place);
            plan->run(Plan::Input(in.data()), out.data(), batch);
            if (first.empty()) first.assign(out.data(), out.data() + out.size());
            check_same(out.data(), first.data(), first.size(), isa.c_str(), true);
          }
        }
        for (size_t i = 0; i < want.size(); ++i) {
          worst = std::max(worst, std::fabs(static_cast<double>(first[i]) - want[i]));
        }
        check(worst < 0.03 * largest, "off by %g of the largest output", worst / largest);
      }
    }
  }
}

}  // namespace test
}  // namespace kernelet
