// Kernels over the batched layout: every value is [elements][lanes], an image in each SIMD lane, so that nothing is
// ever shuffled and every output is accumulated in the same order as alone. What batches of small networks run on.
#pragma once

#include "kernels/conv/common.h"
#include "pool.h"

namespace kernelet {
namespace KERNELET_ISA {
namespace {
namespace batched {

// One row of output tiles of one part of the channels.
struct ConvRow {
  int channels;
  Plane plane;       // as read: padded where the convolution is
  const float* src;  // first input channel of the group, first tap of the row's first pixel
  const float* weights;
  const float* bias;
  float* dst;  // first channel of the part, first output of the row
};

// tile: M channels x 4 pixels, weights broadcast. The pixels are the corners of a window, or neighbours.
template <int M, bool Pooled>
KERNELET_INLINE void conv_sums(const ConvArgs& s, const ConvRow& t, const float* first,
                               reg (&c)[M][tile_vectors]) {
  KERNELET_UNROLL
  for (int m = 0; m < M; ++m) {
    KERNELET_UNROLL
    for (int p = 0; p < tile_vectors; ++p) c[m][p] = F32::zero();
  }
  const int channels = rows_of<tile_rows, M>(t.channels);
  const float* w = t.weights;
  const ptrdiff_t row = static_cast<ptrdiff_t>(t.plane.w) * lanes, plane = t.plane.h * row;
  const ptrdiff_t right = static_cast<ptrdiff_t>(s.sw) * lanes, down = s.sh * row;
  const ptrdiff_t next_kw = static_cast<ptrdiff_t>(s.dw) * lanes, next_kh = s.dh * row;
  int ic = s.ic / s.groups;
  do {
    const float* tap_row = first;
    int kh = s.kh;
    do {
      const float* tap = tap_row;
      int kw = s.kw;
      do {
        reg wm[M];
        KERNELET_UNROLL
        for (int m = 0; m < M; ++m) wm[m] = F32::splat(w[m]);
        KERNELET_UNROLL
        for (int p = 0; p < tile_vectors; ++p) {
          const reg v = F32::load(Pooled ? tap + (p >> 1) * down + (p & 1) * right : tap + p * right);
          KERNELET_UNROLL
          for (int m = 0; m < M; ++m) c[m][p] = F32::muladd(v, wm[m], c[m][p]);
        }
        w += channels;
        tap += next_kw;
      } while (--kw > 0);
      tap_row += next_kh;
    } while (--kh > 0);
    first += plane;
  } while (--ic > 0);
}

template <bool Pooled>
struct ConvKernel {
  template <int M>
  static void run(const ConvArgs& s, const ConvRow& t);
};

template <bool Pooled>
template <int M>
void ConvKernel<Pooled>::run(const ConvArgs& s, const ConvRow& t) {
  constexpr int step = Pooled ? 1 : tile_vectors;
  const int channels = rows_of<tile_rows, M>(t.channels);
  const Epilogue& e = s.epilogue;
  const bool in_registers = !Pooled || without_nan(s);
  const reg floor = floor_of(e.after);
  const size_t out_plane = static_cast<size_t>(s.ph) * s.pw * lanes;
  for (int column = 0; column < s.pw; column += step) {
    const int stored = s.pw - column < step ? s.pw - column : step;
    reg c[M][tile_vectors];
    conv_sums<M, Pooled>(s, t, t.src + static_cast<ptrdiff_t>(column) * (Pooled ? 2 : 1) * s.sw * lanes, c);
    float* dst = t.dst + static_cast<ptrdiff_t>(column) * lanes;
    if (stored < step || !in_registers) {
      alignas(64) float sums[M * tile_width];
      store_accumulators<M>(channels, sums, c);
      for (int m = 0; m < channels; ++m) {
        finish_conv_row(e, t.bias[m], sums + m * tile_width, dst + m * out_plane, stored * lanes);
      }
      continue;
    }
    KERNELET_UNROLL
    for (int m = 0; m < M; ++m) {
      if (!is_there<tile_rows, M>(m, channels)) continue;
      const reg bias = F32::splat(t.bias[m]);
      float* to = dst + m * out_plane;
      if constexpr (Pooled) {
        const reg best = F32::max(F32::max(c[m][3], c[m][2]), F32::max(c[m][1], c[m][0]));
        F32::store(to, F32::max(floor, F32::add(best, bias)));
      } else {
        KERNELET_UNROLL
        for (int p = 0; p < tile_vectors; ++p)
          F32::store(to + p * lanes, F32::max(floor, F32::add(c[m][p], bias)));
      }
    }
  }
}

// A channel of its own, as depthwise ones are, has a kernel where there is more than one.
template <bool Pooled>
KERNELET_INLINE auto conv_kernel_of(int channels) {
  const auto kernel = kernel_of<ConvKernel<Pooled>, tile_rows>(channels);
  if constexpr (one_size) return kernel;
  else return channels == 1 ? ConvKernel<Pooled>::template run<1> : kernel;
}

bool conv_fits(const ConvArgs&) { return true; }
KERNELET_COLD size_t conv_weights_size(const ConvArgs& s) { return packed_size<tile_rows>(s); }
void conv_pack(const ConvArgs& s, const float* weight, float* packed) {
  pack_with_slack<tile_rows>(s, weight, packed);
}

// A row of neighbours is computed in whole tiles: the plane reaches as far as its last tile does.
KERNELET_INLINE ConvArgs in_whole_tiles(const ConvArgs& s) {
  ConvArgs wide = s;
  if (s.epilogue.pool == Pool::none) wide.ow = (s.ow + tile_vectors - 1) / tile_vectors * tile_vectors;
  return wide;
}

KERNELET_COLD size_t conv_scratch_size(const ConvArgs& s) {
  const ConvArgs wide = in_whole_tiles(s);
  const Plane plane = padded_plane(wide);
  return is_padded(wide, plane) ? static_cast<size_t>(s.ic) * plane.h * plane.w * lanes : 0;
}

// src [ic][ih][iw][lanes] -> dst [oc][ph][pw][lanes]
KERNELET_COLD void conv(const ConvArgs& s, const float* src, float* dst, float* scratch) {
  const ConvArgs wide = in_whole_tiles(s);
  ConvRow t;
  t.plane = padded_plane(wide);
  if (is_padded(wide, t.plane)) {
    pad(s, t.plane, src, scratch, lanes);
    src = scratch;
  }
  const bool pooled = s.epilogue.pool != Pool::none;
  const int m = conv_m(s), k = packed_k(s), from = packed_from(s);
  const RowParts cut(m, tile_rows);
  const size_t in_row = static_cast<size_t>(t.plane.w) * lanes, out_row = static_cast<size_t>(s.pw) * lanes;
  for (int g = 0; g < s.groups; ++g) {
    const float* group_src = src + static_cast<size_t>(g) * (s.ic / s.groups) * t.plane.h * in_row;
    for (int row = 0; row < s.ph; ++row) {
      t.src = group_src + static_cast<size_t>(row) * (pooled ? 2 : 1) * s.sh * in_row;
      for (int part = 0; part < cut.parts; ++part) {
        const int begin = cut.begin(part);
        t.channels = cut.begin(part + 1) - begin;
        const size_t channel = static_cast<size_t>(g) * m + begin;
        t.weights = s.weights + channel * k + static_cast<size_t>(from) * t.channels;
        t.bias = s.bias + channel;
        t.dst = dst + (channel * s.ph + row) * out_row;
        (pooled ? conv_kernel_of<true>(t.channels) : conv_kernel_of<false>(t.channels))(s, t);
      }
    }
  }
}

constexpr int most_outputs = 8;

KERNELET_COLD size_t linear_weights_size(const LinearArgs& s) {
  return static_cast<size_t>(s.in) * s.out + slack<most_outputs>;
}
KERNELET_COLD size_t linear_bias_size(const LinearArgs& s) { return static_cast<size_t>(s.out); }
void linear_pack(const LinearArgs& s, const float* weight, float* packed) {
  pack_parts(s.out, s.in, most_outputs, weight, packed);
  memset(packed + static_cast<size_t>(s.in) * s.out, 0, sizeof(float) * slack<most_outputs>);
}

// tile: M outputs x 1 register of images
struct LinearKernel {
  template <int M>
  static void run(const LinearArgs& s, int outputs, const float* weights, const float* bias, const float* x,
                  float* dst);
};

template <int M>
void LinearKernel::run(const LinearArgs& s, int outputs, const float* weights, const float* bias,
                       const float* x, float* dst) {
  reg c[M];
  KERNELET_UNROLL
  for (int m = 0; m < M; ++m) c[m] = F32::zero();
  int k = s.in;
  do {
    const reg xk = F32::load(x);
    KERNELET_UNROLL
    for (int m = 0; m < M; ++m) c[m] = F32::muladd(xk, F32::splat(weights[m]), c[m]);
    weights += outputs;
    x += lanes;
  } while (--k > 0);
  const reg floor = floor_of(is_simple(s.activation) ? s.activation : Unary());
  KERNELET_UNROLL
  for (int m = 0; m < M; ++m) {
    if (!is_there<most_outputs, M>(m, outputs)) continue;
    F32::store(dst + m * lanes, F32::max(floor, F32::add(c[m], F32::splat(bias[m]))));
  }
  if (!is_simple(s.activation)) activate_in_place(s.activation, static_cast<size_t>(outputs) * lanes, dst);
}

// A long sum, its pieces but the first by way of `sums`.
KERNELET_COLD KERNELET_NOINLINE void linear_pieces(const LinearArgs& s, int outputs, const float* weights,
                                                   const float* bias, const float* x, float* dst) {
  alignas(64) float sums[most_outputs * lanes];
  const float no_bias[most_outputs] = {};
  LinearArgs one = s;
  one.activation = Unary();
  float* to = dst;
  for (int left = s.in; left > 0; left -= sum_piece) {
    one.in = left < sum_piece ? left : sum_piece;
    kernel_of<LinearKernel, most_outputs>(outputs)(one, outputs, weights, bias, x, to);
    if (to == sums)
      finish_linear_row(left > sum_piece ? one.activation : s.activation, dst, sums, dst, outputs * lanes);
    weights += outputs * sum_piece;
    x += lanes * sum_piece;
    bias = no_bias;
    to = sums;
  }
}

// src [rows][in][lanes] -> dst [rows][out][lanes]
void linear(const LinearArgs& s, const float* src, float* dst) {
  const RowParts cut(s.out, most_outputs);
  for (int row = 0; row < s.rows; ++row) {
    for (int part = 0; part < cut.parts; ++part) {
      const int begin = cut.begin(part);
      const int outputs = cut.begin(part + 1) - begin;
      const float* const weights = s.weights + static_cast<size_t>(begin) * s.in;
      const float* const x = src + static_cast<size_t>(row) * s.in * lanes;
      float* const to = dst + (static_cast<size_t>(row) * s.out + begin) * lanes;
      if (piece_of(s.in) < s.in) linear_pieces(s, outputs, weights, s.bias + begin, x, to);
      else kernel_of<LinearKernel, most_outputs>(outputs)(s, outputs, weights, s.bias + begin, x, to);
    }
  }
}

// Calls tap(pointer) for every tap of the window at (y0, x0) that lies inside the plane, row by row.
template <typename Tap>
KERNELET_INLINE void each_tap(const PoolArgs& s, const float* plane, int y0, int x0, Tap tap) {
  for (int r = 0; r < s.kh; ++r) {
    const int y = y0 + r * s.dh;
    if (y < 0 || y >= s.ih) continue;
    for (int t = 0; t < s.kw; ++t) {
      const int x = x0 + t * s.dw;
      if (x >= 0 && x < s.iw) tap(plane + (static_cast<size_t>(y) * s.iw + x) * lanes);
    }
  }
}

// P neighbouring outputs of a row, whose columns of taps all lie inside: several at once, as each is one long chain.
template <int P>
KERNELET_INLINE void max_run(const PoolArgs& s, const float* plane, int y0, int x0, float* dst) {
  reg best[P];
  KERNELET_UNROLL
  for (int p = 0; p < P; ++p) best[p] = F32::splat(-__builtin_inff());
  for (int r = 0; r < s.kh; ++r) {
    const int y = y0 + r * s.dh;
    if (y < 0 || y >= s.ih) continue;
    const float* x = plane + (static_cast<size_t>(y) * s.iw + x0) * lanes;
    for (int t = 0; t < s.kw; ++t, x += static_cast<ptrdiff_t>(s.dw) * lanes) {
      KERNELET_UNROLL
      for (int p = 0; p < P; ++p)
        best[p] = running_max(best[p], F32::load(x + static_cast<ptrdiff_t>(p) * s.sw * lanes));
    }
  }
  KERNELET_UNROLL
  for (int p = 0; p < P; ++p) F32::store(dst + p * lanes, best[p]);
}

// src [c][ih][iw][lanes] -> dst [c][oh][ow][lanes]
void max_pool(const PoolArgs& s, const float* src, float* dst) {
  constexpr int at_once = one_size ? 1 : 4;
  int begin, end;
  inner_range(s.ow, s.iw, s.kw, s.sw, s.dw, s.pl, begin, end);
  for (int c = 0; c < s.c; ++c) {
    for (int oy = 0; oy < s.oh; ++oy) {
      for (int ox = 0; ox < s.ow; ++ox) {
        if (at_once > 1 && ox >= begin && ox + at_once <= end) {
          max_run<at_once>(s, src, oy * s.sh - s.pt, ox * s.sw - s.pl, dst);
          ox += at_once - 1;
          dst += at_once * lanes;
          continue;
        }
        reg best = F32::splat(-__builtin_inff());
        each_tap(s, src, oy * s.sh - s.pt, ox * s.sw - s.pl,
                 [&](const float* p) { best = running_max(best, F32::load(p)); });
        F32::store(dst, best);
        dst += lanes;
      }
    }
    src += static_cast<size_t>(s.ih) * s.iw * lanes;
  }
}

KERNELET_COLD void avg_pool(const PoolArgs& s, const float* src, float* dst) {
  for (int c = 0; c < s.c; ++c) {
    for (int oy = 0; oy < s.oh; ++oy) {
      for (int ox = 0; ox < s.ow; ++ox) {
        const int y0 = oy * s.sh - s.pt, x0 = ox * s.sw - s.pl;
        reg sum = F32::zero();
        each_tap(s, src, y0, x0, [&](const float* p) { sum = F32::add(sum, F32::load(p)); });
        F32::store(dst, F32::div(sum, F32::splat(average_divisor(s, y0, x0))));
        dst += lanes;
      }
    }
    src += static_cast<size_t>(s.ih) * s.iw * lanes;
  }
}

// One bin of P planes: as with neighbours above.
template <int P>
KERNELET_INLINE void bin(const PoolArgs& s, Pool pool, const float* src, int oy, int ox, float* dst) {
  const int y0 = bin_begin(oy, s.ih, s.oh), y1 = bin_end(oy, s.ih, s.oh);
  const int x0 = bin_begin(ox, s.iw, s.ow), x1 = bin_end(ox, s.iw, s.ow);
  const size_t in = static_cast<size_t>(s.ih) * s.iw * lanes, out = static_cast<size_t>(s.oh) * s.ow * lanes;
  reg all[P], sum[P];
  KERNELET_UNROLL
  for (int p = 0; p < P; ++p) {
    all[p] = pool == Pool::max ? F32::splat(-__builtin_inff()) : F32::zero();
    sum[p] = F32::zero();
  }
  const int piece = piece_of_average((y1 - y0) * (x1 - x0));
  int left = piece;
  for (int y = y0; y < y1; ++y) {
    for (int x = x0; x < x1; ++x) {
      const float* const tap = src + (static_cast<size_t>(y) * s.iw + x) * lanes;
      KERNELET_UNROLL
      for (int p = 0; p < P; ++p) {
        const reg v = F32::load(tap + p * in);
        all[p] = pool == Pool::max ? running_max(all[p], v) : F32::add(all[p], v);
      }
      if (pool == Pool::max || --left > 0) continue;
      left = piece;
      KERNELET_UNROLL
      for (int p = 0; p < P; ++p) {
        sum[p] = F32::add(sum[p], all[p]);
        all[p] = F32::zero();
      }
    }
  }
  const reg count = F32::splat(static_cast<float>((y1 - y0) * (x1 - x0)));
  KERNELET_UNROLL
  for (int p = 0; p < P; ++p)
    F32::store(dst + p * out, pool == Pool::max ? all[p] : F32::div(F32::add(sum[p], all[p]), count));
}

KERNELET_COLD void adaptive_pool(const PoolArgs& s, Pool pool, const float* src, float* dst) {
  constexpr int at_once = one_size ? 1 : 4;
  const size_t in = static_cast<size_t>(s.ih) * s.iw * lanes, out = static_cast<size_t>(s.oh) * s.ow * lanes;
  for (int c = 0; c < s.c;) {
    const bool several = c + at_once <= s.c;
    for (int oy = 0; oy < s.oh; ++oy) {
      for (int ox = 0; ox < s.ow; ++ox) {
        float* const to = dst + static_cast<size_t>(oy * s.ow + ox) * lanes;
        if (several) bin<at_once>(s, pool, src, oy, ox, to);
        else bin<1>(s, pool, src, oy, ox, to);
      }
    }
    const int done = several ? at_once : 1;
    c += done;
    src += done * in;
    dst += done * out;
  }
}

}  // namespace batched
}  // namespace
}  // namespace KERNELET_ISA
}  // namespace kernelet
