// What the core knows of the kernels: plain arguments, shapes first, and one complete table of function
// pointers per ISA tier. No STL and no inline functions here: this header is compiled under every ISA's flags.
//
// Letters as in oneDNN: n image, ic/oc channels in/out, ih iw / oh ow planes, kh kw window, sh sw stride,
// dh dw dilation (1 = dense), pt pl padding at the top and left (bottom and right follow from oh, ow).
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "kernels/train/table.h"

namespace kernelet {

enum class Activation : int32_t {
  none,
#define KERNELET_ACTIVATION(name, text, slope) name,
#include "activations.inc"
#undef KERNELET_ACTIVATION
};
// Values below are bounded: far beyond what a layer sees, and far below the square root of the largest float.
constexpr float bounded_limit = 1e15f;

enum class Pool : int32_t { none, max, average };
enum class Binary : int32_t {
  add,
  sub,
  mul,
  div,
  prelu,   // a > 0 ? a : a b
  affine,  // a b + c, one rounding where the tier has it
};

// An activation with its parameters; those it has none of are not read.
struct Unary {
  Activation f;
  float a, b;
};

// What happens to a sum before it is stored: after(sum + bias), of 2x2 windows the maximum. A convolution takes
// no pool or a maximum, nothing or ReLU, over blocks any function; a linear layer any function, and no pool.
// All zero is "nothing". (No initialisers here: they would make a weak constructor under each ISA's flags.)
struct Epilogue {
  Pool pool;
  Unary after;
};

// One slice of a linear layer of one row: accumulates `inputs` products into one panel of outputs.
struct LinearSlice {
  void (*run)(const float* weights, const float* x, int32_t inputs, bool start, float* sums);
  const float* weights;   // [inputs][outputs of the panel]
  int32_t inputs, lines;  // lines: of cache, that the weights fill
  int32_t x, sums;        // offsets of the first of each
  bool start;             // of the accumulation, from +0; else it goes on from `sums`
  int32_t tile;           // of the convolution, after which it runs; -1 ends the list
};

// src [ic][ih][iw] -> dst [oc][ph][pw], where ph pw = oh ow, or oh/2 ow/2 when a 2x2 pool is fused.
struct ConvArgs {
  int32_t ic, ih, iw, oc, oh, ow, kh, kw;
  int32_t sh, sw, dh, dw, pt, pl, groups;
  int32_t ph, pw;
  // Input channels of a piece of each sum, whole sixteens of them; 0: the sums are one chain. Each piece is a chain from +0,
  // these are added in their order, then the bias. Blocks of channels only: else a piece is a run of its own (ops/pieces.h),
  // with weights that are packed of whole_ic channels (0: of ic), its own from from_ic on. Such a run has one group.
  int32_t piece, whole_ic, from_ic;
  int32_t odd_row, odd_column;  // 1 where a maximum leaves out the last one, which is then not among oh or ow
  Epilogue epilogue;
  bool no_nan;           // no sum can be one: a plain maximum will do
  int32_t zero;          // the byte that padding is filled with: 0 for floats
  const float* weights;  // packed by the algorithm
  const float* bias;     // [oc], zeros where the layer has none
  const int32_t* taps;   // what ConvAlgorithm::taps wrote
  // Blocks of channels only (conv/blocked.h): how src lies; scale and shift behind the bias, whole blocks of them, or
  // null; a value that is added behind those, lying as dst does, or null. All before `epilogue`, which may then have
  // any activation; bias has whole blocks too.
  bool src_blocked;
  const float *scale, *shift, *residual;
  // Numbers, one a channel of src in whole blocks, that src is multiplied by as it is read. 1x1 over blocks only.
  bool gated;
  const float* gate;
  // Where a window of a transposed convolution puts its output (conv/blocked_transposed.h): rows and columns of dst from one
  // output to the next, with ph and pw those of dst; 0: these are neighbours.
  int32_t spread_h, spread_w;
  int32_t parts;  // at most so many share a run (`run_part`); 0 is 1
  // Depth first: rows of the output at a time. Over blocks: tiles between two changes of weights; 0: as many as seem best.
  int32_t strip;
  // Prefetch fusion with the linear layer behind: its slices run between the tiles, and while a tile is computed, the
  // weights of the slices after it are prefetched. Null where there is none; its sums lie at scratch + sums.
  const LinearSlice* slices;
  size_t sums;
};

// src [rows][in] -> dst [rows][out], one row per image unless the input has further dimensions.
//
// A sum of more than `long_sum` products is cut at multiples of `sum_piece`: each piece is one chain, the first gets the
// bias, and the others are added to it in their order. One chain of n errs by some sqrt(n) roundings of a sum that grows.
constexpr int32_t long_sum = 768, sum_piece = 128;
struct LinearArgs {
  int32_t rows, in, out;
  Unary activation;
  const float* weights;  // packed by the algorithm
  const float* bias;     // bias_size() floats, zeros beyond `out`
  int32_t parts;         // at most so many share a run (`run_part`); 0 is 1
};

// a [rows][inner] times b [inner][columns] -> dst [rows][columns], dense. Strides in floats, of the batched layout only.
struct MatmulArgs {
  int32_t rows, inner, columns;
  ptrdiff_t a_row, a_inner, b_inner, b_column;
};

// src [c][ih][iw] -> dst [c][oh][ow]
//
// An adaptive average of more than `long_average` numbers sums `average_piece` at a time, and these sums in their order.
constexpr int32_t long_average = 128, average_piece = 64;
struct PoolArgs {
  int32_t c, ih, iw, oh, ow, kh, kw, sh, sw, dh, dw, pt, pl, pb, pr;
  bool count_include_pad;
};

// src [c][ih][iw] -> dst [c][oh][ow]: where each row and column of the output lies in the input, and between two of
// them, how far towards the next one.
struct ResizeArgs {
  int32_t c, ih, iw, oh, ow;
  const int32_t *rows, *columns;  // [oh], [ow]
  const float *down, *right;      // [oh], [ow]: shares of the next row and column; linear only
};

// dst = after(a op b), element by element of `dims`, the last innermost; dst is dense. A stride, in floats, is 0
// where an operand is repeated along a dimension; the innermost are 0 or 1. c lies as b does.
struct BinaryArgs {
  static constexpr int32_t max_rank = 7;  // six of an image, and the images of a block
  Binary f;
  Unary after;
  int32_t rank;
  size_t dims[max_rank], a[max_rank], b[max_rank];
};

// softmax over the middle of [outer][n][inner]
struct SoftmaxArgs {
  int32_t outer, n, inner;
  bool log;
};

// Rows of n elements, `width` of them side by side (1 or `lanes`): each (x - mean) / sqrt(variance + epsilon) by itself,
// and a row of that scaled and shifted as `affine` says. `inner` neighbours have one scale and shift; those of the next
// row lie `scales` further on: 0 where all rows have the same.
struct RowNormArgs {
  int32_t rows, width;
  size_t n, inner, scales;
  float epsilon;
  bool centred;  // else x / sqrt(mean of squares + epsilon)
  BinaryArgs affine;
};

// Between floats, sums and bytes of an int8 step: x * scale, for bytes cut to [low, high] and rounded to the
// nearest integer, ties to even. A byte of 0 ... 255 stands for (byte - zero) times its scale.
struct RescaleArgs {
  int32_t channels, rows, columns;
  size_t positions;  // of a channel: rows * columns, for each image of a block
  int32_t left,
      row_int8x4;  // four neighbours of a row in an int8x4: padding, and int8x4 a row (int8/int8x4.h)
  bool to_bytes, per_channel;
  float low, high;  // of byte - zero
  int32_t zero;
  const float* scale;  // [channels], or one for all
};
using Rescale = void (*)(const RescaleArgs&, const float* src, float* dst);

// One way to convolve. Sizes in floats; scratch is 64-byte aligned, packed weights and bias stay the plan's.
struct ConvAlgorithm {
  const char* name;
  bool (*fits)(const ConvArgs&);
  size_t (*weights_size)(const ConvArgs&);
  void (*pack)(const ConvArgs&, const float* weight_oihw, float* packed);
  size_t (*scratch_size)(const ConvArgs&);
  void (*run)(const ConvArgs&, const float* src, float* dst, float* scratch);
  // Register tile, as describe() shows it.
  int32_t tile_rows, tile_columns;
  // Output channels complete before this tile begins, in the order of tiles with slices between them; -1 behind
  // the last tile. Null where no layer can be fused in slices.
  int32_t (*complete)(const ConvArgs&, int32_t tile);
  // For several threads: every part of phase 0, then every part of phase 1 … Null where it is not divided.
  int32_t (*phases)(const ConvArgs&);
  void (*run_part)(const ConvArgs&, const float* src, float* dst, float* scratch, int32_t phase, int32_t part,
                   int32_t parts);
  // Two numbers a tap, [kh][kw], that depend on how the input lies, as packed weights do not. Null where it reads none.
  void (*taps)(const ConvArgs&, int32_t* taps);
};

// A 1x1 convolution and the depthwise one behind it, some rows at a time (conv/depth_first.h); both read and write blocks of
// channels. Parts are done in any order.
struct DepthFirst {
  size_t (*scratch_size)(const ConvArgs& depthwise);
  void (*run_part)(const ConvArgs& expand, const ConvArgs& depthwise, const float* src, float* dst,
                   float* scratch, int32_t part, int32_t parts);
};

struct LinearAlgorithm {
  const char* name;
  size_t (*weights_size)(const LinearArgs&);
  size_t (*bias_size)(const LinearArgs&);
  void (*pack)(const LinearArgs&, const float* weight_oi, float* packed);
  void (*run)(const LinearArgs&, const float* src, float* dst);
  int32_t tile_rows, tile_columns;
  // Some panels of outputs, for several threads; null where it is not divided.
  void (*run_part)(const LinearArgs&, const float* src, float* dst, int32_t part, int32_t parts);
  // One row of each of `images`, the weights read once for all of them; null where there is no such form.
  void (*run_images)(const LinearArgs&, int32_t images, const float* src, size_t src_stride, float* dst,
                     size_t dst_stride);
  // One row in slices: share `share` of `shares` of the work over inputs begin ... end, at most one slice a panel
  // and one more. Then `finish`: sums [bias_size] -> dst.
  int32_t (*slices)(const LinearArgs&, int32_t begin, int32_t end, int32_t share, int32_t shares,
                    LinearSlice* slices);
  void (*finish)(const LinearArgs&, const float* sums, float* dst);
  // The end of the panel of outputs that begins with `begin`; it is packed as a layer of its own is. Null where panels
  // are not.
  int32_t (*piece)(const LinearArgs&, int32_t begin);
};

struct PoolAlgorithm {
  void (*max)(const PoolArgs&, const float* src, float* dst);
  void (*average)(const PoolArgs&, const float* src, float* dst);
  // Windows of their own for each output, which together cover the plane: only c, ih iw, oh ow are read.
  void (*adaptive)(const PoolArgs&, Pool, const float* src, float* dst);
};

// Transposed convolution; a pixel is `width` floats, 1 or `lanes`.
struct TransposedConv {
  size_t (*weights_size)(const ConvArgs&);
  // Input channels [begin, end) of weight [ic][oc / groups][kh][kw]; any order of calls.
  void (*pack)(const ConvArgs&, int32_t begin, int32_t end, const float* weight, float* packed);
  size_t (*scratch_size)(const ConvArgs&, int32_t width);
  void (*run)(const ConvArgs&, int32_t width, const float* src, float* dst, float* scratch);
  // Register tile, as describe() shows it.
  int32_t tile_rows, tile_columns;
};

// The same over blocks of channels, of windows side by side: a 1x1 convolution by blocked_conv, with whole blocks of outputs
// for each place of the window, biases too.
struct BlockedTransposedConv {
  bool (*fits)(const ConvArgs&);
  ConvArgs (*dense)(const ConvArgs&);
  void (*pack)(const ConvArgs&, const float* weight, float* packed);  // for `dense`
};

// Four bytes at a time (int8x4), with instructions of their own: int8/int8x4.h. conv and linear give sums of 32 bits,
// biases are integers.
struct Int8Kernels {
  ConvAlgorithm direct_pixels, direct_channels;
  LinearAlgorithm linear;
  ConvAlgorithm batched_conv;
  LinearAlgorithm batched_linear;
  Rescale int8x4_of_floats, int8x4_rows_of_floats, int8x4_of_sums, floats_of_sums;
};

struct KernelTable {
  const char* isa;
  int32_t lanes;
  bool has_fma;

  // Layout::planes, one image: values are [c][h][w].
  ConvAlgorithm im2col, direct_pixels, direct_channels;
  ConvAlgorithm depthwise;             // direct_channels where a channel is a group
  const ConvAlgorithm* narrow_pixels;  // direct_pixels in registers of half the width, or null
  LinearAlgorithm linear;
  const LinearAlgorithm* narrow_linear;  // the same in registers of half the width, or null
  PoolAlgorithm pool;
  size_t (*matmul_scratch)(const MatmulArgs&);
  void (*matmul)(const MatmulArgs&, const float* a, const float* b, float* dst, float* scratch);

  // Layout::blocked, an image alone: values are [ceil(c / lanes)][h][w][lanes]. Pools and what goes element by element
  // are those of the batched layout.
  ConvAlgorithm blocked_conv, blocked_depthwise, winograd;
  int32_t (*winograd_outputs)(const ConvArgs&);  // of a tile, a side
  DepthFirst depth_first;

  // Layout::batched, `lanes` images at once: values are [c][h][w][lanes].
  ConvAlgorithm batched_conv;
  LinearAlgorithm batched_linear;
  PoolAlgorithm batched_pool;
  void (*batched_matmul)(const MatmulArgs&, const float* a, const float* b, float* dst);
  void (*interleave)(size_t n, int count, const float* src, size_t image_stride, float* dst);
  void (*deinterleave)(size_t n, int count, const float* src, float* dst, size_t image_stride);

  BlockedTransposedConv blocked_transposed_conv;

  // Either.
  TransposedConv transposed_conv;
  void (*nearest)(const ResizeArgs&, int32_t width, const float* src, float* dst);
  void (*linear_resize)(const ResizeArgs&, int32_t width, const float* src, float* dst);
  void (*activate)(const Unary&, size_t n, const float* src, float* dst);  // src may be dst
  bool (*is_bounded)(size_t n, const float* src);  // every |src[i]| < bounded_limit; false for a NaN
  void (*softmax)(const SoftmaxArgs&, const float* src, float* dst);
  void (*row_norm)(const RowNormArgs&, const float* src, const float* scale, const float* shift, float* dst);
  void (*add)(size_t n, const float* a, const float* b, float* dst);  // dst may be a, or b
  void (*binary)(const BinaryArgs&, const float* a, const float* b, const float* c, float* dst);
  // dst[i] = src[i] * scale + shift
  void (*from_bytes)(size_t n, const uint8_t* src, float scale, float shift, float* dst);

  // Int8 steps over bytes held as floats: floats or sums -> bytes or floats.
  Rescale rescale;
  const Int8Kernels* int8;  // or null; only where the CPU has VNNI

  TrainKernels train;

  // Benchmarks only: what no kernel can beat (peak.h).
  int64_t (*muladds)(int64_t rounds);
  size_t (*read)(size_t n, const float* src);
};

// What leaves the object of a tier. `fill` runs its instructions: only where the CPU has what it needs. `narrower`: the table
// of the tier before it, or null.
struct Tier {
  const char* isa;
  uint32_t needs;  // of the CPU, CpuFeature
  void (*fill)(KernelTable& table, const KernelTable* narrower);
};

#if defined(_WIN32)  // where nothing is seen that is not exported
#define KERNELET_HIDDEN
#else
#define KERNELET_HIDDEN __attribute__((visibility("hidden")))
#endif

}  // namespace kernelet
