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
