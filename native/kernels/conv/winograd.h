// Winograd convolution F(4x4, 3x3) and F(4x4, 5x5) (Lavin and Gray, "Fast Algorithms for Convolutional Neural
// Networks", 2015): 4 and 6.25 times fewer multiplications than the direct sum, at other roundings. The only
// algorithm whose bits differ, so it runs only when asked for.
//
// A tile of A x A inputs (A = 4 + r - 1) gives 4 x 4 outputs: Y = A^T [ (G g G^T) . (B^T d B) ] A.
// For up to tile_width tiles at a time, in 1, 2 or 4 registers (the width):
//   V [A*A][ic][width]  transformed input, lanes are tiles
//   M [A*A][oc][width]  = U [oc][ic] * V for each of the A*A points: the packed GEMM's tile
//   Y                        transformed back, bias, activation, 2x2 pool where fused
#pragma once

#include "common.h"

namespace kernelet {
namespace KERNELET_ISA {
namespace {
namespace winograd {

constexpr int out = 4;  // outputs of a tile in each direction

// Points 0, 1, -1, 2, -2 (and 1/2, -1/2), infinity. B^T depends on them alone; a row of G is
// scale * (1, p, p^2, …), a column of A^T is (1, p, p^2, …); infinity picks the last.
template <int A>
struct Points;

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

// Tiles of a plane of outputs; what they read, with a register's slack behind the last row.
struct Tiling {
  int rows, columns, tiles;
  Plane plane;
};

KERNELET_INLINE int side(const ConvArgs& s) { return out + s.kh - 1; }

KERNELET_INLINE Tiling tiling_of(const ConvArgs& s) {
  Tiling t;
  t.rows = (s.oh + out - 1) / out;
  t.columns = (s.ow + out - 1) / out;
  t.tiles = t.rows * t.columns;
  // never less than the input itself, of which pad() copies every row
  const int h = t.rows * out + s.kh - 1, w = t.columns * out + s.kw - 1;
  t.plane.h = h > s.pt + s.ih ? h : s.pt + s.ih;
  t.plane.w = w > s.pl + s.iw ? w : s.pl + s.iw;
  return t;
}

bool fits(const ConvArgs& s) {
  return F32::has_fma && s.groups == 1 && s.kh == s.kw && (s.kh == 3 || s.kh == 5) && s.sh == 1 &&
         s.sw == 1 && s.dh == 1 && s.dw == 1;
}

KERNELET_INLINE size_t padded(const ConvArgs& s) {
  const Plane plane = tiling_of(s).plane;
  return (static_cast<size_t>(s.ic) * plane.h * plane.w + lanes + 15) / 16 * 16;
}

size_t weights_size(const ConvArgs& s) {
  return static_cast<size_t>(side(s)) * side(s) * s.oc * s.ic + slack<tile_rows>;
}

size_t scratch_size(const ConvArgs& s) {
  const size_t points = static_cast<size_t>(side(s)) * side(s);
  return padded(s) + points * (s.ic + s.oc) * tile_width;
}

// U = G g G^T, in double: [point][part of oc][ic][channels of the part].
template <int A>
KERNELET_COLD void pack_points(const ConvArgs& s, const float* weight, float* packed) {
  constexpr int r = A - out + 1;
  double g[A][r];
  for (int i = 0; i < A; ++i) {
    double power = i < A - 1 ? Points<A>::scale[i] : 0;
    for (int j = 0; j < r; ++j) {
      g[i][j] = i < A - 1 ? power : j == r - 1 ? 1 : 0;
      power *= i < A - 1 ? static_cast<double>(Points<A>::at[i]) : 0;
    }
  }
  const RowParts cut(s.oc, tile_rows);
  for (int part = 0; part < cut.parts; ++part) {
    const int begin = cut.begin(part), end = cut.begin(part + 1);
    for (int ic = 0; ic < s.ic; ++ic) {
      for (int o = begin; o < end; ++o) {
        const float* w = weight + (static_cast<size_t>(o) * s.ic + ic) * r * r;
        for (int i = 0; i < A; ++i) {
          double row[r];
          for (int x = 0; x < r; ++x) {
            row[x] = 0;
            for (int y = 0; y < r; ++y) row[x] += g[i][y] * static_cast<double>(w[y * r + x]);
          }
          for (int j = 0; j < A; ++j) {
            double u = 0;
            for (int x = 0; x < r; ++x) u += row[x] * g[j][x];
            const size_t point = static_cast<size_t>(i) * A + j;
            packed[(point * s.oc + begin) * s.ic + static_cast<size_t>(ic) * (end - begin) + (o - begin)] =
                static_cast<float>(u);
          }
        }
      }
    }
  }
}

void pack(const ConvArgs& s, const float* weight, float* packed) {
  if constexpr (F32::has_fma) {
    memset(packed + weights_size(s) - slack<tile_rows>, 0, sizeof(float) * slack<tile_rows>);
    s.kh == 3 ? pack_points<6>(s, weight, packed) : pack_points<8>(s, weight, packed);
  }
}

// y = B^T x, for registers of lanes.
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
template <int A>
KERNELET_INLINE void times_a(const reg (&x)[A], reg (&y)[out]) {
  float power[A - 1];
  KERNELET_UNROLL
  for (int j = 0; j < A - 1; ++j) power[j] = 1.0f;
  KERNELET_UNROLL
  for (int i = 0; i < out; ++i) {
    reg sum = i == 0 ? x[0] : F32::zero();
    KERNELET_UNROLL
    for (int j = 1; j < A - 1; ++j) sum = F32::muladd(F32::splat(power[j]), x[j], sum);
    y[i] = i == out - 1 ? F32::add(sum, x[A - 1]) : sum;
    KERNELET_UNROLL
    for (int j = 0; j < A - 1; ++j) power[j] *= Points<A>::at[j];
  }
}

// `lanes` tiles of one channel, the first inputs of tile l at tile[l] -> points [A*A], `point` floats apart.
// Reads whole registers, up to `lanes` floats past a tile's row: the padded plane has that slack.
template <int A>
void transform_input(const float* const* tile, int row_step, float* v, size_t point) {
  reg rows[A][A];  // [column j][row i]: transformed along rows first
  for (int i = 0; i < A; ++i) {
    reg d[A], y[A];
    KERNELET_UNROLL
    for (int start = 0; start < A; start += lanes) {
      reg r[lanes];
      KERNELET_UNROLL
      for (int l = 0; l < lanes; ++l)
        r[l] = F32::load(tile[l] + static_cast<ptrdiff_t>(i) * row_step + start);
      transpose(r);
      KERNELET_UNROLL
      for (int j = 0; j < lanes; ++j) {
        if (start + j < A) d[start + j] = r[j];
      }
    }
    times_b<A>(d, y);
    KERNELET_UNROLL
    for (int j = 0; j < A; ++j) rows[j][i] = y[j];
  }
  for (int j = 0; j < A; ++j) {
    reg y[A];
    times_b<A>(rows[j], y);
    KERNELET_UNROLL
    for (int i = 0; i < A; ++i) F32::store(v + (static_cast<size_t>(i) * A + j) * point, y[i]);
  }
}

// Points of `lanes` tiles of one channel -> sums [out][out], a register of tiles each.
template <int A>
KERNELET_INLINE void transform_output(const float* m, size_t point, reg (&sums)[out * out]) {
  reg rows[out][A];
  for (int j = 0; j < A; ++j) {
    reg x[A], y[out];
    KERNELET_UNROLL
    for (int i = 0; i < A; ++i) x[i] = F32::load(m + (static_cast<size_t>(i) * A + j) * point);
    times_a<A>(x, y);
    KERNELET_UNROLL
    for (int i = 0; i < out; ++i) rows[i][j] = y[i];
  }
  for (int i = 0; i < out; ++i) {
    reg y[out];
    times_a<A>(rows[i], y);
    KERNELET_UNROLL
    for (int j = 0; j < out; ++j) sums[i * out + j] = y[j];
  }
}

// Where the tiles of a register go: dst is their channel, `count` of them are there.
struct Targets {
  float* dst;
  int first, count, columns;
};

// sums [n][n][lanes] -> the n x n outputs of each tile, cut at the plane's edge.
[[maybe_unused]] KERNELET_COLD KERNELET_NOINLINE void store_tiles(const ConvArgs& s, const Targets& t, int n,
                                                                  const float* sums) {
  for (int l = 0; l < t.count; ++l) {
    const int y0 = (t.first + l) / t.columns * n, x0 = (t.first + l) % t.columns * n;
    const int h = s.ph - y0 < n ? s.ph - y0 : n, w = s.pw - x0 < n ? s.pw - x0 : n;
    float* to = t.dst + static_cast<size_t>(y0) * s.pw + x0;
    for (int y = 0; y < h; ++y) {
      for (int x = 0; x < w; ++x) to[x] = sums[(y * n + x) * lanes + l];
      to += s.pw;
    }
  }
}

// The same for whole tiles, bias and activation in registers: a transpose puts each tile's rows together.
[[maybe_unused]] KERNELET_NOINLINE void store_whole_tiles(const ConvArgs& s, const Targets& t, float bias,
                                                          reg (&sums)[out * out]) {
  constexpr int rows = lanes / out;  // of a tile that one register holds
  const reg floor = floor_of(s.epilogue.after), b = F32::splat(bias);
  float* to[lanes];
  for (int l = 0; l < lanes; ++l) {
    to[l] =
        t.dst + static_cast<size_t>((t.first + l) / t.columns) * out * s.pw + (t.first + l) % t.columns * out;
  }
  for (int y = 0; y < out; y += rows) {
    reg r[lanes];
    KERNELET_UNROLL
    for (int j = 0; j < lanes; ++j) r[j] = F32::max(floor, F32::add(sums[y * out + j], b));
    transpose(r);
    KERNELET_UNROLL
    for (int l = 0; l < lanes; ++l) {
      float all[lanes];
      F32::store(all, r[l]);
      KERNELET_UNROLL
      for (int row = 0; row < rows; ++row)
        memcpy(to[l] + (y + row) * s.pw, all + row * out, sizeof(float) * out);
    }
  }
}

// Bias, ReLU and pool of sums [4][4][lanes]; returns outputs a side: 4, or 2 when pooled.
KERNELET_COLD inline int finish(const ConvArgs& s, float bias, float* sums) {
  const Epilogue& e = s.epilogue;
  const reg floor = floor_of(e.after), b = F32::splat(bias);
  const int n = e.pool == Pool::none ? out : out / 2;
  for (int i = 0; i < n * n; ++i) {
    reg sum = F32::load(sums + i * lanes);
    if (n < out) {
      // windows are read in front of where their result goes
      const float* top = sums + (i / n * 2 * out + i % n * 2) * lanes;
      sum = max4(F32::load(top), F32::load(top + lanes), F32::load(top + out * lanes),
                 F32::load(top + (out + 1) * lanes));
    }
    F32::store(sums + i * lanes, F32::max(floor, F32::add(sum, b)));
  }
  return n;
}

// m [rows][V * lanes] = a [rows] [k] * b [k][V * lanes]: few tiles, as the last ones of a plane or all of a small one.
template <int V>
struct FewTiles {
  template <int M>
  static void run(int rows, int k, const float* a, const float* b, float* m);
};

template <int V>
template <int M>
void FewTiles<V>::run(int rows, int k, const float* a, const float* b, float* m) {
  rows = rows_of<tile_rows, M>(rows);
  reg c[M][V];
  KERNELET_UNROLL
  for (int row = 0; row < M; ++row) {
    KERNELET_UNROLL
    for (int v = 0; v < V; ++v) c[row][v] = F32::zero();
  }
  multiply_add<M, V>(k, a, rows, b, c);
  KERNELET_UNROLL
  for (int row = 0; row < M; ++row) {
    if (!is_there<tile_rows, M>(row, rows)) continue;
    KERNELET_UNROLL
    for (int v = 0; v < V; ++v) F32::store(m + (row * V + v) * lanes, c[row][v]);
  }
}

template <int A>
void run_points(const ConvArgs& s, const float* src, float* dst, float* scratch) {
  const Tiling tiling = tiling_of(s);
  const Plane plane = tiling.plane;
  pad(s, plane, src, scratch);
  const float* padded_src = scratch;
  float* const v = scratch + padded(s);
  float* const m = v + static_cast<size_t>(A) * A * s.ic * tile_width;
  const RowParts cut(s.oc, tile_rows);
  const size_t out_plane = static_cast<size_t>(s.ph) * s.pw;

  for (int first = 0; first < tiling.tiles; first += tile_width) {
    const int count = tiling.tiles - first < tile_width ? tiling.tiles - first : tile_width;
    const int width = count <= lanes ? lanes : count <= 2 * lanes ? 2 * lanes : tile_width;
    const size_t v_point = static_cast<size_t>(s.ic) * width, m_point = static_cast<size_t>(s.oc) * width;
    for (int begin = 0; begin < count; begin += lanes) {
      size_t offset[lanes];
      for (int l = 0; l < lanes; ++l) {
        // past the end: the last tile again, never stored
        const int tile = first + begin + l < tiling.tiles ? first + begin + l : tiling.tiles - 1;
        offset[l] = (static_cast<size_t>(tile / tiling.columns) * plane.w + tile % tiling.columns) * out;
      }
      for (int ic = 0; ic < s.ic; ++ic) {
        const float* tile[lanes];
        for (int l = 0; l < lanes; ++l)
          tile[l] = padded_src + static_cast<size_t>(ic) * plane.h * plane.w + offset[l];
        transform_input<A>(tile, plane.w, v + static_cast<size_t>(ic) * width + begin, v_point);
      }
    }
    for (int point = 0; point < A * A; ++point) {
      for (int part = 0; part < cut.parts; ++part) {
        const int begin = cut.begin(part);
        const int rows = cut.begin(part + 1) - begin;
        const float* const u = s.weights + (static_cast<size_t>(point) * s.oc + begin) * s.ic;
        float* const sums = m + point * m_point + static_cast<size_t>(begin) * width;
        if (width < tile_width) {
          (width == lanes
               ? kernel_of<FewTiles<1>, tile_rows>
               : kernel_of<FewTiles<2>, tile_rows>)(rows)(rows, s.ic, u, v + point * v_point, sums);
          continue;
        }
        TileArgs t;
        t.rows = rows;
        t.k = s.ic;
        t.a = u;
        t.a_row = 1;
        t.b = v + point * v_point;
        t.partial = sums;
        t.first = true;
        t.last = false;
        kernel_of<ConvTile, tile_rows>(rows)(t);
      }
    }
    const bool whole = s.epilogue.pool == Pool::none && s.ph % out == 0 && s.pw % out == 0;
    for (int o = 0; o < s.oc; ++o) {
      for (int begin = 0; begin < count; begin += lanes) {
        reg sums[out * out];
        transform_output<A>(m + static_cast<size_t>(o) * width + begin, m_point, sums);
        Targets t;
        t.dst = dst + o * out_plane;
        t.first = first + begin;
        t.count = count - begin < lanes ? count - begin : lanes;
        t.columns = tiling.columns;
        if (whole && t.count == lanes) {
          store_whole_tiles(s, t, s.bias[o], sums);
          continue;
        }
        alignas(64) float all[out * out * lanes];
        KERNELET_UNROLL
        for (int i = 0; i < out * out; ++i) F32::store(all + i * lanes, sums[i]);
        const int n = finish(s, s.bias[o], all);
        store_tiles(s, t, n, all);
      }
    }
  }
}

void run(const ConvArgs& s, const float* src, float* dst, float* scratch) {
  if constexpr (F32::has_fma) {  // without it the tier is for old machines, and its code is left out
    s.kh == 3 ? run_points<6>(s, src, dst, scratch) : run_points<8>(s, src, dst, scratch);
  }
}

}  // namespace winograd
}  // namespace
}  // namespace KERNELET_ISA
}  // namespace kernelet
