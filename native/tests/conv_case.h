// One convolution of the tests: its data, its twin, and every algorithm that fits run on it.
#pragma once

#include <algorithm>
#include <cmath>

#include "check.h"
#include "data.h"
#include "naive.h"
#include "net.h"

namespace kernelet {
namespace test {

struct Problem {
  int ic = 1, ih = 1, iw = 1, oc = 1;
  Window window;
  int groups = 1;
  bool bias = true;
  int piece = 0;  // input channels of one, of kernels over blocks
};

inline std::string text_of(const Problem& p) {
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
  if (p.piece > 0) put("piece", p.piece);
  return p.bias ? s : s + "nobias";
}

inline ConvArgs args_of(const Problem& p) {
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
  s.piece = p.piece;
  s.oh = s.ph = naive_outputs(p.ih, w.padding[0], w.padding[2], s.kh, s.sh, s.dh, false);
  s.ow = s.pw = naive_outputs(p.iw, w.padding[1], w.padding[3], s.kw, s.sw, s.dw, false);
  return s;
}

inline const char* name_of(const Epilogue& e) {
  static char name[64];
  std::snprintf(name, sizeof name, "bias%s%s", e.pool == Pool::max ? "+max" : "",
                e.after.f == Activation::relu ? "+relu" : "");
  return name;
}

inline const Epilogue epilogues[] = {
    {Pool::none, unary(Activation::none)},
    {Pool::none, unary(Activation::relu)},
    {Pool::max, unary(Activation::none)},
    {Pool::max, unary(Activation::relu)},
};

inline double worst_winograd[2];  // of 3x3, of 5x5: error over magnitude

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
    if (s.piece > 0) return run_blocks(t_.blocked_conv, s, place);
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
    Random random(text_ + "blocks");
    for (const Unary& after : {unary(Activation::none), Unary{Activation::clip, -0.25f, 0.5f},
                               Unary{Activation::hardswish, 0.0f, 0.0f}}) {
      for (int which = 0; which < 8; ++which) {
        for (const ConvAlgorithm* a : {&t_.blocked_conv, &t_.blocked_depthwise})
          if (s_.piece == 0 || a == &t_.blocked_conv)
            run_epilogue(*a, after, (which & 1) != 0, (which & 2) != 0, (which & 4) != 0, random);
      }
    }
  }

 private:
  void run_epilogue(const ConvAlgorithm& a, const Unary& after, bool scaled, bool added, bool pooled,
                    Random& random) {
    ConvArgs s = pooled ? pooled_ : s_, whole = s;
    s.epilogue = {pooled ? Pool::max : Pool::none, after};
    if (!a.fits(s) || s.ph < 1 || s.pw < 1) return;
    whole.ph = s.oh;
    whole.pw = s.ow;
    const size_t plane = static_cast<size_t>(s.oh) * s.ow, n = static_cast<size_t>(s.oc) * plane;
    std::vector<float> want = naive_epilogue(t_, whole, dots(pooled, 0)), scale, shift, residual;
    if (scaled) {
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
    if (added) {
      residual = random_floats(random, n);
      t_.add(n, want.data(), residual.data(), want.data());
    }
    if (after.f != Activation::none) t_.activate(after, n, want.data(), want.data());
    if (pooled) {
      PoolArgs pool = PoolArgs();
      pool.c = s.oc;
      pool.ih = s.oh;
      pool.iw = s.ow;
      pool.oh = s.ph;
      pool.ow = s.pw;
      pool.kh = pool.kw = pool.sh = pool.sw = 2;
      pool.dh = pool.dw = 1;
      const std::vector<float> from = want;
      want.resize(static_cast<size_t>(s.oc) * s.ph * s.pw);
      t_.pool.max(pool, from.data(), want.data());
    }
    const Place place = all_places[random.next() % 3];
    const Guarded scales(in_blocks(scale, 1), place), shifts(in_blocks(shift, 1), place);
    const Guarded other(in_blocks(residual, plane), place);
    if (scaled) s.scale = scales.data();
    if (scaled) s.shift = shifts.data();
    if (added) s.residual = other.data();
    const bool from_planes = scaled && added && reads_planes(a);
    const std::vector<float> got = call_blocks(a, s, !from_planes, place);
    const char* const function = after.f == Activation::clip   ? "clip"
                                 : after.f == Activation::none ? ""
                                                               : "hardswish";
    check_same(got.data(), want.data(), want.size(),
               (std::string("blocked ") + (scaled ? "scale " : "") + (added ? "add " : "") + function +
                (pooled ? " pool" : ""))
                   .c_str());
  }

  bool reads_planes(const ConvAlgorithm& a) const { return &a != &t_.blocked_depthwise && s_.groups == 1; }

  std::vector<float> in_blocks(const std::vector<float>& planes, size_t plane) const {
    return blocks_of_planes(planes, plane, t_.lanes);
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
    return planes_of_blocks(got, static_cast<size_t>(s.oc), out_plane, t_.lanes);
  }

  void run_blocks(const ConvAlgorithm& a, const ConvArgs& s, Place place) {
    const std::vector<float> want = naive_epilogue(t_, s, dots(s.epilogue.pool != Pool::none, 0));
    for (const bool src_blocked : {true, false}) {
      if (!src_blocked && !reads_planes(a)) continue;
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
    std::vector<int32_t> taps(2 * static_cast<size_t>(s.kh) * static_cast<size_t>(s.kw));
    if (a.taps != nullptr) a.taps(s, taps.data());
    s.taps = taps.data();
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
    const std::vector<float> got = call_blocks(t_.winograd, s, true, place);
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

}  // namespace test
}  // namespace kernelet
