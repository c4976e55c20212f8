// Functions of one number in double, against the C library's.
#include <cmath>

#include "check.h"
#include "data.h"
#include "naive.h"
#include "ops/exact.h"

namespace kernelet {
namespace test {
namespace {

// Floats of all sizes, both signs; many near 0 and 1.
std::vector<float> floats() {
  Random random("exact");
  std::vector<float> all = {0.0f, -0.0f, 1.0f,  -1.0f,    0.5f,      -0.5f,
                            1.5f, 2.5f,  -2.5f, INFINITY, -INFINITY, NAN};
  for (int i = 0; i < 20000; ++i) {
    const float x = random.real();
    all.push_back(x);
    all.push_back(x * 10);
    all.push_back(1 + x * 1e-3f);
    all.push_back(std::ldexp(x, random.range(-60, 127)));
  }
  return all;
}

}  // namespace

// A float each: the nearest but for a hundredth of an ulp. Slopes against differences.
ONCE(exact_functions) {
  struct Case {
    Op op;
    double (*want)(double);
  };
  const Case cases[] = {{Op::sin, std::sin},     {Op::cos, std::cos},        {Op::tan, std::tan},
                        {Op::asin, std::asin},   {Op::acos, std::acos},      {Op::atan, std::atan},
                        {Op::sinh, std::sinh},   {Op::cosh, std::cosh},      {Op::asinh, std::asinh},
                        {Op::acosh, std::acosh}, {Op::atanh, std::atanh},    {Op::floor, std::floor},
                        {Op::ceil, std::ceil},   {Op::round, std::nearbyint}};
  for (const Case& c : cases) {
    if (!begin(op_name(c.op))) continue;
    double worst = 0;
    float where = 0;
    for (float x : floats()) {
      const double at = static_cast<double>(x);
      const double error = ulps(static_cast<float>(exact_function(c.op, at)), c.want(at));
      if (!(error <= worst)) {
        worst = error;
        where = x;
      }
      const double h = 1e-5, slope = (c.want(at + h) - c.want(at - h)) / (2 * h);
      const bool steps = c.op == Op::floor || c.op == Op::ceil || c.op == Op::round;
      if (steps || !(std::fabs(at) < 30) || !(std::fabs(slope) < 10)) continue;
      check(std::fabs(slope - exact_slope(c.op, at)) < 1e-4, "slope at %g: %g, by differences %g", at,
            exact_slope(c.op, at), slope);
    }
    check(worst <= 0.51, "off by %.3f ulp at %.9g", worst, static_cast<double>(where));
    note("%s: at most %.3f ulp, at %.9g", op_name(c.op), worst, static_cast<double>(where));
  }
}

}  // namespace test
}  // namespace kernelet
