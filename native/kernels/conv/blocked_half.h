// Tiles of a convolution over blocks (blocked_tile.h) whose last register of channels is at most half full, as 24 or 40
// channels leave it: that half alone is multiplied. A core whose 512 bits are twice 256 takes half the time for it.
#pragma once

#include "blocked_choice.h"

namespace kernelet {
namespace KERNELET_ISA {
namespace {
namespace blocked {

// X: floats from one pixel to its neighbour.
template <int P, int N, int X>
KERNELET_NOINLINE void half_tile(const Tile& t) {
  constexpr int whole = N - 1;  // registers
  constexpr int together = X == lanes ? lanes : 1, stride = X == lanes ? 1 : X;
  reg c[P][N];
  F32::half h[P];
  KERNELET_UNROLL
  for (int p = 0; p < P; ++p) {
    if constexpr (whole > 0) c[p][0] = F32::zero();
    h[p] = F32::low(F32::zero());
  }
  const float* block = t.src;
  const float* w = t.weights;
  const char* ahead = t.ahead;
  const ptrdiff_t ahead_step = t.ahead_step;
  for (int left = t.tap_count > 0 ? t.channels : 0; left > 0; left -= together, block += t.plane) {
    const float* channel = block;
    for (int count = left < together ? left : together; count > 0; --count, ++channel, w += t.skip) {
      const int32_t* tap = t.taps;
      const int32_t* const end = tap + 2 * t.tap_count;
      do {
        const float* const x = channel + *tap;
        const F32::half last = F32::load_half(w + whole * lanes);
        [[maybe_unused]] const reg first = F32::load(w);
        [[maybe_unused]] const int column = t.x + tap[1];
        KERNELET_UNROLL
        for (int p = 0; p < P; ++p) {
          const bool asks = X != 1 && (p < asked_pixels || p >= P - asked_pixels);
          if (asks && static_cast<unsigned>(column + p * stride) >= static_cast<unsigned>(t.columns))
            continue;
          if constexpr (whole > 0) {
            const reg v = F32::splat(x[p * X]);
            c[p][0] = F32::muladd(v, first, c[p][0]);
            h[p] = F32::muladd_half(F32::low(v), last, h[p]);
          } else {
            h[p] = F32::muladd_half(F32::splat_half(x[p * X]), last, h[p]);
          }
        }
        w += N * lanes;
        F32::prefetch_far(ahead);
        ahead += ahead_step;
        tap += 2;
      } while (tap != end);
    }
  }
  KERNELET_UNROLL
  for (int p = 0; p < P; ++p) c[p][whole] = F32::widen(h[p]);
  join_tile<P, N>(t, c);
}

// Null where there is none: of whole tiles alone, and of planes not every kind. (Others would be many, for little.)
KERNELET_SMALL TileFunction half_tile_of(int x, int pixels, int blocks) {
  if (pixels != most_pixels) return nullptr;
  if (x == lanes) return blocks == 1 ? half_tile<most_pixels, 1, lanes> : half_tile<most_pixels, 2, lanes>;
  if (x == 2) return blocks == 1 ? half_tile<most_pixels, 1, 2> : half_tile<most_pixels, 2, 2>;
  return blocks == 1 ? nullptr : half_tile<most_pixels, 2, 1>;
}

}  // namespace blocked
}  // namespace
}  // namespace KERNELET_ISA
}  // namespace kernelet
