// linear through the tier's table: one image, and batched.
#include <algorithm>
#include <cmath>

#include "check.h"
#include "data.h"
#include "naive.h"

namespace kernelet {
namespace test {
namespace {

std::vector<float> call(const LinearAlgorithm& a, LinearArgs s, const std::vector<float>& input,
                        const std::vector<float>& weights, const std::vector<float>& biases, size_t outputs,
                        Place place) {
  std::vector<float> padded = biases;
  padded.resize(a.bias_size(s), 0.0f);
  const Guarded src(input, place), weight(weights, place), bias(padded, place);
  Guarded packed(a.weights_size(s), place);
  a.pack(s, weight.data(), packed.data());
  check(packed.canaries(), "%s: pack stays within weights_size", a.name);
  packed.seal();
  s.weights = packed.data();
  s.bias = bias.data();
  const Guarded dst(outputs, place);
  a.run(s, src.data(), dst.data());
  check(dst.canaries(), "%s: writes to dst alone", a.name);
  return std::vector<float>(dst.data(), dst.data() + outputs);
}

void test(const KernelTable& t, int rows, int in, int out, Activation f) {
  const std::string name = "mb" + std::to_string(rows) + "ic" + std::to_string(in) + "oc" +
                           std::to_string(out) + "f" + std::to_string(static_cast<int>(f));
  if (!begin(name)) return;
  Random random(name);
  LinearArgs s = LinearArgs();
  s.rows = rows;
  s.in = in;
  s.out = out;
  s.activation = unary(f);
  const std::vector<std::vector<float>> src =
      variants_of(random_floats(random, static_cast<size_t>(rows) * in));
  const std::vector<float> weight = random_floats(random, static_cast<size_t>(out) * in);
  const std::vector<float> bias = random_floats(random, static_cast<size_t>(out));
  std::vector<Dot> dots;
  std::vector<std::vector<float>> want;
  for (const std::vector<float>& image : src) {
    const std::vector<Dot> all = naive_linear(s, t.has_fma, image.data(), weight.data(), bias.data());
    if (dots.empty()) dots = all;
    want.push_back(accumulated(all));
    naive_activate(t, unary(f), want.back());
  }
  for (Place place : all_places) {
    const std::vector<float> got = call(t.linear, s, src[0], weight, bias, want[0].size(), place);
    check_same(got.data(), want[0].data(), got.size(), t.linear.name);
    if (f == Activation::none) {
      double worst = 0;
      for (size_t i = 0; i < got.size(); ++i)
        worst = std::max(worst, std::fabs(got[i] - dots[i].sum) / dots[i].bound());
      check(worst <= 1, "off by %.2f bounds from the sum in double", worst);
    }
    const std::vector<float> all = in_lanes(want, t.lanes);
    const std::vector<float> block =
        call(t.batched_linear, s, in_lanes(src, t.lanes), weight, bias, all.size(), place);
    check_same(block.data(), all.data(), all.size(), "lanes");
  }
}

// Terms that are all the same: in one long chain every addition rounds the same way. In pieces the error stays below what
// theory allows them; one chain would exceed it many times.
void test_long_error(const KernelTable& t, int rows, int in) {
  if (!begin("the same " + std::to_string(in) + " times mb" + std::to_string(rows))) return;
  LinearArgs s = LinearArgs();
  s.rows = rows;
  s.in = in;
  s.out = 5;
  const std::vector<float> src(static_cast<size_t>(rows) * in, 1.1f);
  const std::vector<float> weight(static_cast<size_t>(s.out) * in, 0.7f), bias(static_cast<size_t>(s.out));
  const std::vector<std::vector<float>> got = {
      call(t.linear, s, src, weight, bias, static_cast<size_t>(rows) * 5, all_places[0]),
      call(t.batched_linear, s, in_lanes({src}, t.lanes), weight, bias,
           static_cast<size_t>(rows) * 5 * t.lanes, all_places[0])};
  const double want = in * (1.1f * static_cast<double>(0.7f));
  const int pieces = (in + sum_piece - 1) / sum_piece;
  double worst = 0;
  for (const std::vector<float>& values : got) {
    for (float y : values) worst = std::max(worst, std::fabs(y - want) / want);
  }
  check(worst <= (sum_piece + pieces + 2) * 0x1p-24 * 1.01, "off by %g of the sum", worst);
  float chain = 0;
  for (int k = 0; k < in; ++k) chain = chain + 1.1f * 0.7f;
  const double off = std::fabs(chain - want) / want;
  check(off > 2 * (sum_piece + pieces + 2) * 0x1p-24, "one chain would be off by %g only", off);
}

// One row of each of several images, and shares of one row: panels as narrow as `parts` makes them.
void test_shares(const KernelTable& t, int in, int out, int parts) {
  const std::string name =
      "ic" + std::to_string(in) + "oc" + std::to_string(out) + " for " + std::to_string(parts);
  if (!begin(name)) return;
  Random random(name);
  LinearArgs s = LinearArgs();
  s.rows = 1;
  s.in = in;
  s.out = out;
  s.parts = parts;
  s.activation = unary(Activation::relu);
  constexpr int most = 13;
  const size_t gap = 5, stride = static_cast<size_t>(in) + gap, to = static_cast<size_t>(out) + gap;
  const std::vector<float> input = random_floats(random, most * stride - gap);
  const std::vector<float> weights = random_floats(random, static_cast<size_t>(out) * in);
  const std::vector<float> biases = random_floats(random, static_cast<size_t>(out));
  std::vector<float> want(most * to, 0.0f);
  for (int i = 0; i < most; ++i) {
    std::vector<float> one =
        accumulated(naive_linear(s, t.has_fma, input.data() + i * stride, weights.data(), biases.data()));
    naive_activate(t, s.activation, one);
    std::copy(one.begin(), one.end(), want.begin() + static_cast<ptrdiff_t>(i * to));
  }
  const LinearAlgorithm& a = t.linear;
  std::vector<float> padded = biases;
  padded.resize(a.bias_size(s), 0.0f);
  for (Place place : all_places) {
    const Guarded src(input, place), bias(padded, place);
    Guarded packed(a.weights_size(s), place);
    a.pack(s, weights.data(), packed.data());
    check(packed.canaries(), "pack stays within weights_size");
    packed.seal();
    s.weights = packed.data();
    s.bias = bias.data();
    for (int images : {1, 2, 3, 4, 7, 8, most}) {
      const Guarded dst(images * to - gap, place);
      std::fill_n(dst.data(), dst.size(), 0.0f);
      a.run_images(s, images, src.data(), stride, dst.data(), to);
      check(dst.canaries(), "%d images write to dst alone", images);
      check_same(dst.data(), want.data(), dst.size(), (std::to_string(images) + " images").c_str());
    }
    for (int shares : {1, 2, 3, 8}) {
      const Guarded dst(to - gap, place);
      for (int part = shares; part-- > 0;) a.run_part(s, src.data(), dst.data(), part, shares);
      check_same(dst.data(), want.data(), dst.size(), (std::to_string(shares) + " shares").c_str());
    }
  }
}

}  // namespace

PER_TIER(linear_shares) {
  const int width = 4 * t.lanes;
  for (int out : {1, width - 1, width, 2 * width, 3 * width - 1, 5 * width + 2}) {
    if (out < 1) continue;
    test_shares(t, 19, out, 0);
    for (int parts : {2, 3, 16}) test_shares(t, (64 << 10) / out + 7, out, parts);
  }
  // panels for all that share a row, where there are registers enough
  LinearArgs s = LinearArgs();
  s.rows = 1;
  s.in = 9216;
  s.out = 2 * width;
  const size_t alone = t.linear.weights_size(s);
  s.parts = 2;
  check(t.linear.weights_size(s) == alone, "no more weights for two than for one");
}

PER_TIER(linear_long) {
  const int width = 4 * t.lanes;
  int turn = 0;
  for (int rows : {1, 2, 7}) {
    for (int out : {1, 5, width + 1, 2 * width, 3 * width - 1}) {
      for (int in : {long_sum, long_sum + 1, 5 * sum_piece - 1, 5 * sum_piece, 1000}) {
        test(t, rows, in, out, static_cast<Activation>(turn++ % 5));
        test(t, rows, in, out, Activation::none);
      }
    }
    test(t, rows, 4099, 3, Activation::sigmoid);
    test_long_error(t, rows, 25088);
  }
  for (int in : {long_sum, long_sum + 1, 5 * sum_piece, 1000})
    for (int out : {3, width, 2 * width - t.lanes, 2 * width + 1}) test_shares(t, in, out, 2);
}

PER_TIER(linear) {
  const int width = 4 * t.lanes;  // of the GEMM's tile; one row goes two tiles wide at a time
  std::vector<int> outs = {1,
                           2,
                           3,
                           5,
                           10,
                           width - 1,
                           width,
                           width + 1,
                           2 * width,
                           3 * width - 1,
                           3 * width,
                           3 * width + 1,
                           4 * width + 1,
                           5 * width + 2,
                           6 * width,
                           6 * width + 1,
                           7 * width - 1,
                           11,
                           12,
                           13,
                           25,
                           2 * width + 1,
                           4 * width - 1};
  if (t.lanes > 1)
    outs.insert(outs.end(), {t.lanes - 1, t.lanes, t.lanes + 1, 2 * t.lanes + 1, width - t.lanes});
  std::sort(outs.begin(), outs.end());
  outs.erase(std::unique(outs.begin(), outs.end()), outs.end());
  int turn = 0;
  for (int rows : {1, 2, 3, 5, 7, 13}) {
    for (int out : outs) {
      for (int in : {1, 2, 17, 96}) test(t, rows, in, out, static_cast<Activation>(turn++ % 5));
      test(t, rows, 31, out, Activation::none);
    }
  }
  // LeNet-5's
  test(t, 1, 256, 120, Activation::relu);
  test(t, 1, 120, 84, Activation::relu);
  test(t, 1, 84, 10, Activation::none);
  test(t, 6, 400, 120, Activation::relu);
}

}  // namespace test
}  // namespace kernelet
