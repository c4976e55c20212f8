// linear: dst [rows][out] = src [rows][in] * weight^T + bias, with outputs in the SIMD lanes and x[k] broadcast.
//
// One row (an image alone): panels of up to 8 registers of outputs, all in registers at once, so that
// the weights stream through once: packed [panel][in][registers * lanes]. Where several threads share the row and the
// weights are many, as many panels as threads. One row of each of several images: tiles of images by 4 registers.
// Several rows: the GEMM tile, packed [panel][in][tile_width]. Of long sums a piece after another (`long_sum` in table.h).
#pragma once

#include "kernels/conv/common.h"

namespace kernelet {
namespace KERNELET_ISA {
namespace {

constexpr int row_registers = 8;
// Weights that a second-level cache does not keep beside other things, in floats.
constexpr int64_t far_weights = int64_t{64} << 10;

// A layer's outputs in registers, and those in panels.
struct LinearPanels {
  int registers, panels, base, longer;
  explicit LinearPanels(const LinearArgs& s) {
    if (s.rows == 1) {
      registers = (s.out + lanes - 1) / lanes;
      panels = parts_of(registers, row_registers);
      // (a panel of fewer than four registers would wait for its sums)
      if (!one_size && s.parts > panels && int64_t{registers} * lanes * s.in >= far_weights) {
        const int most = registers / tile_vectors;
        const int wanted = s.parts < most ? s.parts : most;
        if (wanted > panels) panels = wanted;
      }
    } else {
      panels = (s.out + tile_width - 1) / tile_width;
      registers = panels * tile_vectors;
    }
    base = registers / panels;
    longer = registers - base * panels;
  }
  // in registers; the division is done once, a small layer would feel more of them
  int begin(int panel) const { return panel * base + (panel < longer ? panel : longer); }
};

// Where nothing hurries: one copy.
KERNELET_COLD KERNELET_NOINLINE LinearPanels panels_of(const LinearArgs& s) { return LinearPanels(s); }

KERNELET_COLD size_t linear_bias_size(const LinearArgs& s) {
  return static_cast<size_t>(panels_of(s).registers) * lanes;
}
KERNELET_COLD size_t linear_weights_size(const LinearArgs& s) { return linear_bias_size(s) * s.in; }

KERNELET_COLD void linear_pack(const LinearArgs& s, const float* weight, float* packed) {
  const LinearPanels layout = panels_of(s);
  for (int panel = 0; panel < layout.panels; ++panel) {
    const int begin = layout.begin(panel) * lanes, end = layout.begin(panel + 1) * lanes;
    const int rows = s.out - begin < end - begin ? s.out - begin : end - begin;
    pack_transposed(rows, end - begin, s.in, weight + static_cast<size_t>(begin) * s.in, packed);
    packed += static_cast<size_t>(end - begin) * s.in;
  }
}

int32_t linear_piece(const LinearArgs& s, int32_t begin) {
  const LinearPanels layout = panels_of(s);
  int panel = 1;
  while (layout.begin(panel) * lanes <= begin) ++panel;
  const int end = layout.begin(panel) * lanes;
  return end < s.out ? end : s.out;
}

// V registers of outputs of one row: goes on with the accumulators in `sums`, or starts them.
template <int V>
void linear_row(const float* w, const float* x, int32_t k, bool start, float* sums) {
  reg c[V];
  KERNELET_UNROLL
  for (int v = 0; v < V; ++v) c[v] = start ? F32::zero() : F32::load(sums + v * lanes);
  do {
    const reg xk = F32::splat(*x++);
    KERNELET_UNROLL
    for (int v = 0; v < V; ++v) c[v] = F32::muladd(xk, F32::load(w + v * lanes), c[v]);
    w += V * lanes;
  } while (--k > 0);
  KERNELET_UNROLL
  for (int v = 0; v < V; ++v) F32::store(sums + v * lanes, c[v]);
}

using LinearRow = void (*)(const float*, const float*, int32_t, bool, float*);

KERNELET_INLINE LinearRow linear_row_of(int registers) {
  static const LinearRow rows[] = {
      linear_row<1>, linear_row<2>, linear_row<3>, linear_row<4>,
      linear_row<5>, linear_row<6>, linear_row<7>, linear_row<8>,
  };
  static_assert(sizeof rows / sizeof *rows == row_registers, "a kernel for every number of registers");
  return rows[registers - 1];
}

void linear_part(const LinearArgs& s, const float* src, float* dst, int part, int parts) {
  const LinearPanels layout(s);
  const int end = part_begin(layout.panels, parts, part + 1), piece = piece_of(s.in);
  const Unary none = Unary();
  for (int panel = part_begin(layout.panels, parts, part); panel < end; ++panel) {
    const int o = layout.begin(panel) * lanes, width = layout.begin(panel + 1) * lanes - o;
    const int outputs = s.out - o < width ? s.out - o : width;
    const float* weights = s.weights + static_cast<size_t>(o) * s.in;
    for (int k = 0; k < s.in; k += piece) {
      const int n = s.in - k < piece ? s.in - k : piece;
      const Unary& after = k + n < s.in ? none : s.activation;
      if (s.rows == 1) {
        alignas(64) float sums[row_registers * lanes];
        linear_row_of(width / lanes)(weights, src + k, n, true, sums);
        finish_linear_row(after, (k == 0 ? s.bias : dst) + o, sums, dst + o, outputs);
      }
#if !defined(KERNELET_VNNI)  // one row at a time there
      else {
        multiply_rows(s.rows, n, src + k, s.in, weights, k == 0 ? s.bias + o : nullptr, after, dst + o, s.out,
                      outputs);
      }
#endif
      weights += static_cast<size_t>(n) * width;
    }
  }
}

void linear(const LinearArgs& s, const float* src, float* dst) { linear_part(s, src, dst, 0, 1); }

#if !defined(KERNELET_VNNI)
// Four registers of a panel `width` floats wide, of several images: goes on with the accumulators in `sums`, or starts
// them. Meanwhile the weights `ahead` floats further on come nearer.
constexpr int images_of_tile = F32::registers >= 32 ? 4 : 2;
KERNELET_NOINLINE void linear_images_tile(const float* w, ptrdiff_t width, const float* x, size_t x_stride,
                                          int k, bool start, ptrdiff_t ahead, float* sums) {
  reg c[images_of_tile][tile_vectors];
  KERNELET_UNROLL
  for (int i = 0; i < images_of_tile; ++i) {
    KERNELET_UNROLL
    for (int v = 0; v < tile_vectors; ++v)
      c[i][v] = start ? F32::zero() : F32::load(sums + i * row_registers * lanes + v * lanes);
  }
  do {
    reg wv[tile_vectors];
    KERNELET_UNROLL
    for (int v = 0; v < tile_vectors; ++v) wv[v] = F32::load(w + v * lanes);
    KERNELET_UNROLL
    for (int line = 0; line < tile_width; line += 16)
      F32::prefetch(reinterpret_cast<const char*>(w + ahead + line));
    KERNELET_UNROLL
    for (int i = 0; i < images_of_tile; ++i) {
      const reg xk = F32::splat(x[i * x_stride]);
      KERNELET_UNROLL
      for (int v = 0; v < tile_vectors; ++v) c[i][v] = F32::muladd(xk, wv[v], c[i][v]);
    }
    ++x;
    w += width;
  } while (--k > 0);
  KERNELET_UNROLL
  for (int i = 0; i < images_of_tile; ++i) {
    KERNELET_UNROLL
    for (int v = 0; v < tile_vectors; ++v) F32::store(sums + i * row_registers * lanes + v * lanes, c[i][v]);
  }
}

// A panel's weights for some inputs at a time, so few that they stay in the first-level cache from image to image.
KERNELET_COLD void linear_images(const LinearArgs& s, int32_t images, const float* src, size_t src_stride,
                                 float* dst, size_t dst_stride) {
  constexpr int most_images = 8, near_weights = 4096, wide = row_registers * lanes;
  const LinearPanels layout = panels_of(s);
  const int piece = piece_of(s.in);
  const Unary none = Unary();
  for (int first = 0; first < images; first += most_images) {
    const int count = images - first < most_images ? images - first : most_images;
    for (int panel = 0; panel < layout.panels; ++panel) {
      const int o = layout.begin(panel) * lanes, width = layout.begin(panel + 1) * lanes - o;
      const int outputs = s.out - o < width ? s.out - o : width;
      const float* const weights = s.weights + static_cast<size_t>(o) * s.in;
      const LinearRow row = linear_row_of(width / lanes);
      alignas(64) float sums[most_images * wide];
      // (no tiles where a tier is for old machines)
      const bool tiles = !one_size && width % tile_width == 0;
      const int together = tiles ? count / images_of_tile * images_of_tile : 0;
      for (int k = 0; k < s.in;) {
        const int begun = k % piece, near = near_weights / width;
        const int rest = s.in - k < piece - begun ? s.in - k : piece - begun, n = rest < near ? rest : near;
        const float* const w = weights + static_cast<size_t>(k) * width;
        const float* const x = src + first * src_stride + k;
        for (int i = 0; i < together; i += images_of_tile) {
          for (int o4 = 0; o4 < width; o4 += tile_width)
            linear_images_tile(w + o4, width, x + i * src_stride, src_stride, n, begun == 0, near_weights,
                               sums + i * wide + o4);
        }
        for (int i = together; i < count; ++i) row(w, x + i * src_stride, n, begun == 0, sums + i * wide);
        k += n;
        for (int i = 0; n == rest && i < count; ++i) {
          float* const to = dst + (first + i) * dst_stride + o;
          finish_linear_row(k < s.in ? none : s.activation, k > piece ? to : s.bias + o, sums + i * wide, to,
                            outputs);
        }
      }
    }
  }
}

// The rows of packed weights that belong to these inputs, panel by panel, cut into shares. Of sums that are not long.
KERNELET_COLD int32_t linear_slices(const LinearArgs& s, int32_t begin, int32_t end, int32_t share,
                                    int32_t shares, LinearSlice* slices) {
  const LinearPanels layout = panels_of(s);
  const int64_t inputs = end - begin, rows = inputs * layout.panels;
  int64_t row = rows * share / shares;
  const int64_t last = rows * (share + 1) / shares;
  int32_t count = 0;
  while (row < last) {
    const int panel = static_cast<int>(row / inputs), at = begin + static_cast<int>(row % inputs);
    const int64_t rest = begin + inputs - at;
    const int n = static_cast<int>(last - row < rest ? last - row : rest);
    const int o = layout.begin(panel) * lanes, width = layout.begin(panel + 1) * lanes - o;
    LinearSlice& slice = slices[count++];
    slice.run = linear_row_of(width / lanes);
    slice.weights = s.weights + static_cast<size_t>(o) * s.in + static_cast<size_t>(at) * width;
    slice.inputs = n;
    slice.lines = n * width / 16;
    slice.x = at;
    slice.sums = o;
    slice.start = at == 0;
    row += n;
  }
  return count;
}

void linear_finish(const LinearArgs& s, const float* sums, float* dst) {
  finish_linear_row(s.activation, s.bias, sums, dst, s.out);
}
#endif

}  // namespace
}  // namespace KERNELET_ISA
}  // namespace kernelet
