#include "exact.h"

#include <cmath>
#include <cstdint>
#include <limits>

namespace kernelet {
namespace {

constexpr double half_pi = 1.5707963267948966, infinity = std::numeric_limits<double>::infinity();
constexpr double none = std::numeric_limits<double>::quiet_NaN();

// x - k pi / 2, at most pi / 4 from 0, and k mod 4.
struct Angle {
  double x;
  int quadrant;
};

// Of a float from 2^25 on, 24 bits times 2^e: those 128 bits of 2 / pi that are not whole turns, times the 24.
Angle far_angle(double x) {
  static constexpr uint32_t two_over_pi[] = {0xa2f9836e, 0x4e441529, 0xfc2757d1, 0xf534ddc0,
                                             0xdb629599, 0x3c439041, 0xfe5163ab, 0xdebbc561};
  int exponent;
  const uint64_t m = static_cast<uint64_t>(std::ldexp(std::frexp(std::fabs(x), &exponent), 24));
  const int first = exponent - 26, word = first / 32, bit = first % 32;
  const auto word_at = [&](int i) {
    const uint64_t both = static_cast<uint64_t>(two_over_pi[word + i]) << 32 | two_over_pi[word + i + 1];
    return both << bit >> 32;
  };
  const uint64_t a = m * word_at(3), b = m * word_at(2) + (a >> 32), c = m * word_at(1) + (b >> 32);
  const uint64_t high = (m * word_at(0) + (c >> 32)) << 32 | (c & 0xffffffff);
  const uint64_t low = b << 32 | (a & 0xffffffff);
  // the upper two bits are quarters of a turn, the rest is a part of one
  const int64_t part = static_cast<int64_t>(high << 2 | low >> 62);
  const int quadrant = static_cast<int>(high >> 62) + (part < 0 ? 1 : 0);
  const double y = (static_cast<double>(part) + static_cast<double>(low << 2) * 0x1p-64) * 0x1p-64 * half_pi;
  return x < 0 ? Angle{-y, -quadrant & 3} : Angle{y, quadrant & 3};
}

Angle angle_of(double x) {
  if (std::fabs(x) >= 0x1p25) return far_angle(x);
  const double k = std::nearbyint(x / half_pi);
  // pi / 2 in three parts, of which k times the first two is exact
  const double y = x - k * 0x1.921fb54p+0 - k * 0x1.10b461p-30 - k * 0x1.a62633145c06ep-58;
  return {y, static_cast<int>(k) & 3};
}

// sin (0) or cos (1) by their series.
double wave(double x, int quarter) {
  if (!(std::fabs(x) < infinity)) return none;
  const Angle angle = angle_of(x);
  const int quadrant = (angle.quadrant + quarter) & 3;
  const double z = angle.x * angle.x;
  const int even = quadrant & 1;  // a cosine
  double sum = 1;
  for (int n = 14; n > 1; n -= 2) sum = 1 - sum * z / (even ? (n - 1) * n : n * (n + 1));
  const double y = even ? sum : angle.x * sum;
  return quadrant & 2 ? -y : y;
}

// e^x - 1 by its series, near 0.
double exp_less_1(double x) {
  double sum = 1;
  for (int n = 20; n > 1; --n) sum = 1 + sum * x / n;
  return x * sum;
}

double exponential(double x) {
  if (!(std::fabs(x) < 700)) return x > 0 ? infinity : x < 0 ? 0 : x;
  const double n = std::nearbyint(x * 1.4426950408889634);
  return std::ldexp(1 + exp_less_1(x - n * 0.6931471805599453), static_cast<int>(n));
}

// ln(1 + x): of 1 + x by the series of atanh, and what rounding that loses.
double log_of_1_and(double x) {
  const double sum = 1 + x;
  if (!(sum > 0)) return sum == 0 ? -infinity : none;
  if (sum == infinity || sum == 1) return x;
  int exponent;
  double m = std::frexp(sum, &exponent);
  if (m < 0.7071067811865476) {
    m *= 2;
    --exponent;
  }
  const double s = (m - 1) / (m + 1), z = s * s;
  double series = 0;
  for (int n = 21; n > 0; n -= 2) series = series * z + 1.0 / n;
  return (2 * s * series + exponent * 0.6931471805599453) * (x / (sum - 1));
}

double arc_tangent(double x) {
  const double size = std::fabs(x);
  if (size > 1) return x > 0 ? half_pi - arc_tangent(1 / x) : -half_pi - arc_tangent(1 / x);
  const bool turned = size > 0.4142135623730951;
  const double t = turned ? (size - 1) / (size + 1) : size, z = t * t;
  double sum = 0;
  for (int n = 37; n > 0; n -= 2) sum = 1.0 / n - sum * z;
  const double y = turned ? half_pi / 2 + t * sum : t * sum;
  return std::copysign(y, x);
}

double hyperbolic_sine(double x) {
  if (std::fabs(x) < 1) return (exp_less_1(x) - exp_less_1(-x)) / 2;
  return (exponential(x) - exponential(-x)) / 2;
}

double hyperbolic_cosine(double x) { return (exponential(x) + exponential(-x)) / 2; }

double area_sine(double x) {
  const double size = std::fabs(x), square = size * size;
  if (size == infinity) return x;
  return std::copysign(log_of_1_and(size + square / (1 + std::sqrt(square + 1))), x);
}

double area_cosine(double x) {
  const double t = x - 1;
  return x < 1 ? none : x == infinity ? x : log_of_1_and(t + std::sqrt(t * (t + 2)));
}

double area_tangent(double x) {
  const double size = std::fabs(x);
  return size > 1 ? none : std::copysign(log_of_1_and(2 * size / (1 - size)) / 2, x);
}

}  // namespace

double exact_function(Op op, double x) {
  if (op == Op::is_nan) return std::isnan(x) ? 1 : 0;
  if (op == Op::logical_not) return x == 0 ? 1 : 0;
  if (std::isnan(x)) return x;
  switch (op) {
    case Op::floor: return std::floor(x);
    case Op::ceil: return std::ceil(x);
    case Op::round: return std::nearbyint(x);
    case Op::sign: return x > 0 ? 1 : x < 0 ? -1 : x;
    case Op::sin: return x == 0 ? x : wave(x, 0);
    case Op::cos: return wave(x, 1);
    case Op::tan: return x == 0 ? x : wave(x, 0) / wave(x, 1);
    case Op::asin: return arc_tangent(x / std::sqrt((1 - x) * (1 + x)));
    case Op::acos: return 2 * arc_tangent(std::sqrt((1 - x) / (1 + x)));
    case Op::atan: return arc_tangent(x);
    case Op::sinh: return hyperbolic_sine(x);
    case Op::cosh: return hyperbolic_cosine(x);
    case Op::asinh: return area_sine(x);
    case Op::acosh: return area_cosine(x);
    case Op::atanh: return area_tangent(x);
    default: return x;
  }
}

double exact_slope(Op op, double x) {
  switch (op) {
    case Op::sin: return wave(x, 1);
    case Op::cos: return -wave(x, 0);
    case Op::tan: {
      const double y = wave(x, 1);
      return 1 / (y * y);
    }
    case Op::asin: return 1 / std::sqrt((1 - x) * (1 + x));
    case Op::acos: return -1 / std::sqrt((1 - x) * (1 + x));
    case Op::atan: return 1 / (1 + x * x);
    case Op::sinh: return hyperbolic_cosine(x);
    case Op::cosh: return hyperbolic_sine(x);
    case Op::asinh: return 1 / std::sqrt(x * x + 1);
    case Op::acosh: return 1 / std::sqrt((x - 1) * (x + 1));
    case Op::atanh: return 1 / ((1 - x) * (1 + x));
    default: return 0;
  }
}

}  // namespace kernelet
