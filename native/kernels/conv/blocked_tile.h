// The tiles of a convolution over blocks (blocked.h): P pixels of a row by N registers of channels, for every P and N there
// are, and what ends them: bias, scale and shift, another value, the activation.
#pragma once

#include "blocked_stage.h"

namespace kernelet {
namespace KERNELET_ISA {
namespace {
namespace blocked {

constexpr int unbounded = 2147483647;

struct Tile {
  const float* src;     // channel 0 of the piece, row of the first tap
  ptrdiff_t plane;      // to the next block, or channel
  const int32_t* taps;  // of each its offset and its column
  int tap_count, channels;
  int x, pixels;                 // column of the first pixel's first tap; pixels of the tile
  bool lacks_left, lacks_right;  // do columns of the first and the last tap lie in the padding?
  const float* weights;          // of the first tap that counts
  ptrdiff_t skip;                // weights of those that do not
  bool joins, last;              // are there sums of pieces before, and is it the last one?
  float* dst;
  ptrdiff_t block;  // of dst, to the next N
  const ConvArgs* args;
  int channel;               // first output
  const float* residual;     // null, or what is added here
  ptrdiff_t residual_block;  // to its next N: of planes before a pool
  reg floor, ceiling;        // of the epilogue, where that is simple or a clip; else without effect
  int columns = unbounded;   // of the input, where some may lie in the padding
  // Of tiles of two rows (blocked_two_rows.h): floats from one to the next, and which taps lie in rows of the input. One
  // row alone, all of it inside, if nothing else is said.
  ptrdiff_t next_row = 0;
  int upper = 0, upper_count = unbounded, lower = 0, lower_count = 0;
  // Weights that come after these, fetched into the second-level cache meanwhile: bytes from one tap to the next.
  const char* ahead;
  ptrdiff_t ahead_step;
};

KERNELET_INLINE bool in_registers(const Unary& f) { return is_simple(f) || f.f == Activation::clip; }
KERNELET_INLINE void set_bounds(Tile& t, const Unary& f) {
  t.floor = f.f == Activation::clip ? F32::splat(f.a) : floor_of(f);
  t.ceiling = F32::splat(f.f == Activation::clip ? f.b : __builtin_inff());
}

// The end of a tile, but for an activation that costs more than a minimum and a maximum.
template <int P, int N>
KERNELET_INLINE void finish(const Tile& t, reg (&c)[P][N]) {
  const ConvArgs& s = *t.args;
  KERNELET_UNROLL
  for (int n = 0; n < N; ++n) {
    const int channel = t.channel + n * lanes;
    const reg bias = F32::load(s.bias + channel);
    KERNELET_UNROLL
    for (int p = 0; p < P; ++p) c[p][n] = F32::add(c[p][n], bias);
    if (s.scale != nullptr) {
      const reg scale = F32::load(s.scale + channel), shift = F32::load(s.shift + channel);
      KERNELET_UNROLL
      for (int p = 0; p < P; ++p) c[p][n] = F32::muladd(c[p][n], scale, shift);
    }
    if (t.residual != nullptr) {
      const float* const residual = t.residual + n * t.residual_block;
      KERNELET_UNROLL
      for (int p = 0; p < P; ++p) c[p][n] = F32::add(c[p][n], F32::load(residual + p * lanes));
    }
    KERNELET_UNROLL
    for (int p = 0; p < P; ++p) c[p][n] = F32::max(t.floor, c[p][n]);
    if (s.epilogue.after.f == Activation::clip) {
      KERNELET_UNROLL
      for (int p = 0; p < P; ++p) c[p][n] = F32::min(t.ceiling, c[p][n]);
    }
  }
}

// The same of pixels that are stored, of so many registers of channels.
KERNELET_NOINLINE void finish_pixels(const Tile& whole, int pixels, int blocks) {
  Tile t = whole;
  for (int n = 0; n < blocks; ++n, t.channel += lanes) {
    t.dst = whole.dst + n * t.block;
    if (t.residual != nullptr) t.residual = whole.residual + n * t.residual_block;
    for (int i = 0; i < pixels; ++i, t.dst += lanes) {
      reg c[1][1] = {{F32::load(t.dst)}};
      finish<1, 1>(t, c);
      F32::store(t.dst, c[0][0]);
      if (t.residual != nullptr) t.residual += lanes;
    }
  }
}

// An activation that does: of pixels that lie side by side, in the first-level cache still.
KERNELET_NOINLINE void activate_pixels(const ConvArgs& s, int pixels, int blocks, float* dst,
                                       ptrdiff_t block) {
  for (int n = 0; n < blocks; ++n, dst += block)
    activate_in_place(s.epilogue.after, static_cast<size_t>(pixels) * lanes, dst);
}

template <int P, int N>
KERNELET_INLINE void store_tile(const Tile& t, reg (&c)[P][N]) {
  if (t.last) finish<P, N>(t, c);
  KERNELET_UNROLL
  for (int n = 0; n < N; ++n) {
    float* const dst = t.dst + n * t.block;
    KERNELET_UNROLL
    for (int p = 0; p < P; ++p) F32::store(dst + p * lanes, c[p][n]);
  }
}

// The sums of a piece join those of the pieces before.
template <int P, int N>
KERNELET_INLINE void join_tile(const Tile& t, reg (&c)[P][N]) {
  if (t.joins) {
    KERNELET_UNROLL
    for (int n = 0; n < N; ++n) {
      const float* const before = t.dst + n * t.block;
      KERNELET_UNROLL
      for (int p = 0; p < P; ++p) c[p][n] = F32::add(c[p][n], F32::load(before + p * lanes));
    }
  }
  store_tile<P, N>(t, c);
}

template <int P, int N>
KERNELET_INLINE void begin_tile(reg (&c)[P][N]) {
  KERNELET_UNROLL
  for (int p = 0; p < P; ++p) {
    KERNELET_UNROLL
    for (int n = 0; n < N; ++n) {
      c[p][n] = F32::zero();
      F32::keep(c[p][n]);  // (else every loop behind makes zeros of its own)
    }
  }
}

// A pixel of the padding.
alignas(64) const float no_pixel[lanes] = {};

// X: floats from one pixel to its neighbour; fewer than there are lanes are a stride over planes. Edge: columns of taps may
// lie in the padding.
template <int P, int N, int X, bool Edge>
struct TileKernel {
  static void run(const Tile& t);
};

template <int P, int N, int X, bool Edge>
KERNELET_NOINLINE void TileKernel<P, N, X, Edge>::run(const Tile& t) {
  constexpr int together = X == lanes ? lanes : 1;  // channels side by side
  constexpr int stride = X == lanes ? 1 : X;
  [[maybe_unused]] const int columns = t.columns;
  reg c[P][N];
  begin_tile<P, N>(c);
  const float* block = t.src;
  const float* w = t.weights;
  const char* ahead = t.ahead;
  const ptrdiff_t ahead_step = t.ahead_step;
  int left = t.tap_count > 0 ? t.channels : 0;
  if (asks_always && P >= 8 && t.tap_count == 1 && columns == unbounded) {
    // 1x1: what follows, without taps
    const ptrdiff_t next = N * lanes + t.skip;
    for (; left > 0; left -= together, block += t.plane) {
      const float* x = block + *t.taps;
      const float* const end = x + (left < together ? left : together);
      do {
        reg wn[N];
        KERNELET_UNROLL
        for (int n = 0; n < N; ++n) wn[n] = F32::load(w + n * lanes);
        KERNELET_UNROLL
        for (int p = 0; p < P; ++p) {
          const reg v = F32::splat(x[p * X]);
          KERNELET_UNROLL
          for (int n = 0; n < N; ++n) c[p][n] = F32::muladd(v, wn[n], c[p][n]);
        }
        w += next;
        F32::prefetch_far(ahead);
        ahead += ahead_step;
      } while (++x != end);
    }
  }
  for (; left > 0; left -= together, block += t.plane) {
    const float* channel = block;
    for (int count = left < together ? left : together; count > 0; --count, ++channel, w += t.skip) {
      const int32_t* tap = t.taps;
      const int32_t* const end = tap + 2 * t.tap_count;
      do {
        const float* const x = channel + *tap;
        [[maybe_unused]] const int column = t.x + tap[1];
        reg wn[N];
        KERNELET_UNROLL
        for (int n = 0; n < N; ++n) wn[n] = F32::load(w + n * lanes);
        KERNELET_UNROLL
        for (int p = 0; p < P; ++p) {
          const bool asks = Edge && (!asks_always || p < asked_pixels || p >= P - asked_pixels);
          if (asks && static_cast<unsigned>(column + p * stride) >= static_cast<unsigned>(columns)) continue;
          const reg v = F32::splat(x[p * X]);
          KERNELET_UNROLL
          for (int n = 0; n < N; ++n) c[p][n] = F32::muladd(v, wn[n], c[p][n]);
        }
        w += N * lanes;
        F32::prefetch_far(ahead);
        ahead += ahead_step;
        tap += 2;
      } while (tap != end);
    }
  }
  join_tile<P, N>(t, c);
}

// Rows of three taps side by side over one register of channels: each pixel that is read is used for all three.
// Columns of the padding, one on a side at most, are zeros. (Where registers have 16 lanes: with fewer, one is seldom all
// the channels there are.)
template <int P>
KERNELET_NOINLINE void rows_of_three(const Tile& t) {
  const bool left = t.lacks_left, right = t.lacks_right;
  reg c[P][1];
  begin_tile<P, 1>(c);
  const float* block = t.src;
  const float* w = t.weights;
  int left_over = t.tap_count > 0 ? t.channels : 0;
  for (; left_over > 0; left_over -= lanes, block += t.plane) {
    const int count = left_over < lanes ? left_over : lanes;
    for (int i = 0; i < count; ++i, w += t.skip) {
      const int32_t* tap = t.taps;
      for (int rows = t.tap_count; rows > 0; rows -= 3, tap += 6, w += 3 * lanes) {
        const float* const x = block + i + *tap;
        reg v[P + 2];
        v[0] = F32::splat(*(left ? no_pixel : x));
        KERNELET_UNROLL
        for (int p = 1; p <= P; ++p) v[p] = F32::splat(x[p * lanes]);
        v[P + 1] = F32::splat(*(right ? no_pixel : x + (P + 1) * lanes));
        KERNELET_UNROLL
        for (int k = 0; k < 3; ++k) {
          const reg wk = F32::load(w + k * lanes);
          KERNELET_UNROLL
          for (int p = 0; p < P; ++p) c[p][0] = F32::muladd(v[p + k], wk, c[p][0]);
        }
      }
    }
  }
  join_tile<P, 1>(t, c);
}

}  // namespace blocked
}  // namespace
}  // namespace KERNELET_ISA
}  // namespace kernelet
