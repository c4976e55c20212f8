// Activations in ulp against double libm; activate and softmax.
#include <algorithm>
#include <cmath>
#include <limits>

#include "check.h"
#include "data.h"
#include "kernels/isa.h"
#include "naive.h"
#include "ops/definition.h"
#include "probe.h"

namespace kernelet {
namespace test {
namespace {

const float infinity = std::numeric_limits<float>::infinity();
const float quiet_nan = std::numeric_limits<float>::quiet_NaN();

const float extremes[] = {0.0f,
                          -0.0f,
                          1e-45f,
                          -1e-45f,
                          1.17549421e-38f,
                          -1.17549421e-38f,
                          1.17549435e-38f,
                          -1e-38f,
                          infinity,
                          -infinity,
                          quiet_nan,
                          3.4028235e38f,
                          -3.4028235e38f,
                          88.0f,
                          -88.0f,
                          88.72283f,
                          88.72284f,
                          -87.33654f,
                          -87.4f,
                          89.0f,
                          89.01f,
                          -103.97f,
                          -103.98f,
                          104.0f,
                          -104.0f,
                          105.0f,
                          -105.0f,
                          -106.0f,
                          0.625f,
                          0.62500006f,
                          -0.625f,
                          -0.62500006f,
                          1.0f,
                          -1.0f,
                          9.0f,
                          -9.0f,
                          17.4f,
                          -17.4f};

// Floats over the whole range, a prime number of bit patterns apart; every float near what functions turn at.
const std::vector<float>& sweep() {
  static const std::vector<float> all = [] {
    std::vector<float> values(extremes, extremes + sizeof extremes / sizeof *extremes);
    const uint64_t step = slow ? 100003 : 4093;
    for (uint64_t bits = 0; bits < (uint64_t{1} << 32); bits += step) {
      const float x = float_of(static_cast<uint32_t>(bits));
      if (!std::isnan(x)) values.push_back(x);
    }
    // where exp, tanh and sigmoid are neither 0 nor 1
    Random random(1);
    for (int i = 0; i < (slow ? 20000 : 400000); ++i) values.push_back(104.0f * random.real());
    for (int i = 0; i < (slow ? 20000 : 200000); ++i) values.push_back(5.0f * random.real());
    for (float near : {0.625f, 88.72283f, 87.33654f, 103.97f, 89.0f, 0.34657359f, 1.0f}) {
      for (uint32_t i = 0; i < 4000; ++i) {
        values.push_back(float_of(bits_of(near) - 2000 + i));
        values.push_back(-values.back());
      }
    }
    return values;
  }();
  return all;
}

struct Worst {
  double ulp = 0;
  float at = 0;
  void see(float x, float got, double want) {
    const double error = ulps(got, want);
    if (error > ulp) {
      ulp = error;
      at = x;
    }
  }
};

bool same_sign(float a, float b) { return std::signbit(a) == std::signbit(b); }

}  // namespace

// What kernels/elementary.h claims beside each function.
ONCE(exp_log) {
  struct Class {
    const char* name;
    Probe exp, log;
    bool here;
  };
  bool fma = false;
  for (const std::string& isa : supported_isas()) fma = fma || choose_isa(isa).table->has_fma;
  const Class classes[] = {{"without-fma", exp_without_fma, log_without_fma, true},
                           {"with-fma", exp_with_fma, log_with_fma, fma}};
  for (const Class& c : classes) {
    if (!c.here || !begin(c.name)) continue;
    const std::vector<float>& x = sweep();
    std::vector<float> y(x.size());
    c.exp(x.data(), y.data(), x.size());
    Worst worst;
    bool zero_below = true, infinite_above = true, nan = true;
    for (size_t i = 0; i < x.size(); ++i) {
      if (std::isnan(x[i])) {
        nan = nan && std::isnan(y[i]);
        continue;
      }
      if (x[i] < -104) zero_below = zero_below && bits_of(y[i]) == 0;
      if (x[i] > 89) infinite_above = infinite_above && y[i] == infinity;
      worst.see(x[i], y[i], std::exp(static_cast<double>(x[i])));
    }
    check(worst.ulp <= 2, "exp is off by %.3f ulp at %a", worst.ulp, static_cast<double>(worst.at));
    check(zero_below && infinite_above && nan, "exp is 0 below -104, infinity above 89, NaN for NaN");
    note("exp %s: at most %.3f ulp, at %.9g", c.name, worst.ulp, static_cast<double>(worst.at));

    std::vector<float> positive;
    for (float v : x) {
      if (v > 0 && v <= 3.40282347e38f) positive.push_back(v);
    }
    y.resize(positive.size());
    c.log(positive.data(), y.data(), positive.size());
    Worst above, below;
    for (size_t i = 0; i < positive.size(); ++i) {
      (positive[i] >= 1 ? above : below).see(positive[i], y[i], std::log(static_cast<double>(positive[i])));
    }
    check(above.ulp <= 1, "log is off by %.3f ulp at %a", above.ulp, static_cast<double>(above.at));
    check(below.ulp <= 1, "log is off by %.3f ulp at %a", below.ulp, static_cast<double>(below.at));
    note("log %s: at most %.3f ulp from 1 on, at %.9g; %.3f below, at %.9g", c.name, above.ulp,
         static_cast<double>(above.at), below.ulp, static_cast<double>(below.at));
    const float special[] = {infinity, quiet_nan, 1.0f, 0.0f, -0.0f, -1e-45f, -2.0f, -infinity};
    float logs[8];
    c.log(special, logs, 8);
    check(logs[0] == infinity && std::isnan(logs[1]) && bits_of(logs[2]) == 0, "log of infinity, NaN and 1");
    check(logs[3] == -infinity && logs[4] == -infinity, "log of zeros is -infinity");
    check(std::isnan(logs[5]) && std::isnan(logs[6]) && std::isnan(logs[7]), "log below zero is NaN");
  }
}

PER_TIER(activate) {
  const std::vector<float>& x = sweep();
  std::vector<float> y(x.size());
  if (begin("relu")) {
    t.activate(unary(Activation::relu), x.size(), x.data(), y.data());
    std::vector<float> want = x;
    for (float& v : want) v = naive_relu(v);
    check_same(y.data(), want.data(), y.size(), "relu", true);  // NaN and -0 stay what they are
  }
  if (begin("none")) {
    t.activate(unary(Activation::none), x.size(), x.data(), y.data());
    check_same(y.data(), x.data(), y.size(), "copy", true);
  }
  if (begin("tanh")) {
    t.activate(unary(Activation::tanh), x.size(), x.data(), y.data());
    Worst worst;
    bool signs = true, within = true, nan = true;
    for (size_t i = 0; i < x.size(); ++i) {
      worst.see(x[i], y[i], std::tanh(static_cast<double>(x[i])));
      if (std::isnan(x[i])) {
        nan = nan && std::isnan(y[i]);
        continue;
      }
      signs = signs && same_sign(x[i], y[i]);
      within = within && std::fabs(y[i]) <= 1;
    }
    check(worst.ulp <= 3, "off by %.3f ulp at %a", worst.ulp, static_cast<double>(worst.at));
    check(signs && within && nan, "tanh keeps signs (of zeros too) and NaN, and never passes 1");
    note("tanh: at most %.3f ulp, at %.9g", worst.ulp, static_cast<double>(worst.at));
  }
  if (begin("sigmoid")) {
    t.activate(unary(Activation::sigmoid), x.size(), x.data(), y.data());
    Worst worst;
    bool vanishes = true, within = true, nan = true;
    for (size_t i = 0; i < x.size(); ++i) {
      if (std::isnan(x[i])) {
        nan = nan && std::isnan(y[i]);
        continue;
      }
      within = within && y[i] >= 0 && y[i] <= 1;
      // e^-x has left the range of a float: 0, as PyTorch's, where the function is still 3e-39
      if (x[i] <= -88.7228394f) vanishes = vanishes && bits_of(y[i]) == 0;
      else worst.see(x[i], y[i], 1 / (1 + std::exp(-static_cast<double>(x[i]))));
    }
    check(worst.ulp <= 3, "off by %.3f ulp at %a", worst.ulp, static_cast<double>(worst.at));
    check(vanishes && within && nan, "sigmoid is 0 where e^-x is infinite, keeps NaN and stays in [0, 1]");
    note("sigmoid: at most %.3f ulp, at %.9g", worst.ulp, static_cast<double>(worst.at));
    // the probed exp is the tier's
    std::vector<float> e(x);
    for (float& v : e) v = 0.0f - v;
    (t.has_fma ? exp_with_fma : exp_without_fma)(e.data(), e.data(), e.size());
    for (float& v : e) v = 1.0f / (1.0f + v);
    check_same(y.data(), e.data(), y.size(), "sigmoid is 1 / (1 + the probed exp)");
  }
  for (size_t n : {size_t{0}, size_t{1}, size_t{3}, size_t{7}, size_t{8}, size_t{15}, size_t{16}, size_t{17},
                   size_t{63}, size_t{64}, size_t{65}, size_t{127}}) {
    for (int i = 0; i < activation_count; ++i) {
      const Unary f = unary(static_cast<Activation>(i));
      const std::string name = "n" + std::to_string(n) + "f" + std::to_string(i);
      if (!begin(name)) continue;
      Random random(name);
      const std::vector<float> src = random_floats(random, n);
      std::vector<float> want(n);
      for (size_t i = 0; i < n; ++i) t.activate(f, 1, &src[i], &want[i]);
      for (Place place : all_places) {
        const Guarded in(src, place), out(n, place), both(n, place);
        t.activate(f, n, in.data(), out.data());
        check_same(out.data(), want.data(), n, "n at once as one by one");
        std::copy(src.begin(), src.end(), both.data());
        t.activate(f, n, both.data(), both.data());
        check_same(both.data(), want.data(), n, "in place");
        check(out.canaries() && both.canaries(), "writes to dst alone");
      }
    }
  }
}

// The others: `allowed` ulp of the result, or of `slack(x)` where terms cancel.
PER_TIER(functions) {
  struct Case {
    Unary f;
    double allowed;
    double (*slack)(double x);
    bool (*skip)(double x);  // where the definition in double is another
  };
  const auto none = [](double) { return 0.0; };
  const auto never = [](double) { return false; };
  const Case cases[] = {
      {{Activation::leaky_relu, 0.01f, 0}, 0.5, none, never},
      {{Activation::leaky_relu, -3.0f, 0}, 0.5, none, never},
      {{Activation::elu, 1.0f, 1.0f}, 3, none, never},
      {{Activation::elu, 1.67326324f, 1.05070098f}, 4, none, never},
      // e^-x overflows: -0, as PyTorch's, where the function is still 3e-37
      {{Activation::silu, 0, 0}, 3.5, none, [](double x) { return x < -88.72 && x > -infinity; }},
      // x + 3 cancels at -3, in PyTorch and ONNX too
      {{Activation::hardswish, 0, 0}, 2, [](double x) { return std::fabs(x) < 4 ? 1.0 : 0.0; }, never},
      {{Activation::hardsigmoid, 0.2f, 0.5f}, 1, [](double) { return 1.0; }, never},
      {{Activation::hardsigmoid, 1 / 6.0f, 0.5f}, 1, [](double) { return 1.0; }, never},
      {{Activation::clip, 0.0f, 6.0f}, 0, none, never},
      {{Activation::clip, -infinity, 0.5f}, 0, none, never},
      // erfc by Abramowitz and Stegun: 0.75e-7 |x| and roundings
      {{Activation::gelu, 0, 0}, 2.5, [](double x) { return std::fabs(x); }, never},
      {{Activation::exp, 0, 0}, 2, none, never},
      {{Activation::log, 0, 0}, 1, none, never},
      {{Activation::abs, 0, 0}, 0, none, never},
      // b x rounds once and so does a times what tanh gives
      {{Activation::scaled_tanh, 1.7159f, 2 / 3.0f}, 5, none, never},
      {{Activation::scaled_tanh, -2.0f, 1.0f}, 3, none, never},
      {{Activation::erf, 0, 0}, 3.5, none, never},
      // what is taken e to is rounded, and as large as x^3
      {{Activation::gelu_tanh, 0, 0}, 3, [](double x) { return std::fabs(x); }, never},
      {{Activation::softplus, 1.0f, 20.0f}, 4, none, never},
      {{Activation::softplus, 0.5f, 3.0f}, 4, none, never},
      // (below -87 its tanh is subnormal)
      {{Activation::mish, 0, 0}, 5, [](double x) { return x < -80 ? 1e-36 : 0.0; }, never},
      {{Activation::softsign, 0, 0}, 1.5, none, never},
      {{Activation::threshold, 1.0f, -2.0f}, 0, none, never},
      {{Activation::shrink, 0.5f, 0.5f}, 0.5, none, never},
      {{Activation::pow, 2.0f, 0}, 0.5, none, never},
      {{Activation::pow, 0.0f, 0}, 0, none, never},
      // a ln x, at most 89, is rounded before its exponential is taken
      {{Activation::pow, 0.5f, 0}, 0.5, none, never},
      {{Activation::pow, 3.0f, 0}, 1.5, none, never},
      {{Activation::pow, -1.0f, 0}, 0.5, none, never},
      {{Activation::pow, -2.0f, 0}, 2, none, never},
      {{Activation::pow, -0.75f, 0}, 130, none, never},
      {{Activation::pow, 5.0f, 0}, 145, none, never},
      {{Activation::pow, -7.0f, 0}, 130, none, never},
  };
  for (const Case& c : cases) {
    const std::string name = activation_name(c.f.f) + std::string("a") + std::to_string(c.f.a);
    if (!begin(name)) continue;
    const std::vector<float>& x = sweep();
    std::vector<float> y(x.size());
    t.activate(c.f, x.size(), x.data(), y.data());
    Worst worst;
    for (size_t i = 0; i < x.size(); ++i) {
      const double want = naive_activation(c.f, x[i]);
      if (c.skip(x[i])) {
        check(std::fabs(y[i]) < 1e-36, "vanishes at %g", static_cast<double>(x[i]));
        continue;
      }
      double error = ulps(y[i], want);
      const double slack = c.slack(x[i]);
      if (error > 0 && slack > 0) error = std::fmin(error, std::fabs(y[i] - want) / (slack * 0x1p-23));
      if (error > worst.ulp) worst = {error, x[i]};
    }
    check(worst.ulp <= c.allowed, "off by %.3f ulp at %.9g", worst.ulp, static_cast<double>(worst.at));
    note("%s: at most %.3f ulp, at %.9g", name.c_str(), worst.ulp, static_cast<double>(worst.at));
  }
  if (begin("special")) {
    const auto at = [&](Unary f, float x) {
      t.activate(f, 1, &x, &x);
      return x;
    };
    for (int i = 0; i < activation_count; ++i) {
      check(std::isnan(at(unary(static_cast<Activation>(i)), quiet_nan)), "function %d keeps NaN", i);
    }
    for (Activation f : {Activation::leaky_relu, Activation::elu, Activation::silu, Activation::hardswish,
                         Activation::gelu, Activation::scaled_tanh, Activation::erf, Activation::gelu_tanh,
                         Activation::mish, Activation::softsign}) {
      check(bits_of(at(unary(f), -0.0f)) == bits_of(-0.0f), "function %d keeps -0", static_cast<int>(f));
    }
    check(bits_of(at({Activation::clip, 0.0f, 6.0f}, -0.0f)) == bits_of(-0.0f), "clamp keeps -0");
    check(at({Activation::clip, 2.0f, 1.0f}, 5.0f) == 1.0f, "clamp with min above max is max, as PyTorch's");
    check(std::isnan(at(unary(Activation::silu), -infinity)), "silu of -infinity is NaN, as PyTorch's");
    check(at(unary(Activation::elu), -infinity) == -1.67326324f * 1.05070098f, "elu ends at -alpha");
    check(std::isnan(at({Activation::pow, 0.5f, 0}, -1.0f)) && at({Activation::pow, 3.0f, 0}, -1.0f) == -1.0f,
          "powers of negative numbers");
    check(bits_of(at({Activation::pow, 0.5f, 0}, -0.0f)) == bits_of(-0.0f), "the square root of -0 is -0");
    check(std::isnan(at({Activation::pow, 0.5f, 0}, -infinity)), "the square root of -infinity is NaN");
    const float most = 3.40282347e38f, least = 1.40129846e-45f;
    const float bases[] = {0.0f, 1.0f, 2.0f, 0.75f, 1.17549435e-38f, least, most, infinity};
    const float exponents[] = {0.0f,   1.0f,       -1.0f,        2.0f,        -2.0f,    3.0f,
                               -3.0f,  4.0f,       5.0f,         -5.0f,       0.25f,    -0.5f,
                               1.5f,   -2.5f,      99.0f,        8388609.0f,  1.6e9f,   -3e9f,
                               1e-30f, 8388608.0f, -16777215.0f, 16777216.0f, infinity, -infinity};
    for (float base : bases) {
      for (const float x : {base, -base}) {
        for (float a : exponents) {
          const float want = static_cast<float>(std::pow(static_cast<double>(x), static_cast<double>(a)));
          const float y = at({Activation::pow, a, 0}, x);
          const bool same = std::isnan(want)                ? std::isnan(y)
                            : want == 0 || std::isinf(want) ? bits_of(y) == bits_of(want)
                                                            : std::fabs(y / want - 1) < 3e-5f;
          check(same, "%g to the power of %g: %g instead of %g", static_cast<double>(x),
                static_cast<double>(a), static_cast<double>(y), static_cast<double>(want));
        }
      }
    }
    check(at({Activation::pow, 0.75f, 0}, 0.0f) == 0 && at({Activation::pow, -0.75f, 0}, 0.0f) == infinity,
          "powers of zero");
  }
}

// Pixels to floats: one muladd each, of a number that a float holds exactly.
PER_TIER(from_bytes) {
  for (size_t n : {size_t{0}, size_t{1}, size_t{3}, size_t{4}, size_t{5}, size_t{7}, size_t{8}, size_t{15},
                   size_t{16}, size_t{17}, size_t{31}, size_t{33}, size_t{784}}) {
    const std::string name = "n" + std::to_string(n);
    if (!begin(name)) continue;
    Random random(name);
    std::vector<uint8_t> bytes = random_bytes(random, n);
    for (size_t i = 0; n > 255 && i < 256; ++i) bytes[i] = static_cast<uint8_t>(i);
    for (const float scale : {1.0f, 1.0f / 255, -0.0123f}) {
      for (const float shift : {0.0f, -0.1307f / 0.3081f}) {
        std::vector<float> want;
        for (uint8_t x : bytes)
          want.push_back(t.has_fma ? std::fma(float(x), scale, shift) : float(x) * scale + shift);
        for (Place place : all_places) {
          const GuardedBytes src(bytes, place);
          const Guarded dst(n, place);
          t.from_bytes(n, src.data(), scale, shift, dst.data());
          check(dst.canaries(), "writes to dst alone");
          check_same(dst.data(), want.data(), n, "from_bytes");
        }
      }
    }
  }
}

// The loops that measure the roof do what they say.
PER_TIER(peak) {
  if (!begin("counts")) return;
  check(t.muladds(10) > 0 && t.muladds(20) == 2 * t.muladds(10), "muladds counts its work by rounds");
  for (size_t n : {size_t{0}, size_t{1}, size_t{100}, size_t{128}, size_t{1000}}) {
    const Guarded data(std::vector<float>(n, 1.0f), Place::ends_at_page);
    check(t.read(n, data.data()) <= n, "read stays within its %zu floats", n);
  }
}

static void test_softmax(const KernelTable& t, SoftmaxArgs s, float scale, bool with_infinities) {
  const std::string name = "o" + std::to_string(s.outer) + "n" + std::to_string(s.n) + "i" +
                           std::to_string(s.inner) + "x" + std::to_string(static_cast<int>(scale)) +
                           (with_infinities ? "inf" : "");
  if (!begin(name)) return;
  Random random(name);
  std::vector<float> src = random_floats(random, static_cast<size_t>(s.outer) * s.n * s.inner);
  for (float& x : src) {
    x *= scale;
    if (with_infinities && random.chance(20)) x = -infinity;
  }
  // one number at least a row
  for (int o = 0; o < s.outer; ++o) {
    for (int j = 0; j < s.inner; ++j) src[static_cast<size_t>(o) * s.n * s.inner + j] = scale * random.real();
  }
  for (bool log : {false, true}) {
    s.log = log;
    const char* const what = log ? "log_softmax" : "softmax";
    std::vector<double> want(src.size()), bound(src.size());
    naive_softmax(s, src.data(), want.data(), bound.data());
    for (Place place : all_places) {
      const Guarded in(src, place), out(src.size(), place);
      t.softmax(s, in.data(), out.data());
      check(out.canaries(), "writes to dst alone");
      double worst = 0;
      for (size_t i = 0; i < out.size(); ++i) {
        const double error = out[i] == want[i] ? 0 : std::fabs(out[i] - want[i]) / bound[i];
        worst = std::isnan(error) ? HUGE_VAL : std::max(worst, error);
      }
      check(worst <= 1, "%s: off by %.2f bounds", what, worst);
      // one dimension inwards or outwards, a row alone: the same bits
      SoftmaxArgs row = s;
      row.outer = row.inner = 1;
      std::vector<float> alone(static_cast<size_t>(s.n)), got(alone), dst(alone);
      bool same = true;
      for (int o = 0; o < s.outer; ++o) {
        for (int j = 0; j < s.inner; ++j) {
          for (int i = 0; i < s.n; ++i) {
            const size_t at = (static_cast<size_t>(o) * s.n + i) * s.inner + j;
            alone[i] = src[at];
            got[i] = out[at];
          }
          t.softmax(row, alone.data(), dst.data());
          same = same && difference(got.data(), dst.data(), got.size()) == got.size();
        }
      }
      check(same, "%s: the bits of each row alone", what);
    }
  }
}

PER_TIER(softmax) {
  for (int outer : {1, 3, t.lanes + 3}) {  // rows side by side, and three
    for (int n : {1, 2, 3, 7, 10, 15, 16, 17, 33, 100}) {
      for (int inner : {1, 2, t.lanes - 1, t.lanes, t.lanes + 1, 2 * t.lanes + 3}) {
        if (inner < 1) continue;
        const SoftmaxArgs s = {outer, n, inner, false};
        test_softmax(t, s, 1, false);
        test_softmax(t, s, 20, n % 3 == 0);
        test_softmax(t, s, 90, n % 3 == 1);
      }
    }
  }
  if (begin("probed log")) {
    // log_softmax of (0, -y) is -log(1 + e^-y) in front
    std::vector<float> y = {0.0f, 0.5f, 1.0f, 2.0f, 5.0f, 20.0f};
    for (float v : y) {
      const float src[] = {0.0f, -v};
      float dst[2], sum = src[1];
      t.softmax({1, 2, 1, true}, src, dst);
      (t.has_fma ? exp_with_fma : exp_without_fma)(&sum, &sum, 1);
      sum = 1.0f + sum;
      (t.has_fma ? log_with_fma : log_without_fma)(&sum, &sum, 1);
      check(dst[0] == 0.0f - sum && dst[1] == src[1] - sum, "log_softmax is x - max - the probed log, at %g",
            static_cast<double>(v));
    }
  }
}

}  // namespace test
}  // namespace kernelet
