// conv_transpose2d through the tier's table: planes and blocks of images, strides and windows around every tail.
#include <algorithm>
#include <cmath>

#include "check.h"
#include "data.h"
#include "naive.h"
#include "net.h"

namespace kernelet {
namespace test {
namespace {

std::string text_of(const ConvArgs& s) {
  std::string text;
  const std::pair<const char*, int> all[] = {{"g", s.groups}, {"ic", s.ic}, {"ih", s.ih}, {"iw", s.iw},
                                             {"oc", s.oc},    {"oh", s.oh}, {"ow", s.ow}, {"kh", s.kh},
                                             {"kw", s.kw},    {"sh", s.sh}, {"sw", s.sw}, {"dh", s.dh},
                                             {"dw", s.dw},    {"pt", s.pt}, {"pl", s.pl}};
  for (const auto& [letter, value] : all) text += letter + std::to_string(value);
  return text;
}

ConvArgs problem(int ic, int ih, int iw, int oc, const Window& w, int groups = 1) {
  ConvArgs s = ConvArgs();
  s.groups = groups;
  s.ic = ic;
  s.ih = ih;
  s.iw = iw;
  s.oc = oc;
  s.kh = w.kernel[0];
  s.kw = w.kernel[1];
  s.sh = w.stride[0];
  s.sw = w.stride[1];
  s.dh = w.dilation[0];
  s.dw = w.dilation[1];
  s.pt = w.padding[0];
  s.pl = w.padding[1];
  s.oh = s.ph = (ih - 1) * s.sh + (s.kh - 1) * s.dh + 1 - s.pt - w.padding[2];
  s.ow = s.pw = (iw - 1) * s.sw + (s.kw - 1) * s.dw + 1 - s.pl - w.padding[3];
  return s;
}

// Over blocks of channels, in parts as threads take them, the last one first.
void test_blocks(const KernelTable& t, ConvArgs s, const std::vector<float>& src,
                 const std::vector<float>& weight, const std::vector<float>& bias,
                 const std::vector<float>& want, Place place) {
  const ConvAlgorithm& k = t.blocked_conv;
  ConvArgs a = t.blocked_transposed_conv.dense(s);
  const size_t oc = static_cast<size_t>(s.oc), lanes = static_cast<size_t>(t.lanes);
  const size_t plane = static_cast<size_t>(s.oh) * s.ow, each = (oc + lanes - 1) / lanes * lanes;
  const Guarded from(weight, place), packed(k.weights_size(a), place);
  t.blocked_transposed_conv.pack(s, from.data(), packed.data());
  check(packed.canaries(), "pack stays within weights_size");
  std::vector<float> biases(static_cast<size_t>(a.oc));
  check(biases.size() == each * static_cast<size_t>(s.kh) * s.kw, "a bias for each place of the window");
  for (size_t i = 0; i < biases.size(); i += each)
    std::copy(bias.begin(), bias.end(), biases.begin() + static_cast<ptrdiff_t>(i));
  const Guarded b(biases, place);
  const Guarded x(blocks_of_planes(src, static_cast<size_t>(s.ih) * s.iw, t.lanes), place);
  int32_t tap[2];
  k.taps(a, tap);
  a.taps = tap;
  a.weights = packed.data();
  a.bias = b.data();
  check(k.phases(a) == 1, "one phase");
  for (const int parts : {1, 2, 5}) {
    a.parts = parts;
    const Guarded y(each * plane, place);
    const Guarded scratch(k.scratch_size(a), place == Place::begins_at_page ? place : Place::ends_at_page);
    for (int part = parts - 1; part >= 0; --part)
      k.run_part(a, x.data(), y.data(), scratch.data(), 0, part, parts);
    check(y.canaries() && scratch.canaries(), "writes to dst and scratch alone");
    const std::vector<float> all(y.data(), y.data() + each * plane);
    const std::vector<float> got = planes_of_blocks(all, oc, plane, t.lanes);
    check_same(got.data(), want.data(), want.size(), "blocks");
  }
}

void test(const KernelTable& t, ConvArgs s) {
  if (s.oh < 1 || s.ow < 1 || !begin(text_of(s))) return;
  Random random(text_of(s));
  const std::vector<std::vector<float>> src =
      variants_of(random_floats(random, static_cast<size_t>(s.ic) * s.ih * s.iw));
  const std::vector<float> weight =
      random_floats(random, static_cast<size_t>(s.ic) * (s.oc / s.groups) * s.kh * s.kw);
  const std::vector<float> bias = random_floats(random, static_cast<size_t>(s.oc));
  if (random.chance(50)) s.epilogue.after.f = Activation::relu;
  std::vector<std::vector<float>> want;
  double worst = 0;
  for (const std::vector<float>& image : src) {
    const std::vector<Dot> dots =
        naive_conv_transpose(s, t.has_fma, image.data(), weight.data(), bias.data());
    for (const Dot& dot : dots) worst = std::max(worst, std::fabs(dot.accumulated - dot.sum) / dot.bound());
    want.push_back(accumulated(dots));
    naive_activate(t, s.epilogue.after, want.back());
  }
  check(worst <= 1, "the sum in floats is off by %.2f bounds from the sum in double", worst);
  const TransposedConv& k = t.transposed_conv;
  for (const Place place : all_places) {
    const Guarded from(weight, place), b(bias, place), packed(k.weights_size(s), place);
    // in pieces, the first channel last: alike in any order
    const int half = s.ic / 2;
    k.pack(s, half, s.ic, from.data(), packed.data());
    k.pack(s, 0, half, from.data(), packed.data());
    check(packed.canaries(), "pack stays within weights_size");
    if (half == 0) k.pack(s, 0, s.ic, from.data(), packed.data());
    ConvArgs a = s;
    a.weights = packed.data();
    a.bias = b.data();
    if (t.blocked_transposed_conv.fits(s)) test_blocks(t, s, src[0], weight, bias, want[0], place);
    for (const int width : {1, t.lanes}) {
      const std::vector<float> input = width == 1 ? src[0] : in_lanes(src, t.lanes);
      const std::vector<float> expected = width == 1 ? want[0] : in_lanes(want, t.lanes);
      const Guarded x(input, place), y(expected.size(), place);
      const Guarded scratch(k.scratch_size(a, width),
                            place == Place::begins_at_page ? place : Place::ends_at_page);
      k.run(a, width, x.data(), y.data(), scratch.data());
      check(y.canaries() && scratch.canaries(), "writes to dst and scratch alone");
      check_same(y.data(), expected.data(), expected.size(), width == 1 ? "planes" : "lanes");
    }
  }
}

}  // namespace

// Outputs of a phase around a register and a tile, in long rows and in short ones.
PER_TIER(transposed_tails) {
  for (int iw : {1, 2, 3, t.lanes - 1, t.lanes, t.lanes + 1, 4 * t.lanes, 4 * t.lanes + 1, 9 * t.lanes - 1}) {
    for (int stride : {1, 2, 3}) {
      for (int kernel : {1, 2, 3, 4}) {
        if (iw >= 1) test(t, problem(2, 3, iw, 3, Window(kernel, stride, kernel / 3)));
      }
    }
  }
  for (int oc : {1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 13, 17}) test(t, problem(3, 4, 5, oc, Window(2, 2)));
}

// Windows side by side, around a tile and around a block of channels.
PER_TIER(transposed_blocks) {
  for (const Window& w : {Window(2, 2), Window(3, 3), Window(1, 1)}) {
    for (int iw : {1, 5, 13, 14, 15, 29}) test(t, problem(3, 2, iw, 5, w));
    for (int oc : {1, t.lanes, t.lanes + 1, 3 * t.lanes - 1}) test(t, problem(t.lanes + 1, 3, 4, oc, w));
  }
  Window uneven(2, 2);
  uneven.kernel[1] = uneven.stride[1] = 5;
  test(t, problem(2 * t.lanes, 70, 33, 2 * t.lanes, Window(2, 2)));  // strips, runs of channels
  ConvArgs s = problem(7, 9, 11, 20, uneven);
  check(t.blocked_transposed_conv.fits(s), "a window as long as its stride fits");
  test(t, s);
  check(!t.blocked_transposed_conv.fits(problem(2, 3, 4, 2, Window(3, 2))), "windows that overlap do not");
  check(!t.blocked_transposed_conv.fits(problem(2, 3, 4, 2, Window(2, 2, 1))), "nor any padding");
  check(!t.blocked_transposed_conv.fits(problem(2, 3, 4, 2, Window(2, 2), 2)), "nor groups");
}

// A decoder: between convolutions over blocks the values stay there, on any number of threads.
PER_TIER(transposed_plans) {
  for (int turn = 0; turn < 12; ++turn) {
    const std::string name = "transposed plan " + std::to_string(turn);
    if (!begin(name)) continue;
    Random random(name);
    Net net(random, shape_of({3, 5 + turn % 4, 6 + turn % 5}));
    const int from = net.conv(0, t.lanes + turn, Window(3, 1, 1));
    int x = net.conv_transpose(from, turn % 3 == 0 ? 5 : 2 * t.lanes, Window(2 + turn % 2, 2 + turn % 2), 1,
                               turn % 4 != 0);
    if (turn % 2 == 0) x = net.unary(turn % 4 == 0 ? Op::relu : Op::silu, x);
    x = net.concat({x, net.conv_transpose(from, t.lanes, Window(2 + turn % 2, 2 + turn % 2))}, 0);
    net.conv(x, 7, Window(3, 1, 1));
    const std::vector<float> image = random_floats(random, net.input_length());
    const auto apart = make_plan(net.graph, t.isa, false, 1, "im2col");
    const std::vector<float> want = run_guarded(*apart, image, 1, Place::ends_at_page);
    for (const int threads : {1, 3}) {
      const auto plan = Plan::make(net.graph, in_blocks(t.isa, threads));
      int in_blocks_there = 0;
      for (const StepDescription& step : plan->steps())
        in_blocks_there += step.algorithm == "phases" && step.layout == std::string("blocked") ? 1 : 0;
      check(in_blocks_there == 2, "expected two transposed convolutions over blocks, not %d",
            in_blocks_there);
      check_same(run_guarded(*plan, image, 1, Place::ends_at_page).data(), want.data(), want.size(), "plan");
    }
  }
}

PER_TIER(transposed) {
  // a plane of one value, strides with outputs that no tap reaches, windows larger than what is made of them
  test(t, problem(1, 1, 1, 1, Window(1)));
  test(t, problem(1, 1, 1, 2, Window(3, 5)));
  test(t, problem(2, 3, 4, 2, Window(1, 7)));
  test(t, problem(2, 1, 1, 2, Window(30, 1, 14)));
  test(t, problem(2, 2, 3, 2, Window(3, 2, 0, 4)));
  test(t, problem(2, 40, 40, 7, Window(3, 2, 1)));
  const int count = slow ? 150 : 600;
  for (int i = 0; i < count; ++i) {
    Random random("transposed " + std::to_string(i));
    Window w;
    for (int d = 0; d < 2; ++d) {
      constexpr int strides[] = {1, 2, 2, 3, 4, 6};
      w.kernel[d] = random.range(1, 6);
      w.stride[d] = random.pick(strides);
      w.dilation[d] = random.chance(60) ? 1 : random.range(2, 6);
      w.padding[d] = random.chance(50) ? 0 : random.range(0, 5);
      // less: as if by output padding
      w.padding[2 + d] = random.chance(50) ? 0 : random.range(1 - w.stride[d], 5);
    }
    const int groups = random.chance(60) ? 1 : random.range(2, 4);
    const int ic = groups * random.range(1, 4), oc = groups * random.range(1, groups > 2 ? 3 : 14);
    const int ih = random.range(1, 9), iw = random.range(1, random.chance(20) ? 70 : 9);
    test(t, problem(ic, ih, iw, oc, w, groups));
  }
}

}  // namespace test
}  // namespace kernelet
