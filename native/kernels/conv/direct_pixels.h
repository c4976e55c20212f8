// Direct convolution with neighbouring pixels of a row in the SIMD lanes: no im2col, nothing packed but weights.
// For few output channels, depthwise ones above all, and rows about a register wide or wider.
//
//   tile: R rows x 1 register of pixels x M channels
//   per tap: R loads of the input, M broadcast weights, R * M muladds
//
// A fused 2x2 pool takes the maximum of two rows in registers, then of even and odd lanes.
// The last tile of a row or plane is moved back to overlap its neighbour: same order of accumulation, same bits, stored twice.
//
// With a horizontal stride the copied plane is split into its phases, so that neighbouring outputs still read
// neighbouring floats. Stride 2, one row: [ x0 x2 x4 … | x1 x3 x5 … ].
//
// Prefetch fusion: with `slices`, tiles go channels first. After a tile come the slices of the linear layer behind that
// read channels which are complete; the tile has prefetched their weights from the second-level cache, one row of taps at
// a time. Same order of accumulation, same bits; LeNet-5's fc1 then waits for memory half as long.
#pragma once

#include "common.h"

namespace kernelet {
namespace KERNELET_ISA {
namespace {
namespace direct_pixels {

constexpr int most_channels = 6;
#if defined(KERNELET_VNNI)
constexpr int most_rows = 2;  // as fast as four, and half the code
#else
constexpr int most_rows = F32::registers >= 32 ? 4 : 2;
#endif
// A depthwise channel has no others to hide the latency behind: more rows at once.
constexpr int rows_of_one_channel = 8, few_rows_of_one_channel = 4;
constexpr int most_kw = 64;
// Half-width kernels (narrow.cc) are for rows that leave full registers half empty; depthwise is the others'.
#if defined(KERNELET_NARROW) || defined(KERNELET_VNNI)
constexpr bool depthwise = false;
#else
constexpr bool depthwise = true;
#endif

// Rows narrower than a register are computed past their end, in a plane padded that far.
KERNELET_INLINE ConvArgs widened(const ConvArgs& s) {
  ConvArgs wide = s;
  if (wide.ow < lanes) wide.ow = lanes;
  return wide;
}

// A plane as the tiles read it: `sw` phases of `phase` floats a row.
struct Phases {
  Plane plane;
  int phase;
  bool copied;
  ptrdiff_t row, size;  // floats of a row, of a channel
};

KERNELET_INLINE Phases phases_of(const ConvArgs& s) {
  const ConvArgs wide = widened(s);
  Phases f;
  f.plane = padded_plane(wide);
  f.copied = s.sw > 1 || is_padded(wide, f.plane);
  f.phase = s.sw == 1 ? f.plane.w : (f.plane.w + s.sw - 1) / s.sw;
  f.row = static_cast<ptrdiff_t>(f.phase) * s.sw;
  f.size = f.row * f.plane.h;
  return f;
}

// Channels copied at a time: those of one group.
KERNELET_COLD size_t scratch_size(const ConvArgs& s) {
  const Phases f = phases_of(s);
  return f.copied ? static_cast<size_t>(s.ic / s.groups) * f.size : 0;
}

KERNELET_COLD bool fits(const ConvArgs& s) {
  return has_direct && s.kw <= most_kw && s.oh >= most_rows && (depthwise || conv_m(s) > 1);
}

KERNELET_COLD size_t weights_size(const ConvArgs& s) { return packed_size<most_channels>(s); }

void pack(const ConvArgs& s, const float* weight, float* packed) {
  pack_with_slack<most_channels>(s, weight, packed);
}

// Every sw-th float of src [n] -> dst; dst[i] = src[i * sw].
KERNELET_INLINE void take_phase(const float* src, int n, int sw, float* dst) {
  int i = 0;
  if (sw == 2) {
    for (; 2 * (i + lanes) <= n; i += lanes) {
      F32::store(dst + i, F32::even(F32::load(src + 2 * i), F32::load(src + 2 * i + lanes)));
    }
  }
  for (; i * sw < n; ++i) dst[i] = src[static_cast<ptrdiff_t>(i) * sw];
}

// src [channels][ih][iw] -> dst [channels][plane.h][phases]: zeros around, and only what a 1x1 window reads.
KERNELET_COLD inline void copy(const ConvArgs& s, const Phases& f, const float* src, float* dst, bool clear) {
  if (s.sw == 1) {
    ConvArgs group = s;
    group.ic = s.ic / s.groups;
    return pad(group, f.plane, src, dst, 1, clear);
  }
  const int phases = s.kw == 1 ? 1 : s.sw;
  const bool has_padding = f.plane.h != s.ih || f.plane.w != s.iw;
  if (has_padding && clear) memset(dst, s.zero, sizeof(float) * (s.ic / s.groups) * f.size);
  for (int c = 0; c < s.ic / s.groups; ++c) {
    for (int y = 0; y < s.ih; ++y) {
      if (s.kh == 1 && (y + s.pt) % s.sh != 0) continue;
      const float* row = src + (static_cast<size_t>(c) * s.ih + y) * s.iw;
      float* to = dst + c * f.size + (y + s.pt) * f.row;
      for (int phase = 0; phase < phases; ++phase) {
        // the first input column of this phase, and its place
        const int skip = (phase - s.pl % s.sw + s.sw) % s.sw;
        if (skip < s.iw) {
          take_phase(row + skip, s.iw - skip, s.sw, to + phase * f.phase + (s.pl + skip) / s.sw);
        }
      }
    }
  }
}

// R rows of outputs of one part of the channels, tile by tile.
struct Rows {
  int channels;
  int ic, kh;              // input channels of a group, taps
  ptrdiff_t plane;         // floats of a channel of src
  ptrdiff_t tap_row, row;  // floats from a tap to the one below, from an output row's first tap to the next's
  const ptrdiff_t *columns, *columns_end;  // where a tap's first pixel lies in a row, for each of kw
  const float* src;  // first input channel of the group, first tap of the first row's first pixel
  const float* weights;
  const float* bias;
  float* dst;         // first channel, first stored row
  const float* end;   // of dst, all channels
  ptrdiff_t channel;  // floats between channels of dst
  ptrdiff_t last;     // column where a row's last tile begins
  bool in_registers;  // the epilogue
  // What is wanted next: its cache lines from `ahead` on are fetched, `fetched` bytes with each row of taps.
  const char* ahead;
  ptrdiff_t fetched;
};

constexpr int line = 64;  // bytes

template <int M, int R>
KERNELET_INLINE void accumulate(const Rows& t, const float* src, const char*& ahead, reg (&c)[M][R]) {
  KERNELET_UNROLL
  for (int m = 0; m < M; ++m) {
    KERNELET_UNROLL
    for (int r = 0; r < R; ++r) c[m][r] = F32::zero();
  }
  const int channels = rows_of<most_channels, M>(t.channels);
  const float* w = t.weights;
  const ptrdiff_t row = t.row, tap_row = t.tap_row;
  const ptrdiff_t *const columns = t.columns, *const columns_end = t.columns_end;
  const ptrdiff_t fetched = t.fetched;
  int ic = t.ic;
  do {
    const float* tap = src;
    int kh = t.kh;
    do {
      for (const char* end = ahead + fetched; ahead != end; ahead += line) F32::prefetch(ahead);
      const ptrdiff_t* column = columns;
      do {
        const float* p = tap + *column;
        reg x[R];
        KERNELET_UNROLL
        for (int r = 0; r < R; ++r) x[r] = F32::load(p + r * row);
        KERNELET_UNROLL
        for (int m = 0; m < M; ++m) {
          const reg wm = F32::splat(w[m]);
          KERNELET_UNROLL
          for (int r = 0; r < R; ++r) c[m][r] = F32::muladd(x[r], wm, c[m][r]);
        }
        w += channels;
      } while (++column != columns_end);
      tap += tap_row;
    } while (--kh > 0);
    src += t.plane;
  } while (--ic > 0);
}

// Rows narrower than a register, and maxima over sums that may be NaN: sums [channels][rows][lanes] -> dst.
[[maybe_unused]] KERNELET_COLD KERNELET_NOINLINE void finish_tile(const ConvArgs& s, const Rows& t, int rows,
                                                                  int columns, float* sums, float* dst) {
  const reg floor = floor_of(s.epilogue.after);
  const int step = s.epilogue.pool == Pool::none ? 1 : 2;
  for (int m = 0; m < t.channels; ++m) {
    const reg bias = F32::splat(t.bias[m]);
    float* to = dst + m * t.channel;
    for (int r = 0; r < rows; r += step) {
      float* const sum = sums + (m * rows + r) * lanes;
      reg x = F32::load(sum);
      if (step == 2) {
        x = running_max(x, F32::load(sum + lanes));
        x = running_max(F32::even(x, x), F32::odd(x, x));  // windows in the first half of the lanes
      }
      F32::store(sum, F32::max(floor, F32::add(x, bias)));
      for (int i = 0; i < columns; ++i) to[i] = sum[i];
      to += s.pw;
    }
  }
}

template <int M, int R>
KERNELET_INLINE void store_plain(const ConvArgs& s, const Rows& t, reg floor, const reg (&c)[M][R],
                                 float* dst) {
  KERNELET_UNROLL
  for (int m = 0; m < M; ++m) {
    if (!is_there<most_channels, M>(m, t.channels)) continue;
    const reg bias = F32::splat(t.bias[m]);
    KERNELET_UNROLL
    for (int r = 0; r < R; ++r) {
      F32::store(dst + m * t.channel + r * s.pw, F32::max(floor, F32::add(c[m][r], bias)));
    }
  }
}

// Two channels share a register: [lanes / 2 windows of the first | lanes / 2 of the second].
template <int M, int R>
KERNELET_INLINE void store_pooled(const ConvArgs& s, const Rows& t, reg floor, const reg (&c)[M][R],
                                  float* dst) {
  KERNELET_UNROLL
  for (int m = 0; m < M; m += 2) {
    if (!is_there<most_channels, M>(m, t.channels)) continue;
    const bool both = m + 1 < M && is_there<most_channels, M>(m + 1, t.channels);
    const int partner = m + 1 < M ? m + 1 : m;
    const reg bias = F32::halves(F32::splat(t.bias[m]), F32::splat(t.bias[both ? partner : m]));
    KERNELET_UNROLL
    for (int r = 0; r < R; r += 2) {
      const reg a = F32::max(c[m][r + 1], c[m][r]), b = F32::max(c[partner][r + 1], c[partner][r]);
      const reg y = F32::add(F32::pair_max(a, b), bias);
      float* low = dst + m * t.channel + r / 2 * s.pw;
      // with no second channel its half goes where the first's comes next
      F32::store_halves(low, both ? low + t.channel : low, F32::max(floor, y));
    }
  }
}

template <int R, bool Pooled>
struct Kernel {
  template <int M>
  static void run(const ConvArgs& s, const Rows& t);
};

template <int R, bool Pooled>
template <int M>
void Kernel<R, Pooled>::run(const ConvArgs& s, const Rows& t) {
  constexpr int shrink = Pooled ? 1 : 0;  // as a shift
  // Small depthwise planes are mostly epilogue: theirs stays in registers even where rows are narrow.
  constexpr bool narrow_too = M == 1 && !Pooled;
  const bool in_registers = t.in_registers && (narrow_too || s.ow >= lanes);
  const reg floor = floor_of(s.epilogue.after);
  const char* ahead = t.ahead;
  for (ptrdiff_t x = 0;;) {
    float* dst = t.dst + (x >> shrink);
    reg c[M][R];
    accumulate<M, R>(t, t.src + x, ahead, c);
    if (!in_registers) {
      alignas(64) float sums[M * R * lanes];
      KERNELET_UNROLL
      for (int m = 0; m < M; ++m) {
        KERNELET_UNROLL
        for (int r = 0; r < R; ++r) F32::store(sums + (m * R + r) * lanes, c[m][r]);
      }
      finish_tile(s, t, R, (s.ow < lanes ? s.ow : lanes) >> shrink, sums, dst);
    } else if constexpr (Pooled) {
      store_pooled<M, R>(s, t, floor, c, dst);
    } else if (narrow_too && s.ow < lanes) {
      const reg bias = F32::splat(*t.bias);
      for (int r = 0; r < R; ++r) {
        // what a whole register writes past its row is the next row's, which comes later; masks are slow
        float* to = dst + r * s.pw;
        const reg y = F32::max(floor, F32::add(c[0][r], bias));
        if (to + lanes <= t.end) {
          F32::store(to, y);
        } else {
          F32::store_first(to, y, s.ow);
        }
      }
    } else {
      store_plain<M, R>(s, t, floor, c, dst);
    }
    if (x == t.last) return;
    x = x + lanes < t.last ? x + lanes : t.last;
  }
}

// Where a channel goes alone, it is the only one of its group.
KERNELET_INLINE auto kernel_for(int rows_at_once, bool pooled, int channels) {
  if constexpr (depthwise) {
    if (channels == 1 && rows_at_once == rows_of_one_channel) {
      return pooled ? Kernel<rows_of_one_channel, true>::template run<1>
                    : Kernel<rows_of_one_channel, false>::template run<1>;
    }
    if (channels == 1 && rows_at_once == few_rows_of_one_channel && !pooled) {
      return Kernel<few_rows_of_one_channel, false>::template run<1>;
    }
  }
  return pooled ? kernel_of<Kernel<most_rows, true>, most_channels>(channels)
                : kernel_of<Kernel<most_rows, false>, most_channels>(channels);
}

KERNELET_INLINE int rows_at_once(const ConvArgs& s) {
  if (conv_m(s) == 1 && s.oh >= rows_of_one_channel) return rows_of_one_channel;
  // a pool of so few rows is too rare for a kernel of its own
  const bool few = conv_m(s) == 1 && s.oh >= few_rows_of_one_channel && s.epilogue.pool == Pool::none;
  return few ? few_rows_of_one_channel : most_rows;
}

void run(const ConvArgs& s, const float* src, float* dst, float* scratch) {
  if constexpr (has_direct) {
    const Phases f = phases_of(s);
    const bool pooled = s.epilogue.pool != Pool::none;
    const int m = conv_m(s), k = packed_k(s), from = packed_from(s), r = rows_at_once(s);
    const RowParts cut(m, most_channels);  // divided once: tiles may be small
    const size_t out_plane = static_cast<size_t>(s.ph) * s.pw;
    const size_t group_size = static_cast<size_t>(s.ic / s.groups) * s.ih * s.iw;
    ptrdiff_t columns[most_kw];
    for (int kw = 0, column = 0; kw < s.kw; ++kw, column += s.dw) {
      columns[kw] = s.sw == 1 ? column : static_cast<ptrdiff_t>(column % s.sw) * f.phase + column / s.sw;
    }
    Rows t;
    t.ic = group_ic(s);
    t.kh = s.kh;
    t.plane = f.size;
    t.tap_row = s.dh * f.row;
    t.row = s.sh * f.row;
    t.last = s.ow > lanes ? s.ow - lanes : 0;
    t.columns = columns;
    t.columns_end = columns + s.kw;
    t.channel = static_cast<ptrdiff_t>(out_plane);
    t.end = dst + s.oc * out_plane;
    t.in_registers = !pooled || without_nan(s);
    t.ahead = reinterpret_cast<const char*>(s.weights);
    t.fetched = 0;
    const LinearSlice* slice = s.slices;
    const int tap_rows = t.ic * s.kh * parts_of(s.ow, lanes);
    int32_t tile = 0;
    for (int g = 0; g < s.groups; ++g) {
      const float* plane = src + g * group_size;
      if (f.copied) {
        copy(s, f, plane, scratch, g == 0);
        plane = scratch;
      }
      // Channels first where a linear layer is fused, which waits for whole ones.
      for (int row = 0, part = 0, channel = 0; row < s.oh && part < cut.parts;) {
        t.channels = cut.rows(part, channel);
        if (slice != nullptr) {
          t.ahead = reinterpret_cast<const char*>(slice->weights);
          t.fetched = slice->tile == tile ? parts_of(slice->lines, tap_rows) * line : 0;
        }
        const int y = row + r <= s.oh ? row : s.oh - r;
        const size_t c = static_cast<size_t>(g) * m + channel;
        t.src = plane + static_cast<ptrdiff_t>(y) * t.row;
        t.weights = s.weights + c * k + static_cast<ptrdiff_t>(from) * t.channels;
        t.bias = s.bias + c;
        t.dst = dst + c * out_plane + static_cast<size_t>(pooled ? y / 2 : y) * s.pw;
        kernel_for(r, pooled, t.channels)(s, t);
        if (slice == nullptr) {
          channel += t.channels;
          if (++part < cut.parts) continue;
          part = channel = 0;
          row += r;
          continue;
        }
        for (; slice->tile == tile; ++slice) {
          slice->run(slice->weights, dst + slice->x, slice->inputs, slice->start,
                     scratch + s.sums + slice->sums);
        }
        ++tile;
        row += r;
        if (row < s.oh) continue;
        row = 0;
        ++part;
        channel += t.channels;
      }
    }
  }
}

// Tiles with slices between them: part by part, each row after row.
KERNELET_COLD int32_t complete(const ConvArgs& s, int32_t tile) {
  const int r = rows_at_once(s), blocks = (s.oh + r - 1) / r, part = tile / blocks;
  const RowParts cut(conv_m(s), most_channels);
  if (part >= cut.parts * s.groups) return -1;
  return part / cut.parts * conv_m(s) + cut.begin(part % cut.parts);
}

}  // namespace direct_pixels
}  // namespace
}  // namespace KERNELET_ISA
}  // namespace kernelet
