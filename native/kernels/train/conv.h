// Convolution backward, batched. Each sum has one accumulator: over (oy, ox) for a weight, over (ox, oc, kh) for an
// input; the lanes of a weight's accumulator are then summed by the tree of sums.h.
#pragma once

#include "kernels/batched.h"
#include "sums.h"

namespace kernelet {
namespace KERNELET_ISA {
namespace {
namespace train {

using batched::ConvRow;

// ---------------------------------------------------------------- forward: sum, bias, maximum of 2x2, ReLU

// The bias comes before the maximum here: two sums that only round to the same are a tie, and the first wins.
struct ConvMax {
  template <int M>
  static void run(const ConvArgs& s, const ConvRow& t, float* corner);
};

template <int M>
void ConvMax::run(const ConvArgs& s, const ConvRow& t, float* corner) {
  const int channels = rows_of<tile_rows, M>(t.channels);
  const reg floor = floor_of(s.epilogue.after);
  const size_t out_plane = static_cast<size_t>(s.ph) * s.pw * lanes;
  for (int column = 0; column < s.pw; ++column) {
    reg c[M][tile_vectors];
    batched::conv_sums<M, true>(s, t, t.src + static_cast<ptrdiff_t>(column) * 2 * s.sw * lanes, c);
    KERNELET_UNROLL
    for (int m = 0; m < M; ++m) {
      if (!is_there<tile_rows, M>(m, channels)) continue;
      const ptrdiff_t at = static_cast<ptrdiff_t>(column) * lanes + m * static_cast<ptrdiff_t>(out_plane);
      const reg bias = F32::splat(t.bias[m]);
      reg best = F32::add(c[m][0], bias), which = F32::zero();
      KERNELET_UNROLL
      for (int p = 1; p < tile_vectors; ++p) {
        const reg v = F32::add(c[m][p], bias);
        which = F32::select_gt(v, best, F32::splat(static_cast<float>(p)), which);
        best = running_max(best, v);
      }
      F32::store(t.dst + at, F32::max(floor, best));
      F32::store(corner + at, which);
    }
  }
}

// src [ic][ih][iw][lanes] -> dst, corner [oc][ph][pw][lanes]; scratch and packed weights as batched::conv
void conv_max(const ConvArgs& s, const float* src, float* dst, float* corner, float* scratch) {
  ConvRow t;
  t.plane = padded_plane(s);
  if (is_padded(s, t.plane)) {
    pad(s, t.plane, src, scratch, lanes);
    src = scratch;
  }
  const int m = conv_m(s), k = conv_k(s);
  const RowParts cut(m, tile_rows);
  const size_t in_row = static_cast<size_t>(t.plane.w) * lanes, out_row = static_cast<size_t>(s.pw) * lanes;
  for (int g = 0; g < s.groups; ++g) {
    const float* group_src = src + static_cast<size_t>(g) * (s.ic / s.groups) * t.plane.h * in_row;
    for (int row = 0; row < s.ph; ++row) {
      t.src = group_src + static_cast<size_t>(row) * 2 * s.sh * in_row;
      for (int part = 0; part < cut.parts; ++part) {
        const int begin = cut.begin(part);
        t.channels = cut.begin(part + 1) - begin;
        const size_t channel = static_cast<size_t>(g) * m + begin;
        const size_t at = (channel * s.ph + row) * out_row;
        t.weights = s.weights + channel * k;
        t.bias = s.bias + channel;
        t.dst = dst + at;
        kernel_of<ConvMax, tile_rows>(t.channels)(s, t, corner + at);
      }
    }
  }
}

// grad, dst, corner [oc][ph][pw][lanes] -> full [oc][oh][ow][lanes], oh = 2 ph, ow = 2 pw
void conv_max_dx(const ConvArgs& s, const float* dst, const float* corner, const float* grad, float* full) {
  const size_t row = static_cast<size_t>(s.ow) * lanes;
  const bool relu = s.epilogue.after.f == Activation::relu;
  for (int cy = 0; cy < s.oc * s.ph; ++cy) {
    for (int x = 0; x < s.pw; ++x) {
      const reg zero = F32::zero();
      reg g = F32::load(grad);
      if (relu) g = F32::select_gt(F32::load(dst), zero, g, zero);
      const reg which = F32::load(corner);
      const reg low = F32::select_gt(which, F32::splat(1.5f), zero, g);
      const reg high = F32::select_gt(which, F32::splat(1.5f), g, zero);
      const reg odd_low = F32::select_gt(which, F32::splat(0.5f), low, zero);
      const reg even_low = F32::select_gt(which, F32::splat(0.5f), zero, low);
      float* to = full + static_cast<size_t>(x) * 2 * lanes;
      F32::store(to, even_low);
      F32::store(to + lanes, odd_low);
      F32::store(to + row, F32::select_gt(which, F32::splat(2.5f), zero, high));
      F32::store(to + row + lanes, F32::select_gt(which, F32::splat(2.5f), high, zero));
      grad += lanes;
      dst += lanes;
      corner += lanes;
    }
    full += 2 * row;
  }
}

// ---------------------------------------------------------------- dX
//
// A row of dX is kept in `line`, padded as the row of the input was. For R neighbouring outputs of a row of dY
// the window of dX that they touch lies in registers, while all channels and rows of the window go by:
//
//   line  . . [ x0  x1  x2  x3  x4  x5 ] . .      R = 2 and kw = 5: six pixels x M channels
//                w0  w1  w2  w3  w4               * dY[ox]
//                    w0  w1  w2  w3  w4           * dY[ox + 1]
//
// Nothing is spent on taps that fall outside. R = 2 needs neighbours in dX too: stride and dilation of 1.

// Taps of a row are cut into windows of these; how does not depend on the tier, since it decides the order of sums.
KERNELET_INLINE int dx_taps(int left, bool pairs) {
  if (pairs && left >= 5) return 5;
  if (left >= 3) return 3;
  return pairs && left == 2 ? 2 : 1;
}

constexpr int dx_channels = lanes > 1 ? 2 : 1;
static_assert(6 * dx_channels + 3 <= F32::registers, "dX does not fit the registers");

struct DxLine {
  const float* grad;                 // [oc of the group][oh][ow][lanes], first output column of the window
  const float* weight;               // first channel of the part, first tap of the part
  float* line;                       // [channel][line width][lanes], where tap 0 of the first output falls
  ptrdiff_t next_line, next_weight;  // from a channel to the next; 0 where one runs as two
  int first_kh, last_kh, step_kh;    // rows of the window that reach this row of dX …
  int first_oy;  // … the first of them from this row of dY, the next from the one `back` before
  int back;
  bool second;  // is there a second output? (its gradient is 0 where not)
};

template <int T, int R, int M>
void dx_window(const ConvArgs& s, const DxLine& d) {
  constexpr int width = T + R - 1;
  const ptrdiff_t pixel = (R == 2 ? 1 : static_cast<ptrdiff_t>(s.dw)) * lanes;
  reg c[M][width];
  KERNELET_UNROLL
  for (int m = 0; m < M; ++m) {
    KERNELET_UNROLL
    for (int i = 0; i < width; ++i) c[m][i] = F32::load(d.line + m * d.next_line + i * pixel);
  }
  const ptrdiff_t row = static_cast<ptrdiff_t>(s.ow) * lanes, plane = s.oh * row;
  const ptrdiff_t channel = d.next_weight;
  const ptrdiff_t next_oc = static_cast<ptrdiff_t>(s.kh) * s.kw * (s.ic / s.groups);
  const float* grad_plane = d.grad + d.first_oy * row;
  const float* weight_oc = d.weight + static_cast<ptrdiff_t>(d.first_kh) * s.kw;
  int oc = conv_m(s);
  do {
    const float *g = grad_plane, *w = weight_oc;
    for (int kh = d.first_kh; kh <= d.last_kh; kh += d.step_kh) {
      reg y[R];
      y[0] = F32::load(g);
      if (R == 2) y[R - 1] = d.second ? F32::load(g + lanes) : F32::zero();
      KERNELET_UNROLL
      for (int m = 0; m < M; ++m) {
        KERNELET_UNROLL
        for (int t = 0; t < T; ++t) {
          const reg wt = F32::splat(w[m * channel + t]);
          KERNELET_UNROLL
          for (int r = 0; r < R; ++r) c[m][t + r] = F32::muladd(wt, y[r], c[m][t + r]);
        }
      }
      g -= d.back * row;
      w += static_cast<ptrdiff_t>(d.step_kh) * s.kw;
    }
    grad_plane += plane;
    weight_oc += next_oc;
  } while (--oc > 0);
  KERNELET_UNROLL
  for (int m = 0; m < M; ++m) {
    KERNELET_UNROLL
    for (int i = 0; i < width; ++i) F32::store(d.line + m * d.next_line + i * pixel, c[m][i]);
  }
}

using DxKernel = void (*)(const ConvArgs&, const DxLine&);

template <int M>
KERNELET_INLINE DxKernel dx_kernel_of(int taps, bool pairs) {
  if (!pairs) return taps == 3 ? dx_window<3, 1, M> : dx_window<1, 1, M>;
  switch (taps) {
    case 5: return dx_window<5, 2, M>;
    case 3: return dx_window<3, 2, M>;
    case 2: return dx_window<2, 2, M>;
    default: return dx_window<1, 2, M>;
  }
}

// Pixels of a padded row of dX: what the windows reach (with one pixel for the second output that may not be
// there), and at least the row itself.
KERNELET_INLINE int dx_line_width(const ConvArgs& s) {
  const int reach = (s.ow - 1) * s.sw + (s.kw - 1) * s.dw + 2;
  return reach > s.pl + s.iw ? reach : s.pl + s.iw;
}

size_t conv_dx_scratch(const ConvArgs& s) {
  return static_cast<size_t>(dx_channels) * dx_line_width(s) * lanes;
}

// Rows of the window that reach row y of the input: kh, kh + step, … up to last, none where last < first.
KERNELET_INLINE void rows_reaching(const ConvArgs& s, int y, DxLine& d) {
  const int padded = y + s.pt;
  d.step_kh = 1;
  d.first_kh = s.kh;
  d.last_kh = -1;
  d.first_oy = 0;
  int found = 0;
  for (int kh = 0; kh < s.kh; ++kh) {
    const int top = padded - kh * s.dh;
    if (top < 0 || top % s.sh != 0 || top / s.sh >= s.oh) continue;
    if (found == 0) {
      d.first_kh = kh;
      d.first_oy = top / s.sh;
    } else if (found == 1) {
      d.step_kh = kh - d.first_kh;
    }
    d.last_kh = kh;
    ++found;
  }
  d.back = d.step_kh * s.dh / s.sh;
}

// weight [oc][ic/groups][kh][kw], grad [oc][oh][ow][lanes] -> dx [ic][ih][iw][lanes]
void conv_dx(const ConvArgs& s, const float* weight, const float* grad, float* dx, float* scratch) {
  const int group_ic = s.ic / s.groups, width = dx_line_width(s);
  const bool pairs = s.sw == 1 && s.dw == 1;
  const int step = pairs ? 2 : 1;
  const size_t in_row = static_cast<size_t>(s.iw) * lanes;
  DxLine d;
  const ptrdiff_t line_width = static_cast<ptrdiff_t>(width) * lanes;
  for (int g = 0; g < s.groups; ++g) {
    const float* group_grad = grad + static_cast<size_t>(g) * conv_m(s) * s.oh * s.ow * lanes;
    const float* group_weight = weight + static_cast<size_t>(g) * conv_m(s) * conv_k(s);
    for (int ic = 0; ic < group_ic;) {
      const int channels = group_ic - ic >= dx_channels ? dx_channels : 1;
      const bool alone = one_size && channels < dx_channels;
      d.next_line = alone ? 0 : line_width;
      d.next_weight = alone ? 0 : static_cast<ptrdiff_t>(s.kh) * s.kw;
      for (int y = 0; y < s.ih; ++y) {
        memset(scratch, 0, sizeof(float) * channels * static_cast<size_t>(line_width));
        rows_reaching(s, y, d);
        for (int tap = 0, taps = 0; d.last_kh >= 0 && tap < s.kw; tap += taps) {
          taps = dx_taps(s.kw - tap, pairs);
          const DxKernel kernel = channels == 1 && !one_size ? dx_kernel_of<1>(taps, pairs)
                                                             : dx_kernel_of<dx_channels>(taps, pairs);
          d.weight = group_weight + static_cast<size_t>(ic) * s.kh * s.kw + tap;
          for (int ox = 0; ox < s.ow; ox += step) {
            d.grad = group_grad + static_cast<size_t>(ox) * lanes;
            d.line = scratch + (static_cast<size_t>(ox) * s.sw + static_cast<size_t>(tap) * s.dw) * lanes;
            d.second = ox + 1 < s.ow;
            kernel(s, d);
          }
        }
        for (int m = 0; m < channels; ++m) {
          copy_row(scratch + m * line_width + static_cast<size_t>(s.pl) * lanes, in_row,
                   dx + ((static_cast<size_t>(g) * group_ic + ic + m) * s.ih + y) * in_row);
        }
      }
      ic += channels;
    }
  }
}

// ---------------------------------------------------------------- dW
//
// M channels x T taps of weights, each a register of accumulators (one an image) over the pixels of some rows; a tap is
// an offset into the padded input. Rows go by in chunks that stay in the first-level cache; in between the
// accumulators lie in `sums` [oc][k][lanes].

constexpr bool many_registers = F32::registers >= 32;
constexpr int dw_taps = many_registers ? 5 : 4, fewer_dw_taps = many_registers ? 3 : 2;
constexpr int dw_channels = many_registers ? 4 : lanes > 1 ? 3 : 1;
static_assert(dw_taps * dw_channels + dw_channels + 1 <= F32::registers, "dW does not fit the registers");

// Of what is left: as many as there is a tile for. A weight's sum does not depend on it.
KERNELET_INLINE int dw_taps_of(int left) {
  return left >= dw_taps ? dw_taps : left >= fewer_dw_taps ? fewer_dw_taps : 1;
}
KERNELET_INLINE int dw_channels_of(int left) {
  if (left >= dw_channels && left != dw_channels + 1) return dw_channels;
  return left >= 2 && dw_channels > 1 && !one_size ? 2 : 1;
}

struct DwTile {
  const float* src;          // padded, first channel of the group, first row of the chunk
  const float* grad;         // first channel of the tile, first row of the chunk
  const ptrdiff_t* offsets;  // of the taps
  float* sums;               // first channel, first tap
  ptrdiff_t next_channel;    // of sums
  ptrdiff_t src_row;         // from a row of outputs to the next
  int rows;
  bool first;  // the accumulation starts here
};

template <int M, int T>
void dw_tile(const ConvArgs& s, const DwTile& d) {
  reg c[M][T];
  KERNELET_UNROLL
  for (int m = 0; m < M; ++m) {
    KERNELET_UNROLL
    for (int t = 0; t < T; ++t)
      c[m][t] = d.first ? F32::zero() : F32::load(d.sums + m * d.next_channel + t * lanes);
  }
  const ptrdiff_t plane = static_cast<ptrdiff_t>(s.oh) * s.ow * lanes,
                  right = static_cast<ptrdiff_t>(s.sw) * lanes;
  const float* g = d.grad;
  const float* src = d.src;
  int rows = d.rows;
  do {
    const float* x[T];
    KERNELET_UNROLL
    for (int t = 0; t < T; ++t) x[t] = src + d.offsets[t];
    ptrdiff_t at = 0;
    int columns = s.ow;
    do {
      reg y[M];
      KERNELET_UNROLL
      for (int m = 0; m < M; ++m) y[m] = F32::load(g + m * plane);
      KERNELET_UNROLL
      for (int t = 0; t < T; ++t) {
        const reg xt = F32::load(x[t] + at);
        KERNELET_UNROLL
        for (int m = 0; m < M; ++m) c[m][t] = F32::muladd(y[m], xt, c[m][t]);
      }
      g += lanes;
      at += right;
    } while (--columns > 0);
    src += d.src_row;
  } while (--rows > 0);
  KERNELET_UNROLL
  for (int m = 0; m < M; ++m) {
    KERNELET_UNROLL
    for (int t = 0; t < T; ++t) F32::store(d.sums + m * d.next_channel + t * lanes, c[m][t]);
  }
}

using DwKernel = void (*)(const ConvArgs&, const DwTile&);

template <int M>
KERNELET_INLINE DwKernel dw_kernel_of(int taps) {
  return taps == dw_taps         ? dw_tile<M, dw_taps>
         : taps == fewer_dw_taps ? dw_tile<M, fewer_dw_taps>
                                 : dw_tile<M, 1>;
}

KERNELET_INLINE DwKernel dw_kernel_of(int channels, int taps) {
  if (channels == dw_channels) return dw_kernel_of<dw_channels>(taps);
  if constexpr (dw_channels > 1 && !one_size) {
    if (channels == 2) return dw_kernel_of<2>(taps);
  }
  return dw_kernel_of<1>(taps);
}

KERNELET_INLINE size_t dw_padded_size(const ConvArgs& s, Plane plane) {
  return is_padded(s, plane) ? static_cast<size_t>(s.ic) * plane.h * plane.w * lanes : 0;
}

size_t conv_dw_scratch(const ConvArgs& s) {
  return dw_padded_size(s, padded_plane(s)) + static_cast<size_t>(s.oc) * (conv_k(s) + 1) * lanes;
}

// grad [channels][pixels][lanes] -> db [channels]; sums [channels][lanes]
void channel_sums(int32_t channels, size_t pixels, const float* grad, float* db, float* sums) {
  // four channels side by side: one alone would wait for its own sums
  constexpr int at_once = 4;
  const size_t plane = pixels * lanes;
  for (int channel = 0; channel < channels; channel += at_once) {
    const float* from[at_once];
    reg sum[at_once];
    for (int c = 0; c < at_once; ++c) {
      from[c] = grad + static_cast<size_t>(channel + c < channels ? channel + c : channel) * plane;
      sum[c] = F32::zero();
    }
    for (size_t i = 0; i < plane; i += lanes) {
      KERNELET_UNROLL
      for (int c = 0; c < at_once; ++c) sum[c] = F32::add(sum[c], F32::load(from[c] + i));
    }
    for (int c = 0; c < at_once && channel + c < channels; ++c)
      F32::store(sums + static_cast<size_t>(channel + c) * lanes, sum[c]);
  }
  sum_images(static_cast<size_t>(channels), sums, db);
}

// src [ic][ih][iw][lanes], grad [oc][oh][ow][lanes] -> dw [oc][k], db [oc] or null
void conv_dw(const ConvArgs& s, const float* src, const float* grad, float* dw, float* db, float* scratch) {
  const Plane plane = padded_plane(s);
  if (is_padded(s, plane)) {
    pad(s, plane, src, scratch, lanes);
    src = scratch;
  }
  float* const sums = scratch + dw_padded_size(s, plane);
  const int m = conv_m(s), k = conv_k(s), group_ic = s.ic / s.groups;
  const ptrdiff_t in_row = static_cast<ptrdiff_t>(plane.w) * lanes;
  // rows of dY and of the input that stay in half of a 32 KiB cache, and at least 64 pixels
  const int row_floats = (dw_channels * s.ow + s.sh * plane.w) * lanes;
  int chunk = 6144 / row_floats;
  if (chunk * s.ow < 64) chunk = (64 + s.ow - 1) / s.ow;
  DwTile d;
  d.next_channel = static_cast<ptrdiff_t>(k) * lanes;
  d.src_row = s.sh * in_row;
  for (int g = 0; g < s.groups; ++g) {
    const float* group_src = src + static_cast<ptrdiff_t>(g) * group_ic * plane.h * in_row;
    for (int row = 0; row < s.oh; row += chunk) {
      d.first = row == 0;
      d.rows = s.oh - row < chunk ? s.oh - row : chunk;
      d.src = group_src + row * d.src_row;
      for (int channel = 0, channels = 0; channel < m; channel += channels) {
        channels = dw_channels_of(m - channel);
        const ptrdiff_t oc = static_cast<ptrdiff_t>(g) * m + channel;
        d.grad = grad + (oc * s.oh + row) * s.ow * lanes;
        int kw = 0, kh = 0, ic = 0;
        for (int tap = 0, taps = 0; tap < k; tap += taps) {
          taps = dw_taps_of(k - tap);
          ptrdiff_t offsets[dw_taps];
          for (int t = 0; t < taps; ++t) {
            offsets[t] = (static_cast<ptrdiff_t>(ic) * plane.h + kh * s.dh) * in_row +
                         static_cast<ptrdiff_t>(kw) * s.dw * lanes;
            if (++kw < s.kw) continue;
            kw = 0;
            if (++kh < s.kh) continue;
            kh = 0;
            ++ic;
          }
          d.offsets = offsets;
          d.sums = sums + (oc * k + tap) * lanes;
          dw_kernel_of(channels, taps)(s, d);
        }
      }
    }
  }
  sum_images(static_cast<size_t>(s.oc) * k, sums, dw);
  if (db != nullptr)
    channel_sums(s.oc, static_cast<size_t>(s.oh) * s.ow, grad, db,
                 sums + static_cast<size_t>(s.oc) * k * lanes);
}

}  // namespace train
}  // namespace
}  // namespace KERNELET_ISA
}  // namespace kernelet
