// conv2d through the tier's table: every algorithm that fits, pack, scratch and every epilogue, on the shapes
// around every tail.
#include <algorithm>
#include <cmath>

#include "check.h"
#include "data.h"
#include "naive.h"
#include "net.h"

namespace kernelet {
namespace test {
namespace {

struct Problem {
  int ic = 1, ih = 1, iw = 1, oc = 1;
  Window window;
  int groups = 1;
  bool bias = true;
};

std::string text_of(const Problem& p) {
  std::string s;
  const auto put = [&](const char* letter, int value) { s += letter + std::to_string(value); };
  const Window& w = p.window;
  put("g", p.groups);
  put("ic", p.ic);
  put("ih", p.ih);
  put("iw", p.iw);
  put("oc", p.oc);
  put("kh", w.kernel[0]);
  put("kw", w.kernel[1]);
  put("sh", w.stride[0]);
  put("sw", w.stride[1]);
  put("dh", w.dilation[0]);
  put("dw", w.dilation[1]);
  put("pt", w.padding[0]);
  put("pl", w.padding[1]);
  put("pb", w.padding[2]);
  put("pr", w.padding[3]);
  return p.bias ? s : s + "nobias";
}

ConvArgs args_of(const Problem& p) {
  ConvArgs s = ConvArgs();
  const Window& w = p.window;
  s.ic = p.ic;
  s.ih = p.ih;
  s.iw = p.iw;
  s.oc = p.oc;
  s.kh = w.kernel[0];
  s.kw = w.kernel[1];
  s.sh = w.stride[0];
  s.sw = w.stride[1];
  s.dh = w.dilation[0];
  s.dw = w.dilation[1];
  s.pt = w.padding[0];
  s.pl = w.padding[1];
  s.groups = p.groups;
  s.oh = s.ph = naive_outputs(p.ih, w.padding[0], w.padding[2], s.kh, s.sh, s.dh, false);
  s.ow = s.pw = naive_outputs(p.iw, w.padding[1], w.padding[3], s.kw, s.sw, s.dw, false);
  return s;
}

const char* name_of(const Epilogue& e) {
  static char name[64];
  std::snprintf(name, sizeof name, "bias%s%s", e.pool == Pool::max ? "+max" : "",
                e.after.f == Activation::relu ? "+relu" : "");
  return name;
}

const Epilogue epilogues[] = {
    {Pool::none, unary(Activation::none)},
    {Pool::none, unary(Activation::relu)},
    {Pool::max, unary(Activation::none)},
    {Pool::max, unary(Activation::relu)},
};

double worst_winograd[2];  // of 3x3, of 5x5: error over magnitude

class Conv {
 public:
  Conv(const KernelTable& t, const Problem& p) : t_(t), s_(args_of(p)), text_(text_of(p)) {
    Random random(text_);
    src_ = variants_of(random_floats(random, static_cast<size_t>(p.ic) * p.ih * p.iw));
    weight_ = random_floats(random, static_cast<size_t>(p.oc) * (p.ic / p.groups) * s_.kh * s_.kw);
    bias_ = p.bias ? random_floats(random, static_cast<size_t>(p.oc)) : std::vector<float>(p.oc, 0.0f);
    // a pool looks at whole windows only
    pooled_ = s_;
    pooled_.ph = s_.oh / 2;
    pooled_.pw = s_.ow / 2;
    pooled_.oh = 2 * pooled_.ph;
    pooled_.ow = 2 * pooled_.pw;
  }

  // What the contract prescribes is itself close to the sum in double.
  void check_twin() {
    double worst = 0;
    for (const Dot& dot : dots(false, 0))
      worst = std::max(worst, std::fabs(dot.accumulated - dot.sum) / dot.bound());
    check(worst <= 1, "the sum in floats is off by %.2f bounds from the sum in double", worst);
  }

  void run(const Epilogue& epilogue, Place place) {
    const ConvArgs s = with(epilogue);
    if (s.ph < 1 || s.pw < 1) return;
    for (const ConvAlgorithm* a :
         {&t_.im2col, &t_.direct_pixels, t_.narrow_pixels, &t_.direct_channels, &t_.depthwise}) {
      if (a != nullptr && a->fits(s)) run(*a, s, place);
    }
    for (const ConvAlgorithm* a : {&t_.blocked_conv, &t_.blocked_depthwise}) {
      if (a->fits(s)) run_blocks(*a, s, place);
    }
    if (t_.batched_conv.fits(s)) run_lanes(s, place);
    if (t_.winograd.fits(s)) run_winograd(s, place);
  }

  // Blocks of channels take more into their tile: each against the operations one by one.
  void run_epilogues() {
    const size_t plane = static_cast<size_t>(s_.ph) * s_.pw, n = static_cast<size_t>(s_.oc) * plane;
    for (const ConvAlgorithm* a : {&t_.blocked_conv, &t_.blocked_depthwise}) {
      if (!a->fits(s_)) continue;
      Random random(text_ + "blocks");
      for (const Unary& after : {unary(Activation::none), Unary{Activation::clip, -0.25f, 0.5f},
                                 Unary{Activation::hardswish, 0.0f, 0.0f}}) {
        for (int which = 0; which < 4; ++which) {
          ConvArgs s = s_;
          s.epilogue.after = after;
          std::vector<float> want = naive_epilogue(t_, s_, dots(false, 0)), scale, shift, residual;
          if (which & 1) {
            scale = random_floats(random, static_cast<size_t>(s.oc));
            shift = random_floats(random, static_cast<size_t>(s.oc));
            BinaryArgs affine = BinaryArgs();
            affine.f = Binary::affine;
            affine.rank = 2;
            affine.dims[0] = static_cast<size_t>(s.oc);
            affine.dims[1] = affine.a[0] = plane;
            affine.a[1] = affine.b[0] = 1;
            t_.binary(affine, want.data(), scale.data(), shift.data(), want.data());
          }
          if (which & 2) {
            residual = random_floats(random, n);
            t_.add(n, want.data(), residual.data(), want.data());
          }
          if (after.f != Activation::none) t_.activate(after, n, want.data(), want.data());
          const Place place = all_places[random.next() % 3];
          const Guarded scales(in_blocks(scale, 1), place), shifts(in_blocks(shift, 1), place);
          const Guarded other(in_blocks(residual, plane), place);
          if (which & 1) s.scale = scales.data();
          if (which & 1) s.shift = shifts.data();
          if (which & 2) s.residual = other.data();
          const std::vector<float> got = call_blocks(*a, s, which != 3 || a == &t_.blocked_depthwise, place);
          check_same(got.data(), want.data(), n,
                     (std::string("blocked ") + (which & 1 ? "scale " : "") + (which & 2 ? "add " : "") +
                      (after.f == Activation::clip   ? "clip"
                       : after.f == Activation::none ? ""
                                                     : "hardswish"))
                         .c_str());
        }
      }
    }
  }

 private:
  // [c][plane] -> [ceil(c / lanes)][plane][lanes], the rest of the last block garbage.
  std::vector<float> in_blocks(const std::vector<float>& planes, size_t plane) const {
    const size_t lanes = static_cast<size_t>(t_.lanes), channels = planes.size() / plane;
    const size_t blocks = (channels + lanes - 1) / lanes;
    std::vector<float> all(blocks * plane * lanes, float_of(garbage_bits));
    for (size_t c = 0; c < channels; ++c) {
      for (size_t i = 0; i < plane; ++i)
        all[(c / lanes * plane + i) * lanes + c % lanes] = planes[c * plane + i];
    }
    return all;
  }
  std::vector<float> in_planes(const std::vector<float>& blocks, size_t channels, size_t plane) const {
    const size_t lanes = static_cast<size_t>(t_.lanes);
    std::vector<float> all(channels * plane);
    for (size_t c = 0; c < channels; ++c) {
      for (size_t i = 0; i < plane; ++i)
        all[c * plane + i] = blocks[(c / lanes * plane + i) * lanes + c % lanes];
    }
    return all;
  }

  std::vector<float> call_blocks(const ConvAlgorithm& a, ConvArgs s, bool src_blocked, Place place) {
    const size_t in_plane = static_cast<size_t>(s.ih) * s.iw, out_plane = static_cast<size_t>(s.ph) * s.pw;
    const size_t lanes = static_cast<size_t>(t_.lanes);
    const size_t channels = (static_cast<size_t>(s.oc) + lanes - 1) / lanes * lanes;
    s.src_blocked = src_blocked;
    const std::vector<float> bias = bias_;
    bias_.resize(channels);
    const std::vector<float> got =
        call(a, s, src_blocked ? in_blocks(src_[0], in_plane) : src_[0], channels * out_plane, place);
    bias_ = bias;
    return in_planes(got, static_cast<size_t>(s.oc), out_plane);
  }

  void run_blocks(const ConvAlgorithm& a, const ConvArgs& s, Place place) {
    const std::vector<float> want = naive_epilogue(t_, s, dots(s.epilogue.pool != Pool::none, 0));
    for (const bool src_blocked : {true, false}) {
      if (!src_blocked && &a == &t_.blocked_depthwise) continue;
      const std::vector<float> got = call_blocks(a, s, src_blocked, place);
      check_same(
          got.data(), want.data(), want.size(),
          (std::string("blocked ") + (src_blocked ? "" : "from planes ") + name_of(s.epilogue)).c_str());
    }
  }

  ConvArgs with(const Epilogue& epilogue) const {
    ConvArgs s = epilogue.pool == Pool::none ? s_ : pooled_;
    s.epilogue = epilogue;
    return s;
  }

  // Sums of the plain or the pooled convolution, of one of the images.
  const std::vector<Dot>& dots(bool pooled, size_t variant) {
    std::vector<Dot>& all = dots_[pooled][variant];
    if (all.empty()) {
      all = naive_conv(pooled ? pooled_ : s_, t_.has_fma, src_[variant].data(), weight_.data(), bias_.data());
    }
    return all;
  }

  std::vector<float> call(const ConvAlgorithm& a, ConvArgs s, const std::vector<float>& input, size_t outputs,
                          Place place) {
    const Guarded weight(weight_, place), bias(bias_, place), src(input, place);
    Guarded packed(a.weights_size(s), place);
    a.pack(s, weight.data(), packed.data());
    check(packed.canaries(), "%s: pack stays within weights_size", a.name);
    packed.seal();
    s.weights = packed.data();
    s.bias = bias.data();
    const size_t size = a.scratch_size(s);
    // by contract 64-byte aligned, which it is in the second place; in the others its end is guarded instead
    const Guarded scratch(size, place == Place::begins_at_page ? place : Place::ends_at_page);
    const Guarded dst(outputs, place);
    a.run(s, src.data(), dst.data(), scratch.data());
    check(dst.canaries() && scratch.canaries(), "%s %s: writes to dst and scratch alone", a.name,
          name_of(s.epilogue));
    return std::vector<float>(dst.data(), dst.data() + outputs);
  }

  void run(const ConvAlgorithm& a, const ConvArgs& s, Place place) {
    const std::vector<Dot>& sums = dots(s.epilogue.pool != Pool::none, 0);
    const std::vector<float> want = naive_epilogue(t_, s, sums);
    const std::vector<float> got = call(a, s, src_[0], want.size(), place);
    check_same(got.data(), want.data(), want.size(),
               (std::string(a.name) + " " + name_of(s.epilogue)).c_str());
    if (s.epilogue.pool == Pool::none && s.epilogue.after.f == Activation::none) {
      double worst = 0;
      for (size_t i = 0; i < got.size(); ++i)
        worst = std::max(worst, std::fabs(got[i] - sums[i].sum) / sums[i].bound());
      check(worst <= 1, "%s: off by %.2f bounds from the sum in double", a.name, worst);
    }
  }

  void run_lanes(const ConvArgs& s, Place place) {
    std::vector<std::vector<float>> want;
    for (size_t v = 0; v < src_.size(); ++v)
      want.push_back(naive_epilogue(t_, s, dots(s.epilogue.pool != Pool::none, v)));
    const std::vector<float> all = in_lanes(want, t_.lanes);
    const std::vector<float> got = call(t_.batched_conv, s, in_lanes(src_, t_.lanes), all.size(), place);
    check_same(got.data(), all.data(), all.size(), (std::string("lanes ") + name_of(s.epilogue)).c_str());
  }

  // Other roundings, so no equal bits. The transforms sum numbers of up to 5.25 (21/4) times the inputs of a
  // whole tile and back: errors scale with the largest magnitude of the plane. The allowance is a few times
  // what is seen (worst_winograd); a missed tap of n is off by magnitude / n, and n is at most 500 here.
  void run_winograd(const ConvArgs& s, Place place) {
    const std::vector<Dot>& sums = dots(s.epilogue.pool != Pool::none, 0);
    const std::vector<float> want = naive_epilogue(t_, s, sums);
    const std::vector<float> got = call(t_.winograd, s, src_[0], want.size(), place);
    double magnitude = 0, worst = 0;
    for (const Dot& dot : sums) magnitude = std::max(magnitude, dot.magnitude);
    for (size_t i = 0; i < got.size(); ++i) {
      const double off = std::fabs(static_cast<double>(got[i]) - want[i]);
      worst = std::max(worst, off == off ? off : 1e30);  // a NaN is never right here
    }
    if (magnitude == 0) magnitude = 1;
    worst_winograd[s.kh == 5] = std::max(worst_winograd[s.kh == 5], worst / magnitude);
    check(worst <= (s.kh == 3 ? 6e-6 : 6e-6) * magnitude, "winograd %s: off by %.3g of the magnitude",
          name_of(s.epilogue), worst / magnitude);
  }

  const KernelTable& t_;
  ConvArgs s_, pooled_;
  std::string text_;
  std::vector<std::vector<float>> src_;
  std::vector<float> weight_, bias_;
  std::vector<Dot> dots_[2][3];
};

void test(const KernelTable& t, const Problem& p) {
  const std::string name = text_of(p);
  if (!begin(name)) return;
  Conv conv(t, p);
  conv.check_twin();
  for (Place place : all_places) conv.run(Epilogue(), place);
  Random random(name + "epilogues");
  for (const Epilogue& epilogue : epilogues) conv.run(epilogue, all_places[random.next() % 3]);
  conv.run_epilogues();
}

std::vector<int> pixel_counts(const KernelTable& t) {
  std::vector<int> counts = {
      1, 3, t.lanes - 1, t.lanes, t.lanes + 1, 4 * t.lanes - 1, 4 * t.lanes, 4 * t.lanes + 1};
  std::sort(counts.begin(), counts.end());
  counts.erase(std::unique(counts.begin(), counts.end()), counts.end());
  if (counts[0] == 0) counts.erase(counts.begin());
  return counts;
}

constexpr int channels[] = {1, 2, 3, 4, 5, 6, 7, 12, 13, 16, 17};

}  // namespace

// Every number of output channels with every number of pixels (of pooling windows, in the second form).
PER_TIER(conv_tails) {
  int turn = 0;
  std::vector<int> all(channels, channels + sizeof channels / sizeof *channels);
  for (int oc : {t.lanes - 1, t.lanes, t.lanes + 1, 2 * t.lanes - 1, 2 * t.lanes, 2 * t.lanes + 1}) {
    if (oc > 0 && std::count(all.begin(), all.end(), oc) == 0) all.push_back(oc);
  }
  for (int oc : all) {
    for (int pixels : pixel_counts(t)) {
      for (bool windows : {false, true}) {
        Problem p;
        p.oc = oc;
        p.ic = 1 + turn++ % 4;
        p.window.kernel[0] = 2;
        p.window.kernel[1] = 3;
        // one row of pixels; or one row of windows, and a column and a row too many for them
        p.ih = windows ? 4 : 2;
        p.iw = (windows ? 2 * pixels + 1 : pixels) + 2;
        test(t, p);
      }
    }
  }
  // rows that end within a vector, within a panel
  for (int width : {2, 3, 5, 6, 7, 9, 10, 13, 18, 34}) {
    for (int height : {2, 3, 4, 7, 11}) {
      Problem p;
      p.ic = 2;
      p.oc = 1 + turn++ % 7;
      p.window = Window(3);
      p.ih = height + 2;
      p.iw = width + 2;
      test(t, p);
    }
  }
}

// Around the blocks that K is cut into: below, at and above one and two of them; block borders that fall
// between channels, between rows of a window and within one.
PER_TIER(conv_blocks) {
  struct {
    int ic, kh, kw;
  } const taps[] = {{1, 1, 1},   {2, 1, 1},   {191, 1, 1}, {192, 1, 1}, {193, 1, 1}, {383, 1, 1},
                    {384, 1, 1}, {385, 1, 1}, {64, 3, 1},  {64, 1, 3},  {48, 2, 2},  {49, 2, 2},
                    {22, 3, 3},  {8, 5, 5},   {16, 5, 5},  {1, 14, 14}, {1, 1, 193}};
  for (const auto& tap : taps) {
    for (int oc : {1, 7, 13}) {
      for (int pixels : {1, t.lanes + 1, 4 * t.lanes + 1}) {
        Problem p;
        p.ic = tap.ic;
        p.oc = oc;
        p.window.kernel[0] = tap.kh;
        p.window.kernel[1] = tap.kw;
        p.ih = tap.kh + 1;
        p.iw = tap.kw + pixels - 1;
        p.bias = oc != 7;
        test(t, p);
      }
    }
  }
  // more pixels than the panels that are packed together
  for (int ic : {2, 193, 385}) {
    for (int pixels : {16 * t.lanes - 1, 16 * t.lanes + 1, 20 * t.lanes + 3}) {
      Problem p;
      p.ic = ic;
      p.oc = 4;
      p.ih = 2;
      p.iw = (pixels + 1) / 2;
      test(t, p);
    }
  }
}

// The shapes Winograd takes: tiles cut at every side, more tiles than one block holds, many channels.
PER_TIER(conv_winograd) {
  if (!t.has_fma) return;  // these tiers have no Winograd
  int turn = 0;
  for (int k : {3, 5}) {
    for (int height : {1, 3, 4, 5, 8, 13}) {
      for (int width : {1, 4, 6, 4 * t.lanes - 1, 4 * t.lanes, 4 * t.lanes + 3}) {
        Problem p;
        p.ic = 1 + turn % 5;
        p.oc = 1 + turn % 9;
        p.window = Window(k, 1, turn % 3);
        p.ih = height + k - 1 - 2 * (turn % 3);
        p.iw = width + k - 1 - 2 * (turn % 3);
        p.bias = turn % 2 == 0;
        ++turn;
        if (p.ih < 1 || p.iw < 1) continue;
        test(t, p);
      }
    }
    Problem big;
    big.ic = 20;
    big.oc = 17;
    big.window = Window(k, 1, 1);
    big.ih = big.iw = 33;
    test(t, big);
  }
  if (worst_winograd[0] > 0 && worst_winograd[1] > 0)
    note("winograd: off by at most %.2g (3x3), %.2g (5x5) of the magnitude", worst_winograd[0],
         worst_winograd[1]);
}

// Strides, dilations, paddings and groups, one by one and together.
PER_TIER(conv_windows) {
  int turn = 0;
  for (int stride : {1, 2, 3, 5, 7}) {
    for (int dilation : {1, 2, 3}) {
      for (int padding : {0, 1, 2, 4}) {
        for (int groups : {1, 2, 6}) {
          Problem p;
          p.ic = 6;
          p.oc = groups * (1 + turn % 4);
          p.groups = groups;
          p.window = Window(1 + turn % 3, stride, padding, dilation);
          if (turn % 2 == 0) p.window.stride[1] = 1 + turn % 3;
          if (turn % 5 == 0) p.window.padding[2] = p.window.padding[3] = 0;
          p.ih = 7 + turn % 5;
          p.iw = 9 + turn % 11;
          p.bias = turn % 3 != 0;
          ++turn;
          if (args_of(p).oh < 1 || args_of(p).ow < 1) continue;
          test(t, p);
        }
      }
    }
  }
}

// One channel a group, in planes narrower and wider than a register, of as many rows as a tile has or more.
PER_TIER(conv_depthwise) {
  for (int height : {1, 2, 3, 4, 5, 7, 8, 9, 11, 16, 17}) {
    for (int width : {1, 2, 3, t.lanes - 1, t.lanes, t.lanes + 1, 2 * t.lanes + 1}) {
      Problem p;
      p.ic = p.oc = p.groups = 3;
      p.window = Window(3, 1 + (height + width) % 2, 1);
      p.ih = height;
      p.iw = width;
      p.bias = height % 2 == 0;
      if (width > 0) test(t, p);
      // channels in the lanes: the last ones overlap their neighbours; dilated every other time
      p.ic = p.oc = p.groups = t.lanes + 1 + height % 3;
      p.window =
          Window(1 + (height + 2 * width) % 5, 1 + height % 3, (height + 2 * width) % 5 / 2, 1 + width % 2);
      if (width > 0 && args_of(p).oh > 0 && args_of(p).ow > 0) test(t, p);
    }
  }
}

PER_TIER(conv_random) {
  const int count = slow ? 80 : 300;
  for (int i = 0; i < count; ++i) {
    Random random(std::string(t.isa) + std::to_string(i));
    constexpr int strides[] = {1, 1, 1, 2, 3, 5, 7};
    Problem p;
    const bool depthwise = random.chance(15);
    p.groups = random.chance(60) ? 1 : random.range(2, 5);
    p.ic = p.groups * (depthwise ? 1 : random.range(1, 6));
    p.oc = p.groups * (depthwise ? random.range(1, 2) : random.range(1, 9));
    if (random.chance(25)) p.oc = p.groups * random.range(t.lanes, 2 * t.lanes + 2);
    p.ih = random.range(1, 19);
    p.iw = random.range(1, 37);
    for (int d = 0; d < 2; ++d) {
      p.window.kernel[d] = random.range(1, 5);
      p.window.stride[d] = random.pick(strides);
      p.window.dilation[d] = random.chance(70) ? 1 : random.range(2, 3);
      p.window.padding[d] = random.chance(50) ? 0 : random.range(1, 6);
      p.window.padding[2 + d] = random.chance(50) ? 0 : random.range(1, 6);
    }
    p.bias = random.chance(70);
    if (args_of(p).oh < 1 || args_of(p).ow < 1) continue;
    test(t, p);
  }
}

}  // namespace test
}  // namespace kernelet
