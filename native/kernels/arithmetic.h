// Element by element: two values with broadcasting, and pixels as bytes -> floats.
#pragma once

#include "gemm.h"

namespace kernelet {
namespace KERNELET_ISA {
namespace {

// dst = a + b
void add(size_t n, const float* a, const float* b, float* dst) {
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) F32::store(dst + i, F32::add(F32::load(a + i), F32::load(b + i)));
  const int rest = static_cast<int>(n - i);
  if (rest > 0) {
    F32::store_first(dst + i, F32::add(F32::load_first(a + i, rest), F32::load_first(b + i, rest)), rest);
  }
}

KERNELET_INLINE reg combined(Binary f, reg x, reg y, reg z) {
  switch (f) {
    case Binary::add: return F32::add(x, y);
    case Binary::sub: return F32::sub(x, y);
    case Binary::mul: return F32::mul(x, y);
    case Binary::div: return F32::div(x, y);
    case Binary::prelu: return F32::select_gt(x, F32::zero(), x, F32::mul(x, y));
    case Binary::affine: break;
  }
  return F32::muladd(x, y, z);
}

// Affine has a loop of its own, with three operands; the others choose by register.
template <bool Affine>
void binary_rows(const BinaryArgs& s, const float* a, const float* b, const float* c, float* dst) {
  const Binary f = Affine ? Binary::affine : s.f;
  int last = s.rank - 1;
  size_t n = s.dims[last];
  // a register of numbers, one a channel of a block, is the same for all pixels of the block
  const bool by_lane = last > 0 && n == lanes && s.b[last] == 1 && s.b[last - 1] == 0 && s.a[last] == 1 &&
                       s.a[last - 1] == lanes;
  if (by_lane) n *= s.dims[--last];
  const bool a_moves = s.a[last] != 0, b_moves = s.b[last] != 0, simple = is_simple(s.after);
  const reg floor = floor_of(simple ? s.after : Unary());
  size_t row[BinaryArgs::max_rank] = {};
  for (;;) {
    const reg a0 = F32::splat(*a), b0 = by_lane ? F32::load(b) : F32::splat(*b);
    const reg c0 = by_lane ? F32::load(c) : F32::splat(*c);
    size_t i = 0;
    for (; i + lanes <= n; i += lanes) {
      const reg x = a_moves ? F32::load(a + i) : a0, y = b_moves ? F32::load(b + i) : b0;
      const reg z = Affine && b_moves ? F32::load(c + i) : c0;
      F32::store(dst + i, F32::max(floor, combined(f, x, y, z)));
    }
    const int rest = static_cast<int>(n - i);
    if (rest > 0) {
      const reg x = a_moves ? F32::load_first(a + i, rest) : a0;
      const reg y = b_moves ? F32::load_first(b + i, rest) : b0;
      const reg z = Affine && b_moves ? F32::load_first(c + i, rest) : c0;
      F32::store_first(dst + i, F32::max(floor, combined(f, x, y, z)), rest);
    }
    if (!simple) activate_in_place(s.after, n, dst);
    dst += n;
    int d = last - 1;
    for (; d >= 0; --d) {
      a += s.a[d];
      b += s.b[d];
      c += s.b[d];
      if (++row[d] < s.dims[d]) break;
      row[d] = 0;
      a -= s.a[d] * s.dims[d];
      b -= s.b[d] * s.dims[d];
      c -= s.b[d] * s.dims[d];
    }
    if (d < 0) return;
  }
}

// dst may be a, or b, where that has all of dst's elements.
void binary(const BinaryArgs& s, const float* a, const float* b, const float* c, float* dst) {
  (s.f == Binary::affine ? binary_rows<true> : binary_rows<false>)(s, a, b, c, dst);
}

// A NaN or an infinity shows in the sum of squares. Some are counted twice, at the ends: what lies between is read
// by whole cache lines, wherever an array of JavaScript begins.
bool is_bounded(size_t n, const float* src) {
  const auto and_square = [](reg sum, reg x) { return F32::muladd(x, x, sum); };
  reg a = F32::zero(), b = a, c = a, d = a;
  if (n < static_cast<size_t>(lanes)) {
    a = and_square(a, F32::load_first(src, static_cast<int>(n)));
  } else {
    const float* const last = src + n - lanes;
    a = and_square(a, F32::load(src));
    b = and_square(b, F32::load(last));
    const float* p = src + lanes - reinterpret_cast<uintptr_t>(src) / sizeof(float) % lanes;
    for (; p + 3 * lanes < last; p += 4 * lanes) {
      a = and_square(a, F32::load(p));
      b = and_square(b, F32::load(p + lanes));
      c = and_square(c, F32::load(p + 2 * lanes));
      d = and_square(d, F32::load(p + 3 * lanes));
    }
    for (; p < last; p += lanes) c = and_square(c, F32::load(p));
  }
  reg all = F32::add(F32::add(a, b), F32::add(c, d));
  for (int i = lanes; i > 1; i /= 2) all = F32::add(F32::even(all, all), F32::odd(all, all));
  float first;
  F32::store_first(&first, all, 1);
  return first < bounded_limit * bounded_limit;
}

// dst[i] = src[i] * scale + shift
void from_bytes(size_t n, const uint8_t* src, float scale, float shift, float* dst) {
  const reg a = F32::splat(scale), b = F32::splat(shift);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) F32::store(dst + i, F32::muladd(F32::load_bytes(src + i), a, b));
  const int rest = static_cast<int>(n - i);
  if (rest > 0) {
    uint8_t all[lanes] = {};
    for (int j = 0; j < rest; ++j) all[j] = src[i + j];
    F32::store_first(dst + i, F32::muladd(F32::load_bytes(all), a, b), rest);
  }
}

}  // namespace
}  // namespace KERNELET_ISA
}  // namespace kernelet
