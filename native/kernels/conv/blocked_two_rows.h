// Tiles of two rows, one below the other, which are as short as half a tile: each weight is read once for both.
#pragma once

#include "blocked_tile.h"

namespace kernelet {
namespace KERNELET_ISA {
namespace {
namespace blocked {

// Rows of so many pixels have them.
constexpr bool in_two_rows(int pixels) { return lanes == 16 && (pixels == 5 || pixels == 7); }

// Two registers of channels, the input in blocks. Taps in the padding are left out: columns pixel by pixel, rows for the
// upper and the lower row each. With t.pixels of one row the lower one is not stored.
template <int Row>
KERNELET_NOINLINE void two_rows(const Tile& t) {
  reg c[2][Row][2];
  const int rows = t.pixels > Row ? 2 : 1;
  KERNELET_UNROLL
  for (int r = 0; r < 2; ++r) {
    KERNELET_UNROLL
    for (int p = 0; p < Row; ++p) c[r][p][0] = c[r][p][1] = F32::zero();
    if (t.first || r >= rows) continue;
    const float* const from = t.dst + r * Row * lanes;
    KERNELET_UNROLL
    for (int p = 0; p < Row; ++p) {
      c[r][p][0] = F32::load(from + p * lanes);
      c[r][p][1] = F32::load(from + t.block + p * lanes);
    }
  }
  const float* block = t.src;
  const float* w = t.weights;
  const char* ahead = t.ahead;
  for (int left = t.tap_count > 0 ? t.channels : 0; left > 0; left -= lanes, block += t.plane) {
    const float* channel = block;
    for (int count = left < lanes ? left : lanes; count > 0; --count, ++channel, w += t.skip) {
      for (int i = 0; i < t.tap_count; ++i, w += 2 * lanes, ahead += t.ahead_step) {
        const float* x = channel + t.taps[2 * i];
        const int column = t.x + t.taps[2 * i + 1];
        const reg w0 = F32::load(w), w1 = F32::load(w + lanes);
        F32::prefetch_far(ahead);
        KERNELET_UNROLL
        for (int r = 0; r < 2; ++r, x += t.next_row) {
          const int first = r == 0 ? t.upper : t.lower, inside = r == 0 ? t.upper_count : t.lower_count;
          if (static_cast<unsigned>(i - first) >= static_cast<unsigned>(inside)) continue;
          KERNELET_UNROLL
          for (int p = 0; p < Row; ++p) {
            if (static_cast<unsigned>(column + p) >= static_cast<unsigned>(t.columns)) continue;
            const reg v = F32::splat(x[p * lanes]);
            c[r][p][0] = F32::muladd(v, w0, c[r][p][0]);
            c[r][p][1] = F32::muladd(v, w1, c[r][p][1]);
          }
        }
      }
    }
  }
  KERNELET_UNROLL
  for (int r = 0; r < 2; ++r) {
    if (r >= rows) break;
    float* const to = t.dst + r * Row * lanes;
    KERNELET_UNROLL
    for (int p = 0; p < Row; ++p) {
      F32::store(to + p * lanes, c[r][p][0]);
      F32::store(to + t.block + p * lanes, c[r][p][1]);
    }
  }
  // (few of them, with many products each: one end for all, out of memory)
  if (t.last) finish_pixels(t, rows * Row, 2);
}

}  // namespace blocked
}  // namespace
}  // namespace KERNELET_ISA
}  // namespace kernelet
