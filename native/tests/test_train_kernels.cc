// Kernels of training through the tier's table, against plain loops in double, at the edge of forbidden pages.
#include <cmath>
#include <limits>

#include "check.h"
#include "data.h"
#include "naive.h"
#include "net.h"

namespace kernelet {
namespace test {
namespace {

// `n` values of each of the lanes' images, all different.
struct Block {
  size_t n;
  int lanes;
  std::vector<float> values;  // [n][lanes]

  Block(Random& random, size_t n_, int lanes_)
      : n(n_), lanes(lanes_), values(random_floats(random, n * static_cast<size_t>(lanes_))) {}
  float at(size_t i, int lane) const {
    return values[i * static_cast<size_t>(lanes) + static_cast<size_t>(lane)];
  }
};

// A sum in double, and of magnitudes: what a float sum may be off by.
struct Sum {
  double value = 0, magnitude = 0;
  int terms = 0;
  void add(double x) {
    value += x;
    magnitude += std::fabs(x);
    ++terms;
  }
};

void check_sums(const float* got, const std::vector<Sum>& want, const char* what) {
  for (size_t i = 0; i < want.size(); ++i) {
    const double bound = (want[i].terms + 2) * std::ldexp(want[i].magnitude, -23) + 1e-30;
    if (std::fabs(got[i] - want[i].value) <= bound) continue;
    check(false, "%s: %g at %zu, expected %g", what, got[i], i, want[i].value);
    return;
  }
  check(true, "%s", what);
}

ConvArgs random_conv(Random& random, bool pooled) {
  for (;;) {
    ConvArgs s = ConvArgs();
    s.groups = random.chance(70) ? 1 : random.range(2, 3);
    s.ic = s.groups * random.range(1, 4);
    s.oc = s.groups * random.range(1, 7);
    s.ih = random.range(1, 13);
    s.iw = random.range(1, 13);
    s.kh = random.range(1, 5);
    s.kw = random.range(1, 8);
    s.sh = random.range(1, 3);
    s.sw = random.chance(60) ? 1 : random.range(2, 3);
    s.dh = random.chance(70) ? 1 : 2;
    s.dw = random.chance(70) ? 1 : 2;
    s.pt = random.range(0, 2);
    s.pl = random.range(0, 3);
    s.oh = naive_outputs(s.ih, s.pt, random.range(0, 2), s.kh, s.sh, s.dh, false);
    s.ow = naive_outputs(s.iw, s.pl, random.range(0, 2), s.kw, s.sw, s.dw, false);
    if (pooled) {
      s.ph = s.oh / 2;
      s.pw = s.ow / 2;
      s.oh = 2 * s.ph;
      s.ow = 2 * s.pw;
      s.epilogue.pool = Pool::max;
      s.epilogue.after.f = random.chance(50) ? Activation::relu : Activation::none;
    } else {
      s.ph = s.oh;
      s.pw = s.ow;
    }
    if (s.oh > 0 && s.ow > 0) return s;
  }
}

std::string text_of(const ConvArgs& s) {
  std::string text;
  const std::pair<const char*, int> all[] = {{"g", s.groups}, {"ic", s.ic}, {"ih", s.ih}, {"iw", s.iw},
                                             {"oc", s.oc},    {"oh", s.oh}, {"ow", s.ow}, {"kh", s.kh},
                                             {"kw", s.kw},    {"sh", s.sh}, {"sw", s.sw}, {"dh", s.dh},
                                             {"dw", s.dw},    {"pt", s.pt}, {"pl", s.pl}};
  for (const auto& [letter, value] : all) text += letter + std::to_string(value);
  return text;
}

// Calls tap(output, input, weight) for every product.
template <class Tap>
void each_product(const ConvArgs& s, Tap tap) {
  const int group_ic = s.ic / s.groups, group_oc = s.oc / s.groups;
  for (int oc = 0; oc < s.oc; ++oc) {
    for (int o = 0; o < s.oh * s.ow; ++o) {
      for (int k = 0; k < group_ic * s.kh * s.kw; ++k) {
        const int ic = k / (s.kh * s.kw), kh = k / s.kw % s.kh, kw = k % s.kw;
        const int y = o / s.ow * s.sh - s.pt + kh * s.dh, x = o % s.ow * s.sw - s.pl + kw * s.dw;
        if (y < 0 || y >= s.ih || x < 0 || x >= s.iw) continue;
        tap(static_cast<size_t>(oc * s.oh * s.ow + o),
            static_cast<size_t>(((oc / group_oc * group_ic + ic) * s.ih + y) * s.iw + x),
            static_cast<size_t>(oc * group_ic * s.kh * s.kw + k));
      }
    }
  }
}

void test_conv(const KernelTable& t, const ConvArgs& s) {
  if (!begin(text_of(s))) return;
  Random random(text_of(s));
  const size_t in = static_cast<size_t>(s.ic) * s.ih * s.iw, out = static_cast<size_t>(s.oc) * s.oh * s.ow;
  const size_t k = static_cast<size_t>(s.ic / s.groups) * s.kh * s.kw, lanes = static_cast<size_t>(t.lanes);
  const Block x(random, in, t.lanes), g(random, out, t.lanes);
  const std::vector<float> w = random_floats(random, static_cast<size_t>(s.oc) * k);
  std::vector<Sum> dx(in * lanes), dw(w.size()), db(static_cast<size_t>(s.oc));
  for (int lane = 0; lane < t.lanes; ++lane) {
    each_product(s, [&](size_t o, size_t i, size_t weight) {
      dx[i * lanes + static_cast<size_t>(lane)].add(static_cast<double>(g.at(o, lane)) * w[weight]);
      dw[weight].add(static_cast<double>(g.at(o, lane)) * x.at(i, lane));
    });
    for (size_t o = 0; o < out; ++o)
      db[o / (static_cast<size_t>(s.oh) * static_cast<size_t>(s.ow))].add(g.at(o, lane));
  }
  for (const Place place : all_places) {
    const Guarded src(x.values, place), grad(g.values, place), weight(w, place);
    const Guarded got_dx(dx.size(), place), got_dw(dw.size(), place), got_db(db.size(), place);
    const Guarded dx_scratch(t.train.conv_dx_scratch(s), Place::ends_at_page),
        dw_scratch(t.train.conv_dw_scratch(s), Place::ends_at_page);
    t.train.conv_dx(s, weight.data(), grad.data(), got_dx.data(), dx_scratch.data());
    check_sums(got_dx.data(), dx, "dx");
    t.train.conv_dw(s, src.data(), grad.data(), got_dw.data(), got_db.data(), dw_scratch.data());
    check_sums(got_dw.data(), dw, "dw");
    check_sums(got_db.data(), db, "db");
    check(got_dx.canaries() && got_dw.canaries() && got_db.canaries(), "writes its gradients alone");
  }
}

// Against the same convolution without the pool, by the tier's own kernel: the same bits.
void test_conv_max(const KernelTable& t, const ConvArgs& s) {
  const bool relu = s.epilogue.after.f == Activation::relu;
  if (!begin("max " + text_of(s) + (relu ? "relu" : ""))) return;
  Random random(text_of(s));
  const size_t in = static_cast<size_t>(s.ic) * s.ih * s.iw,
               k = static_cast<size_t>(s.ic / s.groups) * s.kh * s.kw;
  const size_t lanes = static_cast<size_t>(t.lanes), pooled = static_cast<size_t>(s.oc) * s.ph * s.pw;
  const Block x(random, in, t.lanes), g(random, pooled, t.lanes);
  const std::vector<float> w = random_floats(random, static_cast<size_t>(s.oc) * k),
                           b = random_floats(random, static_cast<size_t>(s.oc));
  ConvArgs plain = s;
  plain.ph = s.oh;
  plain.pw = s.ow;
  plain.epilogue = Epilogue();
  std::vector<float> sums(static_cast<size_t>(s.oc) * s.oh * s.ow * lanes);
  const auto convolve = [&](ConvArgs a, auto run) {
    const Guarded packed(t.batched_conv.weights_size(a), Place::ends_at_page), bias(b, Place::ends_at_page);
    t.batched_conv.pack(a, w.data(), packed.data());
    a.weights = packed.data();
    a.bias = bias.data();
    const Guarded scratch(t.batched_conv.scratch_size(a), Place::ends_at_page);
    run(a, scratch.data());
  };
  convolve(plain, [&](const ConvArgs& a, float* scratch) {
    t.batched_conv.run(a, x.values.data(), sums.data(), scratch);
  });
  std::vector<float> want(pooled * lanes), full(sums.size(), 0.0f);
  for (size_t i = 0; i < want.size(); ++i) {
    const size_t lane = i % lanes, p = i / lanes, column = p % static_cast<size_t>(s.pw),
                 row = p / static_cast<size_t>(s.pw);
    const auto at = [&](size_t corner) {
      return ((2 * row + corner / 2) * static_cast<size_t>(s.ow) + 2 * column + corner % 2) * lanes + lane;
    };
    size_t best = 0;
    for (size_t corner = 1; corner < 4; ++corner) {
      if (sums[at(corner)] > sums[at(best)]) best = corner;
    }
    const float value = sums[at(best)];
    want[i] = relu && !(value > 0) ? 0.0f : value;
    if (!relu || value > 0) full[at(best)] = g.values[i];
  }
  for (const Place place : all_places) {
    const Guarded src(x.values, place), grad(g.values, place);
    const Guarded dst(want.size(), place), corner(want.size(), place), got(full.size(), place);
    convolve(s, [&](const ConvArgs& a, float* scratch) {
      t.train.conv_max(a, src.data(), dst.data(), corner.data(), scratch);
      t.train.conv_max_dx(a, dst.data(), corner.data(), grad.data(), got.data());
    });
    check_same(dst.data(), want.data(), want.size(), "maximum");
    check_same(got.data(), full.data(), full.size(), "gradient of the sums");
    check(dst.canaries() && corner.canaries() && got.canaries(), "writes its results alone");
  }
}

void test_linear(const KernelTable& t, int rows, int in, int out, int images) {
  const std::string name = "linear mb" + std::to_string(rows) + "ic" + std::to_string(in) + "oc" +
                           std::to_string(out) + "n" + std::to_string(images);
  if (!begin(name)) return;
  Random random(name);
  LinearArgs s = LinearArgs();
  s.rows = rows;
  s.in = in;
  s.out = out;
  const size_t lanes = static_cast<size_t>(t.lanes), x_floats = static_cast<size_t>(rows * in),
               y_floats = static_cast<size_t>(rows * out);
  const int blocks = (images + t.lanes - 1) / t.lanes;
  std::vector<Block> x, g;
  std::vector<float> all_g;
  for (int b = 0; b < blocks; ++b) {
    x.emplace_back(random, x_floats, t.lanes);
    g.emplace_back(random, y_floats, t.lanes);
    all_g.insert(all_g.end(), g.back().values.begin(), g.back().values.end());
  }
  const std::vector<float> w = random_floats(random, static_cast<size_t>(in * out));
  std::vector<Sum> dx(x_floats * lanes), dw(w.size()), db(static_cast<size_t>(out));
  for (int image = 0; image < blocks * t.lanes; ++image) {
    const Block &xb = x[static_cast<size_t>(image / t.lanes)], &gb = g[static_cast<size_t>(image / t.lanes)];
    for (int row = 0; row < rows; ++row) {
      for (int o = 0; o < out; ++o) {
        const float y = gb.at(static_cast<size_t>(row * out + o), image % t.lanes);
        if (image < images) db[static_cast<size_t>(o)].add(y);
        for (int i = 0; i < in; ++i) {
          const size_t at = static_cast<size_t>(o * in + i), from = static_cast<size_t>(row * in + i);
          if (image < images) dw[at].add(static_cast<double>(y) * xb.at(from, image % t.lanes));
          if (image < t.lanes)
            dx[from * lanes + static_cast<size_t>(image)].add(static_cast<double>(y) * w[at]);
        }
      }
    }
  }
  for (const Place place : all_places) {
    const Guarded weight(w, place), grad(all_g, place), got_dx(dx.size(), place);
    t.train.linear_dx(s, weight.data(), grad.data(), got_dx.data());
    check_sums(got_dx.data(), dx, "dx");
    LinearGradArgs a = {images, rows, in, out, nullptr, grad.data()};
    const Guarded panels(t.train.linear_panel_size(a), place);
    a.src = panels.data();
    for (int b = 0; b < blocks; ++b) {
      const Guarded src(x[static_cast<size_t>(b)].values, place);
      const int first = b * t.lanes;
      t.train.linear_panels(a, first, images - first < t.lanes ? images - first : t.lanes, src.data(),
                            panels.data());
    }
    const Guarded got_dw(dw.size(), place), got_db(db.size(), place);
    const int cut = out / 3;
    t.train.linear_dw(a, 0, cut, got_dw.data(), got_db.data());
    t.train.linear_dw(a, cut, out, got_dw.data() + cut * in, nullptr);
    t.train.linear_dw(a, cut, out, nullptr, got_db.data() + cut);
    check_sums(got_dw.data(), dw, "dw");
    check_sums(got_db.data(), db, "db");
    check(got_dx.canaries() && panels.canaries() && got_dw.canaries() && got_db.canaries(),
          "writes its gradients alone");
  }
}

}  // namespace

PER_TIER(train_conv) {
  for (int round = 0; round < (slow ? 20 : 150); ++round) {
    Random random("conv" + std::to_string(round));
    test_conv(t, random_conv(random, false));
  }
  for (int round = 0; round < (slow ? 8 : 40); ++round) {
    Random random("max" + std::to_string(round));
    test_conv_max(t, random_conv(random, true));
  }
}

PER_TIER(train_linear) {
  for (const int in : {1, 3, 8, 16, 33, 65, 84}) {
    for (const int out : {1, 2, 7, 10, 17}) {
      test_linear(t, 1, in, out, 1 + (in * out) % 37);
      test_linear(t, 3, in, out, 16);
    }
  }
  for (const int rows : {1, 3, 8}) {
    for (const int k : {1, 7, 8, 16, 31, 32, 33, 70}) {
      const std::string name = "pack" + std::to_string(rows) + "x" + std::to_string(k);
      if (!begin(name)) continue;
      Random random(name);
      const std::vector<float> w = random_floats(random, static_cast<size_t>(rows * k));
      std::vector<float> want;
      for (int p = 0; p < k; ++p) {
        for (int row = 0; row < rows; ++row) want.push_back(w[static_cast<size_t>(row * k + p)]);
      }
      for (const Place place : all_places) {
        const Guarded weight(w, place), packed(want.size(), place);
        t.train.pack_rows(rows, k, weight.data(), packed.data());
        check(packed.canaries(), "writes the packed weights alone");
        check_same(packed.data(), want.data(), want.size(), "packed");
      }
    }
  }
}

// One step of each optimizer on every length around the registers'; its numbers are PyTorch's in
// tests/train-native.test.ts.
PER_TIER(train_update) {
  for (const Optimizer kind : {Optimizer::sgd, Optimizer::adam, Optimizer::adamw}) {
    for (const size_t n : {1, 3, 15, 16, 17, 33, 100}) {
      const std::string name = "kind" + std::to_string(static_cast<int>(kind)) + "n" + std::to_string(n);
      if (!begin(name)) continue;
      Random random(name);
      const auto floats = [&] { return random_floats(random, n); };
      const std::vector<float> w = floats(), g = floats(), m = floats(), e = floats();
      std::vector<float> v = floats();
      for (float& x : v) x = x * x;
      UpdateArgs u = UpdateArgs();  // no two alike: one in another's place is seen
      u.kind = kind;
      u.lr = 0.0625f;
      u.weight_decay = 0.125f;
      u.clip_value = 0.5f;
      u.scale = 0.75f;
      u.momentum = 0.625f;
      u.dampening = 0.25f;
      u.has_momentum = true;
      u.beta1_rest = 0.375f;
      u.beta2 = 0.8125f;
      u.beta2_rest = 0.1875f;
      u.step_size = 0.21875f;
      u.root_correction = 1.5f;
      u.eps = 0.03125f;
      u.ema_decay = 0.6875f;
      u.ema_rest = 0.3125f;
      for (const Place place : all_places) {
        const Guarded weight(w, place), grad(g, place), next(n, place);
        Guarded first(n, place), second(n, place), ema(n, place);
        std::copy(m.begin(), m.end(), first.data());
        std::copy(v.begin(), v.end(), second.data());
        std::copy(e.begin(), e.end(), ema.data());
        check(t.train.update(
                  u, n, {weight.data(), grad.data(), next.data(), first.data(), second.data(), ema.data()}),
              "all is finite");
        double error = 0;
        for (size_t i = 0; i < n; ++i) {
          double gradient = 0.75 * std::fmin(0.5, std::fmax(-0.5, g[i])), want = w[i];
          if (kind == Optimizer::adamw) want *= 1 - 0.0625 * 0.125;
          else gradient += 0.125 * want;
          if (kind == Optimizer::sgd) {
            want -= 0.0625 * (0.625 * m[i] + 0.75 * gradient);
          } else {
            const double a = m[i] + 0.375 * (gradient - m[i]),
                         b = 0.8125 * v[i] + 0.1875 * gradient * gradient;
            want -= 0.21875 * a / (1.5 * std::sqrt(b) + 0.03125);
          }
          error = std::fmax(error, std::fabs(next[i] - want));
          error = std::fmax(error, std::fabs(ema[i] - (0.6875 * e[i] + 0.3125 * want)));
        }
        check(error < 1e-6, "off by %g", error);
        check(next.canaries() && first.canaries() && second.canaries() && ema.canaries(),
              "writes its buffers alone");
      }
      std::vector<float> next(n), spoilt = g, first = m, second = v;
      for (const float bad : {NAN, INFINITY}) {
        spoilt[n - 1] = bad;
        u.clip_value = INFINITY;
        check(!t.train.update(u, n,
                              {w.data(), spoilt.data(), next.data(), first.data(), second.data(), nullptr}),
              "a weight that is not finite is told");
      }
      const Guarded grad(g, Place::ends_at_page);
      Sum sum, cut;
      for (float x : g) {
        sum.add(static_cast<double>(x) * x);
        cut.add(std::fmin(0.25, static_cast<double>(x) * x));
      }
      const float got[] = {t.train.square_sum(n, grad.data(), std::numeric_limits<float>::infinity()),
                           t.train.square_sum(n, grad.data(), 0.5f)};
      check_sums(got, {sum, cut}, "squares");
    }
  }
}

PER_TIER(train_elementwise) {
  const size_t lanes = static_cast<size_t>(t.lanes);
  for (int round = 0; round < 60; ++round) {
    const std::string name = "pool" + std::to_string(round);
    Random random(name);
    PoolArgs s = PoolArgs();
    s.c = random.range(1, 3);
    s.ih = random.range(1, 9);
    s.iw = random.range(1, 9);
    s.kh = random.range(1, 4);
    s.kw = random.range(1, 4);
    s.sh = random.range(1, 4);
    s.sw = random.range(1, 4);
    const bool max = random.chance(50);
    s.dh = s.dw = max && random.chance(30) ? 2 : 1;
    s.pt = random.range(0, s.kh / 2);
    s.pl = random.range(0, s.kw / 2);
    s.pb = random.range(0, s.kh / 2);
    s.pr = random.range(0, s.kw / 2);
    s.count_include_pad = random.chance(50);
    s.oh = naive_outputs(s.ih, s.pt, s.pb, s.kh, s.sh, s.dh, random.chance(50));
    s.ow = naive_outputs(s.iw, s.pl, s.pr, s.kw, s.sw, s.dw, random.chance(50));
    if (s.oh < 1 || s.ow < 1 || !begin(name)) continue;
    const size_t in = static_cast<size_t>(s.c) * s.ih * s.iw, out = static_cast<size_t>(s.c) * s.oh * s.ow;
    Block x(random, in, t.lanes);
    for (float& v : x.values) v = random.chance(40) ? 0.5f : v;  // ties: the first of equals
    const Block g(random, out, t.lanes);
    std::vector<Sum> dx(in * lanes);
    for (size_t o = 0; o < out * lanes; ++o) {
      const int lane = static_cast<int>(o % lanes), at = static_cast<int>(o / lanes), c = at / (s.oh * s.ow);
      const int y0 = at / s.ow % s.oh * s.sh - s.pt, x0 = at % s.ow * s.sw - s.pl;
      std::vector<size_t> taps;
      int padded = 0;
      for (int k = 0; k < s.kh * s.kw; ++k) {
        const int y = y0 + k / s.kw * s.dh, column = x0 + k % s.kw * s.dw;
        padded += y < s.ih + s.pb && column < s.iw + s.pr;
        if (y >= 0 && y < s.ih && column >= 0 && column < s.iw)
          taps.push_back(static_cast<size_t>((c * s.ih + y) * s.iw + column));
      }
      if (taps.empty()) continue;
      size_t best = taps[0];
      for (size_t tap : taps) {
        if (x.at(tap, lane) > x.at(best, lane)) best = tap;
      }
      const double share =
          g.values[o] / static_cast<double>(s.count_include_pad ? padded : static_cast<int>(taps.size()));
      if (max) dx[best * lanes + static_cast<size_t>(lane)].add(g.values[o]);
      for (size_t tap : taps) {
        if (!max) dx[tap * lanes + static_cast<size_t>(lane)].add(share);
      }
    }
    for (const Place place : all_places) {
      const Guarded src(x.values, place), grad(g.values, place), got(dx.size(), place);
      if (max) t.train.max_pool_dx(s, src.data(), grad.data(), got.data());
      else t.train.avg_pool_dx(s, grad.data(), got.data());
      check_sums(got.data(), dx, max ? "maximum" : "average");
      check(got.canaries(), "writes its gradient alone");
    }
  }
  for (const Loss loss : {Loss::cross_entropy, Loss::mse, Loss::binary_cross_entropy,
                          Loss::binary_cross_entropy_with_logits, Loss::dot}) {
    const std::string name = "loss" + std::to_string(static_cast<int>(loss));
    if (!begin(name)) continue;
    Random random(name);
    const LossArgs a = {loss, 5, 3, loss == Loss::cross_entropy ? 0.1f : 0.0f};
    const std::vector<float> x = random_floats(random, 15 * lanes),
                             target = random_floats(random, 15 * lanes), scale(lanes, 0.5f);
    for (const Place place : all_places) {
      const Guarded src(x, place), wanted(target, place), factors(scale, place), losses(lanes, place),
          dx(x.size(), place);
      t.train.loss(a, src.data(), wanted.data(), factors.data(), losses.data(), dx.data());
      check(losses.canaries() && dx.canaries(), "writes losses and gradient alone");
      bool written = true;  // garbage is a NaN; the logarithm of what is no probability is one too
      for (size_t i = 0; i < dx.size(); ++i) written = written && bits_of(dx[i]) != garbage_bits;
      check(written, "writes all of the gradient");
    }
  }
}

}  // namespace test
}  // namespace kernelet
