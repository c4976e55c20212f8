// Tiles of two rows, one below the other, which are as short as half a tile: each weight is read once for both.
#pragma once

#include "blocked_tile.h"

namespace kernelet {
namespace KERNELET_ISA {
namespace {
namespace blocked {

// Rows of so many pixels have them.
constexpr bool in_two_rows(int pixels) { return lanes == 16 && (pixels == 5 || pixels == 7); }

template <int Row>
KERNELET_INLINE void multiply_row(const float* x, int column, int columns, reg w0, reg w1, reg (&c)[Row][2]) {
  KERNELET_UNROLL
  for (int p = 0; p < Row; ++p) {
    if (static_cast<unsigned>(column + p) >= static_cast<unsigned>(columns)) continue;
    const reg v = F32::splat(x[p * lanes]);
    c[p][0] = F32::muladd(v, w0, c[p][0]);
    c[p][1] = F32::muladd(v, w1, c[p][1]);
  }
}
template <int Row>
KERNELET_INLINE void join_row(const float* before, ptrdiff_t block, reg (&c)[Row][2]) {
  KERNELET_UNROLL
  for (int p = 0; p < Row; ++p) {
    c[p][0] = F32::add(c[p][0], F32::load(before + p * lanes));
    c[p][1] = F32::add(c[p][1], F32::load(before + block + p * lanes));
  }
}
template <int Row>
KERNELET_INLINE void store_row(float* to, ptrdiff_t block, const reg (&c)[Row][2]) {
  KERNELET_UNROLL
  for (int p = 0; p < Row; ++p) {
    F32::store(to + p * lanes, c[p][0]);
    F32::store(to + block + p * lanes, c[p][1]);
  }
}

// Two registers of channels, the input in blocks. Taps in the padding are left out: columns pixel by pixel, rows for the
// upper and the lower row each. With t.pixels of one row the lower one is not stored.
template <int Row>
KERNELET_NOINLINE void two_rows(const Tile& t) {
  const bool both = t.pixels > Row;
  reg upper[Row][2], lower[Row][2];
  KERNELET_UNROLL
  for (int p = 0; p < Row; ++p) upper[p][0] = upper[p][1] = lower[p][0] = lower[p][1] = F32::zero();
  const float* block = t.src;
  const float* w = t.weights;
  const char* ahead = t.ahead;
  for (int left = t.tap_count > 0 ? t.channels : 0; left > 0; left -= lanes, block += t.plane) {
    const float* channel = block;
    for (int count = left < lanes ? left : lanes; count > 0; --count, ++channel, w += t.skip) {
      for (int i = 0; i < t.tap_count; ++i, w += 2 * lanes, ahead += t.ahead_step) {
        const float* const x = channel + t.taps[2 * i];
        const int column = t.x + t.taps[2 * i + 1];
        const reg w0 = F32::load(w), w1 = F32::load(w + lanes);
        F32::prefetch_far(ahead);
        if (static_cast<unsigned>(i - t.upper) < static_cast<unsigned>(t.upper_count))
          multiply_row(x, column, t.columns, w0, w1, upper);
        if (static_cast<unsigned>(i - t.lower) < static_cast<unsigned>(t.lower_count))
          multiply_row(x + t.next_row, column, t.columns, w0, w1, lower);
      }
    }
  }
  if (t.joins) join_row(t.dst, t.block, upper);
  if (t.joins && both) join_row(t.dst + Row * lanes, t.block, lower);
  store_row(t.dst, t.block, upper);
  if (both) store_row(t.dst + Row * lanes, t.block, lower);
  // (few of them, with many products each: one end for all, out of memory)
  if (t.last) finish_pixels(t, both ? 2 * Row : Row, 2);
}

}  // namespace blocked
}  // namespace
}  // namespace KERNELET_ISA
}  // namespace kernelet
