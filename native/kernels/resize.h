// Resized planes: src [c][ih][iw] -> dst [c][oh][ow], a pixel being `width` floats: one of an image alone, or the lanes of
// a block of images or of channels. Where outputs lie in the input is said by the row and by the column: rows, columns.
//
// nearest: dst[y][x] = src[rows[y]][columns[x]]
// linear: between columns[x] and the next, then between rows[y] and the next; at the last row or column there is none
#pragma once

#include "table.h"
#include "vec.h"

namespace kernelet {
namespace KERNELET_ISA {
namespace {
namespace resize {

// The next row or column, or the last.
KERNELET_INLINE int next_to(int at, int n) { return at + 1 < n ? at + 1 : at; }

// a (1 - share) + b share
KERNELET_INLINE reg between(reg a, reg b, reg share) {
  return F32::muladd(b, share, F32::mul(a, F32::sub(F32::splat(1.0f), share)));
}

// A row of twice as many pixels, or one less.
KERNELET_INLINE void double_row(const float* src, int ow, float* dst) {
  int x = 0;
  for (; x + 2 * lanes <= ow; x += 2 * lanes) {
    reg low = F32::load(src + x / 2), high = low;
    alternate(low, high);
    F32::store(dst + x, low);
    F32::store(dst + x + lanes, high);
  }
  for (; x < ow; ++x) dst[x] = src[x / 2];
}

KERNELET_COLD void nearest(const ResizeArgs& s, int32_t width, const float* src, float* dst) {
  bool doubles = width == 1;
  for (int x = 0; x < s.ow; ++x) doubles = doubles && s.columns[x] == x / 2;
  const size_t in_row = static_cast<size_t>(s.iw) * width, row = static_cast<size_t>(s.ow) * width;
  for (int c = 0; c < s.c; ++c) {
    for (int y = 0; y < s.oh; ++y) {
      const float* const from = src + s.rows[y] * in_row;
      if (y > 0 && s.rows[y] == s.rows[y - 1]) {
        memcpy(dst, dst - row, sizeof(float) * row);
      } else if (doubles) {
        double_row(from, s.ow, dst);
      } else if (width == 1) {
        for (int x = 0; x < s.ow; ++x) dst[x] = from[s.columns[x]];
      } else {
        for (int x = 0; x < s.ow; ++x)
          F32::store(dst + static_cast<size_t>(x) * lanes,
                     F32::load(from + static_cast<size_t>(s.columns[x]) * lanes));
      }
      dst += row;
    }
    src += s.ih * in_row;
  }
}

// So many floats of a row of outputs at once; two rows between columns stay in the nearest cache.
constexpr int strip = 128;

// Outputs first … first + pixels of one row of the input, between its columns.
KERNELET_INLINE void between_columns(const ResizeArgs& s, int width, const float* row, int first, int pixels,
                                     float* line) {
  if (width > 1) {
    for (int x = first; x < first + pixels; ++x, line += lanes) {
      const float* const a = row + static_cast<size_t>(s.columns[x]) * lanes;
      const float* const b = row + static_cast<size_t>(next_to(s.columns[x], s.iw)) * lanes;
      F32::store(line, between(F32::load(a), F32::load(b), F32::splat(s.right[x])));
    }
    return;
  }
  float left[strip], right[strip];
  for (int i = 0; i < pixels; ++i) {
    left[i] = row[s.columns[first + i]];
    right[i] = row[next_to(s.columns[first + i], s.iw)];
  }
  for (int i = 0; i < pixels; i += lanes) {
    const int n = pixels - i < lanes ? pixels - i : lanes;
    const reg share = F32::load_first(s.right + first + i, n);
    F32::store(line + i, between(F32::load_first(left + i, n), F32::load_first(right + i, n), share));
  }
}

KERNELET_COLD void linear(const ResizeArgs& s, int32_t width, const float* src, float* dst) {
  const size_t in_row = static_cast<size_t>(s.iw) * width, row = static_cast<size_t>(s.ow) * width;
  const int at_once = strip / width;
  for (int c = 0; c < s.c; ++c) {
    for (int first = 0; first < s.ow; first += at_once) {
      const int pixels = s.ow - first < at_once ? s.ow - first : at_once;
      // row i of the input lies in line i mod 2
      float lines[2][strip];
      int held[2] = {-1, -1};
      for (int y = 0; y < s.oh; ++y) {
        const int above = s.rows[y], below = next_to(above, s.ih);
        for (int n = 0; n < 2; ++n) {
          const int i = n == 0 ? above : below;
          if (held[i & 1] == i) continue;
          between_columns(s, width, src + i * in_row, first, pixels, lines[i & 1]);
          held[i & 1] = i;
        }
        float* const to = dst + y * row + static_cast<size_t>(first) * width;
        const reg share = F32::splat(s.down[y]);
        for (int i = 0; i < pixels * width; i += lanes) {
          const int left = pixels * width - i;
          const reg value = between(F32::load(lines[above & 1] + i), F32::load(lines[below & 1] + i), share);
          F32::store_first(to + i, value, left < lanes ? left : lanes);
        }
      }
    }
    src += s.ih * in_row;
    dst += s.oh * row;
  }
}

}  // namespace resize

// Backward, batched: grad [c][oh][ow][lanes] -> dx [c][ih][iw][lanes], summed over the outputs in their order.
namespace train {

KERNELET_COLD void nearest_dx(const ResizeArgs& s, const float* grad, float* dx) {
  const size_t plane = static_cast<size_t>(s.ih) * s.iw * lanes;
  memset(dx, 0, sizeof(float) * s.c * plane);
  for (int c = 0; c < s.c; ++c) {
    for (int y = 0; y < s.oh; ++y) {
      for (int x = 0; x < s.ow; ++x) {
        float* const to = dx + (static_cast<size_t>(s.rows[y]) * s.iw + s.columns[x]) * lanes;
        F32::store(to, F32::add(F32::load(to), F32::load(grad)));
        grad += lanes;
      }
    }
    dx += plane;
  }
}

KERNELET_COLD void linear_resize_dx(const ResizeArgs& s, const float* grad, float* dx) {
  const size_t plane = static_cast<size_t>(s.ih) * s.iw * lanes;
  memset(dx, 0, sizeof(float) * s.c * plane);
  const reg one = F32::splat(1.0f);
  for (int c = 0; c < s.c; ++c) {
    for (int y = 0; y < s.oh; ++y) {
      const reg below = F32::splat(s.down[y]), above = F32::sub(one, below);
      for (int x = 0; x < s.ow; ++x) {
        const reg right = F32::splat(s.right[x]), left = F32::sub(one, right), g = F32::load(grad);
        const int columns[2] = {s.columns[x], resize::next_to(s.columns[x], s.iw)};
        const int rows[2] = {s.rows[y], resize::next_to(s.rows[y], s.ih)};
        for (int tap = 0; tap < 4; ++tap) {
          float* const to = dx + (static_cast<size_t>(rows[tap / 2]) * s.iw + columns[tap % 2]) * lanes;
          const reg row = F32::mul(g, tap / 2 == 0 ? above : below);
          F32::store(to, F32::muladd(row, tap % 2 == 0 ? left : right, F32::load(to)));
        }
        grad += lanes;
      }
    }
    dx += plane;
  }
}

}  // namespace train
}  // namespace
}  // namespace KERNELET_ISA
}  // namespace kernelet
