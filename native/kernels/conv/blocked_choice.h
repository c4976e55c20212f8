// Which tile (blocked_tile.h, blocked_two_rows.h) computes so many pixels and blocks of channels: not every number of pixels
// has one, for the sake of the binary's size.
#pragma once

#include "blocked_two_rows.h"

namespace kernelet {
namespace KERNELET_ISA {
namespace {
namespace blocked {

using TileFunction = void (*)(const Tile&);

template <int P = most_pixels>
TileFunction rows_of_three_from(int pixels) {
  if constexpr (P > least_row) {
    if (pixels < P) return rows_of_three_from<P - 1>(pixels);
  }
  return rows_of_three<P>;
}

// Where tiles are large, rows of 3 and 6 pixels (and of 5, where there are no tiles of two rows) are smaller ones: no longer
// row has such a rest.
constexpr bool in_pieces(int pixels) { return most_pixels > 8 && pixels < 7 && (pixels & (pixels - 1)) != 0; }

// Tiles that read planes, as first layers do, come in few sizes; small pictures, such as those of sound, have rows of 5.
enum Sizes { every_number, few, few_and_five };
constexpr Sizes sizes_of(int x) {
  return one_size ? few : x > 1 ? every_number : most_pixels > 8 ? few_and_five : few;
}
// The next smaller tile there is.
constexpr int smaller(int pixels, Sizes sizes) {
  if (one_size) return 1;
  if (sizes == every_number && !in_pieces(pixels - 1) && !in_two_rows(pixels - 1)) return pixels - 1;
  if (sizes == few_and_five && pixels > 5 && pixels <= 8) return 5;
  return pixels > 8 ? 8 : pixels > 4 ? 4 : pixels > 2 ? 2 : 1;
}
// Where tiles do not always ask, rows that have edges are short.
constexpr int most_of(bool edge) {
  return edge && !asks_always && short_row < most_pixels ? short_row : most_pixels;
}
// Compared, not looked up: a table would be relocated at load time.
template <int N, int X, bool Edge, Sizes Some, int P = most_of(Edge)>
TileFunction tile_from(int pixels) {
  if constexpr (P > 1) {
    constexpr int next = smaller(P, Some);
    if (pixels < P) return tile_from<N, X, Edge, Some, next>(pixels);
  }
  return TileKernel<P, N, X, Edge>::run;
}

// A short row: the largest tile of few sizes, then the next.
template <int N, int X, bool Edge>
KERNELET_NOINLINE void piece_by_piece(const Tile& whole) {
  Tile t = whole;
  for (int left = whole.pixels; left > 0;) {
    int size = most_of(Edge);
    while (size > left) size = smaller(size, few);
    tile_from<N, X, Edge, few>(size)(t);
    t.src += size * X;
    t.x += size;
    t.dst += size * lanes;
    if (t.residual != nullptr) t.residual += size * lanes;
    left -= size;
  }
}

template <int X, bool Edge>
TileFunction tile_for(int pixels, int blocks) {
  constexpr Sizes some = sizes_of(X);
  if constexpr (lanes == 16 && X == lanes) {
    if (in_two_rows(pixels) && blocks == 2) return pixels == 5 ? two_rows<5> : two_rows<7>;
  }
  if constexpr (most_pixels > 8 && some == every_number) {
    if (in_pieces(pixels)) return blocks == 1 ? piece_by_piece<1, X, Edge> : piece_by_piece<2, X, Edge>;
  }
  // Of one block of channels, as an odd number of them leaves it, there are few sizes: large tiles of it are whole, or of
  // three taps.
  constexpr bool trimmed = lanes == 16 && some == every_number;
  if (blocks == 1 && (trimmed ? pixels < most_pixels : Edge)) return piece_by_piece<1, X, Edge>;
  if constexpr (trimmed || !Edge) {
    constexpr Sizes of_one_block = trimmed ? few : some;
    if (blocks == 1) return tile_from<1, X, Edge, of_one_block>(pixels);
  }
  return tile_from<2, X, Edge, some>(pixels);
}
// x: floats from one pixel to its neighbour. (Planes are never read at an edge.)
KERNELET_SMALL TileFunction tile_of(int x, bool edge, int pixels, int blocks) {
  if constexpr (lanes == 16) {  // a stride over planes: all tiles are whole
    if (x == 2)
      return blocks == 1 ? TileKernel<most_pixels, 1, 2, true>::run
                         : TileKernel<most_pixels, 2, 2, true>::run;
  }
  if (x != lanes) return tile_for<1, false>(pixels, blocks);
  if constexpr (asks_always) return tile_for<lanes, true>(pixels, blocks);
  return edge ? tile_for<lanes, true>(pixels, blocks) : tile_for<lanes, false>(pixels, blocks);
}

}  // namespace blocked
}  // namespace
}  // namespace KERNELET_ISA
}  // namespace kernelet
