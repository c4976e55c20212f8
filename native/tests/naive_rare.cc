// The twins of what few networks have: functions of one number, choices, folds along an axis.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "naive.h"
#include "ops/exact.h"

namespace kernelet {
namespace test {
namespace {

float of_two(Op op, float a, float b) {
  const bool nan = std::isnan(a) || std::isnan(b);
  switch (op) {
    case Op::maximum: return nan ? NAN : std::fmax(a, b);
    case Op::minimum: return nan ? NAN : std::fmin(a, b);
    case Op::less: return a < b;
    case Op::less_equal: return a <= b;
    case Op::equal: return a == b;
    case Op::logical_and: return a != 0 && b != 0;
    case Op::logical_or: return a != 0 || b != 0;
    case Op::logical_xor: return (a != 0) != (b != 0);
    default: break;
  }
  const float rest = std::fmod(a, b);
  const bool turned = op == Op::remainder && rest != 0 && std::signbit(rest) != std::signbit(b);
  return turned ? rest + b : rest;
}

}  // namespace

bool naive_choice(const Node& node, const std::vector<float>& operands, float& result) {
  if (node.op == Op::where) result = operands[0] != 0 ? operands[1] : operands[2];
  else if (node.op >= Op::maximum && node.op <= Op::fmod) result = of_two(node.op, operands[0], operands[1]);
  else return false;
  return true;
}

bool naive_exact(const Node& node, const std::vector<float>& src, std::vector<float>& dst) {
  if (node.op < Op::floor || node.op > Op::logical_not) return false;
  dst.clear();
  for (float x : src) {
    const bool wanted = (x > 0 ? node.alpha : node.beta) != 0;
    dst.push_back(node.op == Op::is_inf
                      ? std::isinf(x) && wanted
                      : static_cast<float>(exact_function(node.op, static_cast<double>(x))));
  }
  return true;
}

bool naive_fold(const Node& node, const Shape& in, const std::vector<float>& src, std::vector<float>& dst) {
  if (node.op < Op::prod || node.op > Op::sort) return false;
  size_t inner = 1;
  for (int d = node.axis + 1; d < in.rank; ++d) inner *= static_cast<size_t>(in.dims[d]);
  const size_t n = static_cast<size_t>(in.dims[node.axis]);
  dst.clear();
  for (size_t at = 0; at < src.size(); ++at) {
    const size_t k = at / inner % n, first = at - k * inner;
    const auto x = [&](size_t i) { return src[first + i * inner]; };
    float result = node.op == Op::prod ? 1.0f : 0.0f;
    if (node.op == Op::cum_sum) {
      // up to k from the start, or from the end; with it, or without
      for (size_t i = 0; i < n; ++i) {
        const size_t from = node.beta != 0 ? n - 1 - i : i;
        if (from == k && node.alpha != 0) break;
        result = result + x(from);
        if (from == k) break;
      }
      dst.push_back(result);
      continue;
    }
    if (node.op == Op::sort) {
      if (k > 0) continue;
      const auto precedes = [&](size_t a, size_t b) {
        if (std::isnan(x(a)) || std::isnan(x(b)))
          return !(std::isnan(x(a)) && std::isnan(x(b))) && std::isnan(x(a)) == (node.alpha != 0);
        return x(a) != x(b) && (x(a) > x(b)) == (node.alpha != 0);
      };
      std::vector<size_t> places(n);
      std::iota(places.begin(), places.end(), size_t{0});
      std::stable_sort(places.begin(), places.end(), precedes);
      const size_t kept = static_cast<size_t>(node.shape.dims[node.axis]);
      dst.resize(src.size() / n * kept);
      const size_t to = first / (n * inner) * kept * inner + first % inner;
      for (size_t i = 0; i < kept; ++i) {
        dst[to + i * inner] = node.beta != 0 ? static_cast<float>(places[i]) : x(places[i]);
      }
      continue;
    }
    if (k > 0) continue;
    size_t best = 0;
    for (size_t i = 0; i < n; ++i) {
      if (node.op == Op::prod) {
        result = result * x(i);
        continue;
      }
      if (std::isnan(x(best))) continue;
      const float sign = node.op == Op::arg_max ? 1.0f : -1.0f;
      if (std::isnan(x(i)) || sign * x(i) > sign * x(best) || (node.alpha != 0 && x(i) == x(best))) best = i;
    }
    dst.push_back(node.op == Op::prod ? result : static_cast<float>(best));
  }
  return true;
}

}  // namespace test
}  // namespace kernelet
