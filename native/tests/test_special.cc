// NaN, infinities and signed zeros: as PyTorch's CPU kernels have them, in every lane and in every tail.
#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

#include "check.h"
#include "data.h"
#include "naive.h"
#include "net.h"

namespace kernelet {
namespace test {
namespace {

const float infinity = std::numeric_limits<float>::infinity();
const float some_nan = float_of(0x7fc01234);

// The pool of one image; the same of it and two others in the lanes has to be the same.
void pool(const KernelTable& t, bool average, const PoolArgs& s, const float* src, float* dst) {
  const size_t in = static_cast<size_t>(s.c) * s.ih * s.iw, out = static_cast<size_t>(s.c) * s.oh * s.ow;
  std::vector<std::vector<float>> want;
  const std::vector<std::vector<float>> images = variants_of(std::vector<float>(src, src + in));
  for (const std::vector<float>& image : images) {
    want.emplace_back(out);
    (average ? t.pool.average : t.pool.max)(s, image.data(), want.back().data());
  }
  std::copy(want[0].begin(), want[0].end(), dst);
  const std::vector<float> all = in_lanes(want, t.lanes), input = in_lanes(images, t.lanes);
  std::vector<float> got(all.size());
  (average ? t.batched_pool.average : t.batched_pool.max)(s, input.data(), got.data());
  if (difference(got.data(), all.data(), got.size(), !average) != got.size())
    check(false, "lanes pool as the single one");
}

}  // namespace

// torch.relu keeps NaN and -0.
PER_TIER(special_relu) {
  if (!begin("every lane")) return;
  for (size_t n = 1; n <= 33; ++n) {
    for (size_t at = 0; at < n; ++at) {
      for (float x : {some_nan, -0.0f, 0.0f, infinity, -infinity, 1e-45f, -1e-45f}) {
        std::vector<float> src(n, -2.0f), dst(n), want(n, 0.0f);
        src[at] = x;
        want[at] = x < 0 ? 0.0f : x;
        t.activate(unary(Activation::relu), n, src.data(), dst.data());
        if (difference(dst.data(), want.data(), n, true) != n) {
          check(false, "relu(%g) in lane %zu of %zu", static_cast<double>(x), at, n);
          return;
        }
      }
    }
  }
  check(true, "relu");
}

// torch.max_pool2d: a NaN anywhere in the window is the result; of equals (-0 and +0) the first stays.
PER_TIER(special_max_pool) {
  for (int stride : {1, 2}) {
    for (int padding : {0, 1}) {
      for (int dilation : {1, 2}) {
        const std::string name =
            "s" + std::to_string(stride) + "p" + std::to_string(padding) + "d" + std::to_string(dilation);
        if (!begin(name)) continue;
        Node node;
        for (int i = 0; i < 2; ++i) {
          node.kernel[i] = 2;
          node.stride[i] = stride;
          node.dilation[i] = dilation;
          node.padding[i] = node.padding[2 + i] = padding;
        }
        const int ih = 4, iw = 41;
        node.shape = shape_of({1, naive_outputs(ih, padding, padding, 2, stride, dilation, false),
                               naive_outputs(iw, padding, padding, 2, stride, dilation, false)});
        const PoolArgs s = pool_args(node, shape_of({1, ih, iw}));
        std::vector<float> dst(static_cast<size_t>(s.oh) * s.ow), want(dst.size());
        bool same = true;
        for (int at = 0; at < ih * iw; ++at) {
          for (float x : {some_nan, -0.0f, -infinity, infinity}) {
            std::vector<float> src(static_cast<size_t>(ih) * iw, x == 0 ? 0.0f : -infinity);
            src[at] = x;
            naive_max_pool(s, src.data(), want.data());
            pool(t, false, s, src.data(), dst.data());
            same = same && difference(dst.data(), want.data(), want.size(), true) == want.size();
          }
        }
        check(same, "one NaN, -0, infinity or -infinity at every place");
        // all signs of zeros, by chance, and NaNs among them
        Random random(name);
        for (int round = 0; round < 20; ++round) {
          std::vector<float> src(static_cast<size_t>(ih) * iw);
          for (float& x : src) x = random.chance(3) ? some_nan : random.chance(50) ? 0.0f : -0.0f;
          naive_max_pool(s, src.data(), want.data());
          pool(t, false, s, src.data(), dst.data());
          same = same && difference(dst.data(), want.data(), want.size(), true) == want.size();
        }
        check(same, "zeros of both signs: the first stays");
      }
    }
  }
  if (begin("literal")) {
    // written out, so that the twin is not its own judge
    const PoolArgs s = {1, 1, 6, 1, 3, 1, 2, 1, 2, 1, 1, 0, 0, 0, 0, true};
    const float src[] = {-0.0f, 0.0f, 0.0f, -0.0f, some_nan, 5.0f};
    float dst[3];
    pool(t, false, s, src, dst);
    check(bits_of(dst[0]) == bits_of(-0.0f), "max(-0, +0) is -0: the first of equals");
    check(bits_of(dst[1]) == bits_of(0.0f), "max(+0, -0) is +0: the first of equals");
    check(std::isnan(dst[2]), "a NaN before a larger number sticks");
    const float after[] = {5.0f, some_nan, -infinity, -infinity, infinity, -infinity};
    pool(t, false, s, after, dst);
    check(std::isnan(dst[0]) && dst[1] == -infinity && dst[2] == infinity,
          "a NaN behind a number; infinities");
    // a window that lies in the padding alone
    const PoolArgs empty = {1, 1, 1, 1, 2, 1, 2, 1, 1, 1, 3, 0, 2, 0, 2, true};
    const float one[] = {7.0f};
    pool(t, false, empty, one, dst);
    check(dst[0] == -infinity && dst[1] == -infinity, "the maximum of nothing is -infinity");
  }
}

// torch.avg_pool2d: IEEE sums, from +0.
PER_TIER(special_avg_pool) {
  if (begin("literal")) {
    const PoolArgs s = {1, 1, 8, 1, 4, 1, 2, 1, 2, 1, 1, 0, 0, 0, 0, true};
    const float src[] = {-0.0f, -0.0f, infinity, 1.0f, infinity, -infinity, some_nan, 1.0f};
    float dst[4];
    pool(t, true, s, src, dst);
    check(bits_of(dst[0]) == 0, "the mean of -0 and -0 is +0, as the sum starts from +0");
    check(dst[1] == infinity && std::isnan(dst[2]) && std::isnan(dst[3]),
          "infinity, infinity - infinity, NaN");
  }
  if (begin("every place")) {
    Node node;
    for (int i = 0; i < 2; ++i) node.kernel[i] = 3, node.padding[i] = node.padding[2 + i] = 1;
    const int ih = 4, iw = 37;
    node.shape = shape_of({1, ih, iw});
    const PoolArgs s = pool_args(node, shape_of({1, ih, iw}));
    std::vector<float> dst(static_cast<size_t>(ih) * iw), want(dst.size());
    bool same = true;
    for (int at = 0; at < ih * iw; ++at) {
      for (float x : {some_nan, infinity, -0.0f}) {
        std::vector<float> src(dst.size(), x == 0 ? -0.0f : 1.0f);
        src[at] = x;
        naive_avg_pool(s, src.data(), want.data());
        pool(t, true, s, src.data(), dst.data());
        same = same && difference(dst.data(), want.data(), want.size()) == want.size();
      }
    }
    check(same, "NaN, infinity, -0 at every place");
  }
}

// torch.softmax: a row of -infinity is NaN throughout, a NaN spoils its row and no other.
PER_TIER(special_softmax) {
  for (bool log : {false, true}) {
    for (int n : {2, 3, 17}) {
      if (!begin(std::string(log ? "log" : "") + "n" + std::to_string(n))) continue;
      for (int inner : {1, 19}) {
        const SoftmaxArgs s = {19, n, inner, log};
        const size_t row = static_cast<size_t>(n) * inner;
        std::vector<float> src(19 * row), dst(src.size()), untouched(src.size());
        Random random(1);
        for (float& x : src) x = random.real();
        t.softmax(s, src.data(), untouched.data());
        bool good = true;
        for (float x : {some_nan, infinity, -infinity}) {
          for (int column = 0; column < inner; column += 6) {
            // in the second row: all -infinity, or one NaN or infinity
            std::vector<float> spoilt = src;
            for (int i = 0; i < n; ++i) {
              if (x == -infinity || i == n / 2) spoilt[row + static_cast<size_t>(i) * inner + column] = x;
            }
            t.softmax(s, spoilt.data(), dst.data());
            for (size_t i = 0; i < dst.size(); ++i) {
              const bool in_row = i / row == 1 && static_cast<int>(i % inner) == column;
              good = good && (in_row ? std::isnan(dst[i]) : bits_of(dst[i]) == bits_of(untouched[i]));
            }
          }
        }
        check(good, "-infinity throughout, a NaN, an infinity: NaN for the row, the others as before");
      }
    }
    if (!begin("one -infinity")) continue;
    const float src[] = {0.0f, -infinity};
    float dst[2];
    t.softmax({1, 2, 1, log}, src, dst);
    check(dst[0] == (log ? 0.0f : 1.0f) && dst[1] == (log ? -infinity : 0.0f),
          "probability 0, its logarithm -infinity");
  }
}

namespace {

void test_fused(const KernelTable& t, Op function, Op pool, bool pool_first, int kernel) {
  const std::string f = function == Op::input ? "" : std::string("+") + op_name(function);
  const std::string name = "kh" + std::to_string(kernel) + (pool_first ? "" : f) +
                           (pool == Op::max_pool2d ? "+max" : "+avg") + (pool_first ? f : "");
  if (!begin(name)) return;
  Random random(name);
  // -0 as bias, and products below the smallest float: sums come out as zeros of both signs
  Net net(random, shape_of({2, 7, 39}));
  int x = net.conv(0, 5, Window(kernel));
  Node& conv = net.graph.nodes[1];
  std::vector<float> weight(conv.weight.data, conv.weight.data + conv.weight.length);
  for (float& w : weight) {
    w = kernel == 1         ? (random.chance(50) ? -1e-30f : 1e-30f)
        : random.chance(40) ? 0.0f
        : random.chance(30) ? -1e-30f
                            : w;
  }
  const float bias[] = {-0.0f, 0.0f, kernel == 1 ? -0.0f : 0.5f, -0.5f, -1e-40f};
  conv.weight.data = weight.data();
  conv.bias.data = bias;
  if (function != Op::input && !pool_first) x = net.unary(function, x);
  x = net.pool(pool, x, Window(2, 2));
  if (function != Op::input && pool_first) x = net.unary(function, x);
  std::vector<std::unique_ptr<const Plan>> plans;
  std::vector<std::string> names;
  for (const char* algorithm : algorithms) {
    for (bool fuse : {true, false}) {
      plans.push_back(make_plan(net.graph, t.isa, fuse, 1, algorithm));
      names.push_back(std::string(algorithm) + (fuse ? ", fused" : ", not fused"));
    }
  }
  std::vector<bool> same(plans.size(), true), as_twin(plans.size(), true);
  for (int round = 0; round < 30; ++round) {
    std::vector<float> input = random_floats(random, net.input_length());
    for (float& v : input) {
      if (kernel == 1 || random.chance(50)) v = random.chance(50) ? 0.0f : random.chance(50) ? 1e-30f : -0.0f;
      if (round >= 10 && random.chance(2)) v = some_nan;
      if (round >= 20 && random.chance(2)) v = random.chance(50) ? infinity : -infinity;
    }
    const std::vector<float> want = naive_values(t, net.graph, input.data()).back();
    std::vector<float> first;
    for (size_t i = 0; i < plans.size(); ++i) {
      std::vector<float> got(want.size());
      plans[i]->run(input.data(), got.data(), 1);
      if (first.empty()) first = got;
      // infinities make NaNs of the machine's own: those are equal whatever their payloads
      same[i] = same[i] && difference(got.data(), first.data(), got.size(), round < 20) == got.size();
      as_twin[i] = as_twin[i] && difference(got.data(), want.data(), got.size()) == got.size();
    }
  }
  for (size_t i = 0; i < plans.size(); ++i) {
    check(same[i], "%s: the bits of the first, payloads of NaNs included", names[i].c_str());
    check(as_twin[i], "%s: the naive twin's bits", names[i].c_str());
  }
}

}  // namespace

// A fused step gives the bits of its parts, whatever goes in: payloads of NaNs and signs of zeros too.
PER_TIER(special_fused) {
  for (Op function : {Op::relu, Op::tanh, Op::sigmoid, Op::input}) {  // input: none
    for (Op pool : {Op::max_pool2d, Op::avg_pool2d}) {
      for (bool pool_first : {false, true}) {
        for (int kernel : {1, 3}) test_fused(t, function, pool, pool_first, kernel);
      }
    }
  }
}

}  // namespace test
}  // namespace kernelet
