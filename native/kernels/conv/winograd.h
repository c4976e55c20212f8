// Winograd convolution over blocks of channels: F(2x2, 3x3), F(4x4, 3x3) and F(4x4, 5x5) (Lavin and Gray, "Fast Algorithms
// for Convolutional Neural Networks", 2015): 2.25, 4 and 6.25 times fewer multiplications than the direct sum, at other
// roundings. The only algorithm whose bits differ, so it runs only when asked for.
//
// A tile of A x A inputs (A = M + R - 1) gives M x M outputs: Y = A^T [ (G g G^T) . (B^T d B) ] A. Lanes are channels, so
// that a tile is transformed by whole registers, wherever it lies. Some rows of tiles at a time (a strip):
//   V [A A][ic / lanes][tiles][lanes]   transformed input
//   M [A A][oc / lanes][tiles][lanes]   = U V for each of the A A points: a 1x1 convolution, by blocked.h's tile
//   Y                                   transformed back, and what follows the sum
// Weights U: [A A][panel][ic][N lanes], as blocked.h packs a 1x1 window.
//
// How large a tile is depends on the shape alone, and so do the bits.
#pragma once

#include "blocked.h"

namespace kernelet {
namespace KERNELET_ISA {
namespace {
namespace winograd {

using blocked::blocks_of;
using blocked::most_blocks;

// Points 0, 1, -1, 2, -2 (and 1/2, -1/2), infinity. B^T depends on them alone; a row of G is
// scale * (1, p, p^2, …), a column of A^T is (1, p, p^2, …); infinity picks the last.
template <int A>
struct Points;

template <>
struct Points<4> {
  static constexpr float at[3] = {0, 1, -1};
  static constexpr double scale[3] = {1, 1.0 / 2, 1.0 / 2};
  static constexpr float b[4][4] = {{1, 0, -1, 0}, {0, 1, 1, 0}, {0, -1, 1, 0}, {0, -1, 0, 1}};
};

template <>
struct Points<6> {
  static constexpr float at[5] = {0, 1, -1, 2, -2};
  static constexpr double scale[5] = {1.0 / 4, -1.0 / 6, -1.0 / 6, 1.0 / 24, 1.0 / 24};
  static constexpr float b[6][6] = {{4, 0, -5, 0, 1, 0},  {0, -4, -4, 1, 1, 0}, {0, 4, -4, -1, 1, 0},
                                    {0, -2, -1, 2, 1, 0}, {0, 2, -1, -2, 1, 0}, {0, 4, 0, -5, 0, 1}};
};

template <>
struct Points<8> {
  static constexpr float at[7] = {0, 1, -1, 2, -2, 0.5f, -0.5f};
  static constexpr double scale[7] = {1, -2.0 / 9, -2.0 / 9, 1.0 / 90, 1.0 / 90, 32.0 / 45, 32.0 / 45};
  static constexpr float b[8][8] = {
      {1, 0, -5.25f, 0, 5.25f, 0, -1, 0},        {0, 1, 1, -4.25f, -4.25f, 1, 1, 0},
      {0, -1, 1, 4.25f, -4.25f, -1, 1, 0},       {0, 0.5f, 0.25f, -2.5f, -1.25f, 2, 1, 0},
      {0, -0.5f, 0.25f, 2.5f, -1.25f, -2, 1, 0}, {0, 2, 4, -2.5f, -5, 0.5f, 1, 0},
      {0, -2, 4, 2.5f, -5, -0.5f, 1, 0},         {0, -1, 0, 5.25f, 0, -5.25f, 0, 1}};
};

KERNELET_COLD bool fits(const ConvArgs& s) {
  return F32::has_fma && s.groups == 1 && s.kh == s.kw && (s.kh == 3 || s.kh == 5) && s.sh == 1 &&
         s.sw == 1 && s.dh == 1 && s.dw == 1 && int64_t{4} * s.ow * lanes < (int64_t{1} << 31);
}

// Outputs a side. Few tiles do not make up for reading a weight's A A points: then the smaller tile has fewer of them.
// Rows and columns that a maximum leaves out count, so that the bits are the same without it.
int32_t outputs_of(const ConvArgs& s) {
  if (s.kh == 5) return 4;
  const int height = s.oh + s.odd_row, width = s.ow + s.odd_column;
  const int64_t large = int64_t{parts_of(height, 4)} * parts_of(width, 4);
  const int64_t small = int64_t{parts_of(height, 2)} * parts_of(width, 2);
  constexpr int few = 12;  // tiles that take as long as the reading does
  return 36 * (large < few ? few : large) <= 16 * (small < few ? few : small) ? 4 : 2;
}
KERNELET_INLINE int side_of(const ConvArgs& s) { return outputs_of(s) + s.kh - 1; }

// The strips that a part of the work is cut into, and what they need of the scratch.
struct Strips {
  int outputs, points;
  int rows, columns, strip;  // tiles
  int in_blocks, blocks;
  size_t v_point,
      m_point;  // floats from a point to the next; never a power of two, whose lines would share a cache set
  size_t rows_floats;  // rows of a pooled layer's sums
};

// What lies between the transforms, to stay in the second-level cache: floats.
constexpr size_t strip_floats = size_t{160} << 10;

KERNELET_COLD KERNELET_NOINLINE Strips strips_of(const ConvArgs& s) {
  Strips t;
  t.outputs = outputs_of(s);
  t.points = side_of(s) * side_of(s);
  t.rows = parts_of(s.oh, t.outputs);
  t.columns = parts_of(s.ow, t.outputs);
  t.in_blocks = blocks_of(s.ic);
  t.blocks = blocks_of(s.oc);
  const size_t row = static_cast<size_t>(t.points) * t.columns * (t.in_blocks + t.blocks) * lanes;
  const int wanted = row < strip_floats ? static_cast<int>(strip_floats / row) : 1;
  const int least = parts_of(2 * blocked::most_pixels, t.columns);
  t.strip = wanted < least ? least : wanted;
  // as even as can be
  t.strip = parts_of(t.rows, parts_of(t.rows, t.strip));
  const size_t tiles = static_cast<size_t>(t.strip) * t.columns;
  t.v_point = (t.in_blocks * tiles + 1) * lanes;
  t.m_point = (t.blocks * tiles + 1) * lanes;
  t.rows_floats = s.epilogue.pool == Pool::none ? 0 : static_cast<size_t>(t.outputs) * s.ow * lanes;
  return t;
}

KERNELET_INLINE size_t part_floats(const Strips& t) {
  return (t.points * (t.v_point + t.m_point) + t.rows_floats + 15) / 16 * 16;
}

KERNELET_COLD size_t scratch_size(const ConvArgs& s) {
  return (s.parts > 1 ? s.parts : 1) * part_floats(strips_of(s));
}

KERNELET_INLINE size_t point_weights(const ConvArgs& s) {
  return static_cast<size_t>(blocks_of(s.oc)) * lanes * s.ic;
}
KERNELET_COLD size_t weights_size(const ConvArgs& s) {
  return static_cast<size_t>(side_of(s)) * side_of(s) * point_weights(s);
}

// Rows of G, in double.
template <int A, int R>
KERNELET_COLD void rows_of_g(double (&g)[8][5]) {
  for (int i = 0; i < A; ++i) {
    double power = i < A - 1 ? Points<A>::scale[i] : 0;
    for (int j = 0; j < R; ++j) {
      g[i][j] = i < A - 1 ? power : j == R - 1 ? 1 : 0;
      power *= i < A - 1 ? static_cast<double>(Points<A>::at[i]) : 0;
    }
  }
}

// U = G g G^T
[[maybe_unused]] KERNELET_COLD void pack_points(const ConvArgs& s, const float* weight, float* packed) {
  double g[8][5];
  if (s.kh == 5) rows_of_g<8, 5>(g);
  else if (outputs_of(s) == 4) rows_of_g<6, 3>(g);
  else rows_of_g<4, 3>(g);
  const int side = side_of(s), r = s.kh, blocks = blocks_of(s.oc);
  for (int block = 0; block < blocks; block += most_blocks) {
    const int wide = lanes * (blocks - block < most_blocks ? blocks - block : most_blocks);
    const int first = block * lanes, there = s.oc - first < wide ? s.oc - first : wide;
    float* const panel = packed + static_cast<size_t>(first) * s.ic;
    for (int ic = 0; ic < s.ic; ++ic) {
      // the points of one input channel: rows of a panel, each written at once
      float u[64][most_blocks * lanes] = {};
      for (int o = 0; o < there; ++o) {
        const float* const w = weight + (static_cast<size_t>(first + o) * s.ic + ic) * r * r;
        for (int i = 0; i < side; ++i) {
          double row[5] = {};
          for (int x = 0; x < r; ++x) {
            for (int y = 0; y < r; ++y) row[x] += g[i][y] * static_cast<double>(w[y * r + x]);
          }
          for (int j = 0; j < side; ++j) {
            double sum = 0;
            for (int x = 0; x < r; ++x) sum += row[x] * g[j][x];
            u[i * side + j][o] = static_cast<float>(sum);
          }
        }
      }
      for (int point = 0; point < side * side; ++point)
        memcpy(panel + point * point_weights(s) + static_cast<size_t>(ic) * wide, u[point],
               sizeof(float) * wide);
    }
  }
}

void pack(const ConvArgs& s, const float* weight, float* packed) {
  if constexpr (F32::has_fma) pack_points(s, weight, packed);
}

// y = B^T x
template <int A>
KERNELET_INLINE void times_b(const reg (&x)[A], reg (&y)[A]) {
  KERNELET_UNROLL
  for (int i = 0; i < A; ++i) {
    reg sum = F32::zero();
    KERNELET_UNROLL
    for (int j = 0; j < A; ++j) {
      const float b = Points<A>::b[i][j];
      if (b == 1.0f) sum = F32::add(sum, x[j]);
      else if (b == -1.0f) sum = F32::sub(sum, x[j]);
      else if (b != 0.0f) sum = F32::muladd(F32::splat(b), x[j], sum);
    }
    y[i] = sum;
  }
}

// y = A^T x
template <int A, int M>
KERNELET_INLINE void times_a(const reg (&x)[A], reg (&y)[M]) {
  float power[A - 1];
  KERNELET_UNROLL
  for (int j = 0; j < A - 1; ++j) power[j] = 1.0f;
  KERNELET_UNROLL
  for (int i = 0; i < M; ++i) {
    reg sum = i == 0 ? x[0] : F32::zero();
    KERNELET_UNROLL
    for (int j = 1; j < A - 1; ++j) sum = F32::muladd(F32::splat(power[j]), x[j], sum);
    y[i] = i == M - 1 ? F32::add(sum, x[A - 1]) : sum;
    KERNELET_UNROLL
    for (int j = 0; j < A - 1; ++j) power[j] *= Points<A>::at[j];
  }
}

// One tile of a block: its first input at src, `row` floats from a row to the next -> points, `point` floats apart.
template <int A>
KERNELET_NOINLINE void transform_input(const float* src, ptrdiff_t row, float* v, size_t point) {
  reg half[A][A];  // [column][row]
  for (int i = 0; i < A; ++i, src += row) {
    reg d[A], y[A];
    KERNELET_UNROLL
    for (int j = 0; j < A; ++j) d[j] = F32::load(src + j * lanes);
    times_b<A>(d, y);
    KERNELET_UNROLL
    for (int j = 0; j < A; ++j) half[j][i] = y[j];
  }
  for (int j = 0; j < A; ++j) {
    reg y[A];
    times_b<A>(half[j], y);
    KERNELET_UNROLL
    for (int i = 0; i < A; ++i) F32::store(v + (static_cast<size_t>(i) * A + j) * point, y[i]);
  }
}

// Points of one tile -> its first h x w sums.
template <int A, int M>
KERNELET_NOINLINE void transform_output(const float* m, size_t point, int h, int w, float* dst,
                                        ptrdiff_t row) {
  reg half[M][A];
  for (int j = 0; j < A; ++j) {
    reg x[A], y[M];
    KERNELET_UNROLL
    for (int i = 0; i < A; ++i) x[i] = F32::load(m + (static_cast<size_t>(i) * A + j) * point);
    times_a<A, M>(x, y);
    KERNELET_UNROLL
    for (int i = 0; i < M; ++i) half[i][j] = y[i];
  }
  for (int i = 0; i < h; ++i, dst += row) {
    reg y[M];
    times_a<A, M>(half[i], y);
    KERNELET_UNROLL
    for (int j = 0; j < M; ++j) {
      if (j < w) F32::store(dst + j * lanes, y[j]);
    }
  }
}

struct Transforms {
  int side, outputs;
  void (*input)(const float* src, ptrdiff_t row, float* v, size_t point);
  void (*output)(const float* m, size_t point, int h, int w, float* dst, ptrdiff_t row);
};
KERNELET_COLD Transforms transforms_of(const ConvArgs& s) {
  const int outputs = outputs_of(s), side = side_of(s);
  if (side == 8) return {side, outputs, transform_input<8>, transform_output<8, 4>};
  if (side == 6) return {side, outputs, transform_input<6>, transform_output<6, 4>};
  return {side, outputs, transform_input<4>, transform_output<4, 2>};
}

// The same of a tile that reaches beyond the plane, with zeros there; (y, x) is its first input.
KERNELET_NOINLINE void transform_edge(const ConvArgs& s, const Transforms& f, const float* plane, int y,
                                      int x, float* v, size_t point) {
  alignas(64) float tile[8 * 8 * lanes];
  for (int i = 0; i < f.side; ++i) {
    for (int j = 0; j < f.side; ++j) {
      const bool inside = y + i >= 0 && y + i < s.ih && x + j >= 0 && x + j < s.iw;
      const ptrdiff_t at = (static_cast<ptrdiff_t>(y + i) * s.iw + x + j) * lanes;
      F32::store(tile + (i * f.side + j) * lanes, inside ? F32::load(plane + at) : F32::zero());
    }
  }
  f.input(tile, f.side * lanes, v, point);
}

// Rows [first, first + rows) of tiles of blocks [first_block, last_block), in a scratch of its own.
void strip(const ConvArgs& s, const Strips& g, const float* src, float* dst, float* scratch, int first,
           int rows, int first_block, int last_block) {
  const Transforms f = transforms_of(s);
  const int tiles = rows * g.columns;
  float* const v = scratch;
  float* const m = v + g.points * g.v_point;
  float* const pooled = s.epilogue.pool == Pool::none ? nullptr : m + g.points * g.m_point;
  const ptrdiff_t line = static_cast<ptrdiff_t>(s.iw) * lanes;
  for (int b = 0; b < g.in_blocks; ++b) {
    const float* const plane = src + static_cast<ptrdiff_t>(b) * s.ih * line;
    float* to = v + static_cast<size_t>(b) * tiles * lanes;
    for (int r = first; r < first + rows; ++r) {
      for (int c = 0; c < g.columns; ++c, to += lanes) {
        const int y = r * f.outputs - s.pt, x = c * f.outputs - s.pl;
        if (y >= 0 && x >= 0 && y + f.side <= s.ih && x + f.side <= s.iw)
          f.input(plane + y * line + static_cast<ptrdiff_t>(x) * lanes, line, to, g.v_point);
        else transform_edge(s, f, plane, y, x, to, g.v_point);
      }
    }
  }

  const blocked::Tiles cut(tiles, blocked::most_pixels, blocked::every_number);
  const int32_t at_once[2] = {0, 0};
  blocked::Tile t = blocked::Tile();
  t.args = &s;
  t.taps = at_once;
  t.tap_count = 1;
  t.channels = s.ic;
  t.joins = false;
  t.plane = t.block = static_cast<ptrdiff_t>(tiles) * lanes;
  for (int point = 0; point < g.points; ++point) {
    for (int block = first_block; block < last_block; block += most_blocks) {
      const int n = g.blocks - block < most_blocks ? g.blocks - block : most_blocks;
      t.weights = s.weights + point * point_weights(s) + static_cast<size_t>(block) * lanes * s.ic;
      // what the next panel reads begins where this one's weights end
      const ptrdiff_t bytes = static_cast<ptrdiff_t>(sizeof(float)) * s.ic * n * lanes;
      t.ahead = reinterpret_cast<const char*>(t.weights) + bytes;
      t.ahead_step = bytes / cut.count / s.ic;
      const auto longer = blocked::tile_of(lanes, false, cut.base + 1, n);
      const auto usual = blocked::tile_of(lanes, false, cut.base, n);
      for (int i = 0; i < cut.count; ++i) {
        t.pixels = cut.pixels(i);
        t.src = v + point * g.v_point + static_cast<ptrdiff_t>(cut.begin(i)) * lanes;
        t.dst = m + point * g.m_point + static_cast<ptrdiff_t>(block) * t.block +
                static_cast<ptrdiff_t>(cut.begin(i)) * lanes;
        (i < cut.longer ? longer : usual)(t);
        t.ahead += bytes / cut.count;
      }
    }
  }

  blocked::set_bounds(t, s.epilogue.after);
  const ptrdiff_t out_line = static_cast<ptrdiff_t>(s.ow) * lanes;
  for (int block = first_block; block < last_block; ++block) {
    const float* from = m + static_cast<size_t>(block) * t.block;
    t.channel = block * lanes;
    for (int r = first; r < first + rows; ++r) {
      const int y = r * f.outputs, h = s.oh - y < f.outputs ? s.oh - y : f.outputs;
      const ptrdiff_t at = (static_cast<ptrdiff_t>(block) * s.oh + y) * out_line;
      t.dst = pooled != nullptr ? pooled : dst + at;
      for (int c = 0; c < g.columns; ++c, from += lanes) {
        const int x = c * f.outputs, w = s.ow - x < f.outputs ? s.ow - x : f.outputs;
        f.output(from, g.m_point, h, w, t.dst + static_cast<ptrdiff_t>(x) * lanes, out_line);
      }
      t.residual = s.residual != nullptr ? s.residual + at : nullptr;
      blocked::finish_pixels(t, h * s.ow, 1);
      if (!blocked::in_registers(s.epilogue.after)) blocked::activate_pixels(s, h * s.ow, 1, t.dst, 0);
      if (pooled != nullptr)
        blocked::pool_rows(h, s.ow, pooled,
                           dst + (static_cast<ptrdiff_t>(block) * s.ph + y / 2) * s.pw * lanes);
    }
  }
}

// With panels of its own each part transforms the input for itself.
[[maybe_unused]] void run_tiles(const ConvArgs& s, const float* src, float* dst, float* scratch, int part,
                                int parts) {
  const Strips g = strips_of(s);
  const bool many = g.points * point_weights(s) > 4 * blocked::many_weights;
  const blocked::Share share = blocked::share_of_panels(many, g.rows, g.blocks, part, parts);
  const int end = share.bottom;
  if (share.begin >= share.end) return;
  scratch += part * part_floats(g);
  for (int row = share.top; row < end; row += g.strip)
    strip(s, g, src, dst, scratch, row, end - row < g.strip ? end - row : g.strip, share.begin, share.end);
}

int32_t phases(const ConvArgs&) { return 1; }

void run_part(const ConvArgs& s, const float* src, float* dst, float* scratch, int32_t, int32_t part,
              int32_t parts) {
  if constexpr (F32::has_fma) {  // without it the tier is for old machines, and its code is left out
    run_tiles(s, src, dst, scratch, part, parts);
  }
}

void run(const ConvArgs& s, const float* src, float* dst, float* scratch) {
  run_part(s, src, dst, scratch, 0, 0, 1);
}

}  // namespace winograd
}  // namespace
}  // namespace KERNELET_ISA
}  // namespace kernelet
