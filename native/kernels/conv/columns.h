// im2col for one panel: the B operand of conv as a GEMM, k-major, built where it is used, so the whole
// column matrix never exists. A column is an output pixel; a row is a tap (ic, kh, kw) of the window.
//
// With a fused 2x2 pool the columns come in window order: vector v of the panel holds corner v
// (top left, top right, bottom left, bottom right) of `lanes` neighbouring windows, so the pool is a
// maximum of four registers:
//
//   panel columns:  [ corner 0 of windows p..p+L-1 | corner 1 … | corner 2 … | corner 3 … ]
#pragma once

#include "common.h"

namespace kernelet {
namespace KERNELET_ISA {
namespace {

// A run of columns whose pixels lie `step` floats apart in the plane.
struct Run {
  int column, length, offset, step;
};

struct Columns {
  int runs;
  Run run[tile_width];
};

// The columns of the panel that starts at output (or window) `first` of `total`. Columns past the end
// repeat the last one: they read inside the input and are never stored.
KERNELET_COLD inline void locate_columns(const ConvArgs& s, Plane plane, int first, int total, Columns& out) {
  const bool pooled = s.epilogue.pool != Pool::none;
  const int width = pooled ? s.pw : s.ow;
  const int corners = pooled ? tile_vectors : 1;
  const int per_corner = tile_width / corners;
  const int scale = pooled ? 2 : 1;
  out.runs = 0;
  for (int corner = 0; corner < corners; ++corner) {
    const int dy = corner >> 1, dx = corner & 1;
    int j = 0;
    while (j < per_corner) {
      const int p = first + j < total ? first + j : total - 1;
      const int y = p / width, x = p % width;
      Run r;
      r.column = corner * per_corner + j;
      r.offset = (y * scale + dy) * s.sh * plane.w + (x * scale + dx) * s.sw;
      r.step = scale * s.sw;
      r.length = 1;
      if (first + j < total) {
        const int to_row_end = width - x, to_panel_end = per_corner - j;
        r.length = to_row_end < to_panel_end ? to_row_end : to_panel_end;
      }
      out.run[out.runs++] = r;
      j += r.length;
    }
  }
}

// to[j] = from[j * step]
KERNELET_INLINE void copy_run(const float* from, int step, int length, float* to) {
  int j = 0;
  if (step == 1) {
    for (; j + lanes <= length; j += lanes) F32::store(to + j, F32::load(from + j));
  } else if (step == 2) {
    // the last pair of registers would reach one float past the run
    for (; j + lanes < length; j += lanes) {
      F32::store(to + j, F32::even(F32::load(from + 2 * j), F32::load(from + 2 * j + lanes)));
    }
  }
  for (; j < length; ++j) to[j] = from[static_cast<ptrdiff_t>(j) * step];
}

// Taps [k0, k1) of neighbouring panels: panel[i][k - k0][tile_width], `panel_size` floats from one to the next.
inline void im2col_panels(const ConvArgs& s, Plane plane, const float* src, const Columns* columns,
                          int panels, int k0, int k1, float* panel, size_t panel_size) {
  const int taps = s.kh * s.kw;
  int c = k0 / taps, r = k0 % taps / s.kw, t = k0 % s.kw;
  for (int k = k0; k < k1; ++k) {
    const float* tap = src + static_cast<size_t>(c) * plane.h * plane.w +
                       static_cast<size_t>(r) * s.dh * plane.w + static_cast<size_t>(t) * s.dw;
    for (int i = 0; i < panels; ++i) {
      for (int j = 0; j < columns[i].runs; ++j) {
        const Run& run = columns[i].run[j];
        copy_run(tap + run.offset, run.step, run.length, panel + i * panel_size + run.column);
      }
    }
    panel += tile_width;
    if (++t == s.kw) {
      t = 0;
      if (++r == s.kh) {
        r = 0;
        ++c;
      }
    }
  }
}

}  // namespace
}  // namespace KERNELET_ISA
}  // namespace kernelet
