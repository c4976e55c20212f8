// Every kernel, compiled once per ISA tier; all that leaves this object is the tier: its name and what fills its table.
#include "kernels/arithmetic.h"
#include "kernels/batched.h"
#include "kernels/conv/blocked.h"
#include "kernels/conv/blocked_depthwise.h"
#include "kernels/conv/blocked_transposed.h"
#include "kernels/conv/depth_first.h"
#include "kernels/conv/depthwise.h"
#include "kernels/conv/direct_channels.h"
#include "kernels/conv/direct_pixels.h"
#include "kernels/conv/im2col.h"
#include "kernels/conv/transposed.h"
#include "kernels/conv/winograd.h"
#include "kernels/int8/rescale.h"
#include "kernels/linear.h"
#include "kernels/matmul.h"
#include "kernels/norm.h"
#include "kernels/peak.h"
#include "kernels/pool.h"
#include "kernels/resize.h"
#include "kernels/softmax.h"
#include "kernels/train/conv.h"
#include "kernels/train/dropout.h"
#include "kernels/train/linear.h"
#include "kernels/train/loss.h"
#include "kernels/train/norm.h"
#include "kernels/train/pool.h"
#include "kernels/train/slopes.h"
#include "kernels/train/softmax.h"
#include "kernels/train/update.h"

namespace kernelet {
namespace KERNELET_ISA {

extern KERNELET_HIDDEN const Tier tier;

#if defined(KERNELET_ISA_AVX512)
extern KERNELET_HIDDEN const ConvAlgorithm narrow_pixels;  // narrow.cc
#if !defined(KERNELET_EMULATE_AVX512)
extern KERNELET_HIDDEN const Int8Kernels int8_kernels;  // int8.cc
#endif
#endif

namespace {

// What all of them have; the rest is null where it is not set.
KERNELET_INLINE void set(ConvAlgorithm& a, const char* name, decltype(a.fits) fits,
                         decltype(a.weights_size) weights_size, decltype(a.pack) pack,
                         decltype(a.scratch_size) scratch_size, decltype(a.run) run, int32_t tile_rows,
                         int32_t tile_columns) {
  a.name = name;
  a.fits = fits;
  a.weights_size = weights_size;
  a.pack = pack;
  a.scratch_size = scratch_size;
  a.run = run;
  a.tile_rows = tile_rows;
  a.tile_columns = tile_columns;
}
KERNELET_INLINE void set(LinearAlgorithm& a, const char* name, decltype(a.weights_size) weights_size,
                         decltype(a.bias_size) bias_size, decltype(a.pack) pack, decltype(a.run) run,
                         int32_t tile_rows, int32_t tile_columns) {
  a.name = name;
  a.weights_size = weights_size;
  a.bias_size = bias_size;
  a.pack = pack;
  a.run = run;
  a.tile_rows = tile_rows;
  a.tile_columns = tile_columns;
}

// By name: nothing is joined by its position. Filled when it is first asked for, not by the linker: a relocation takes more
// room than the instructions that store an address, and every table would be relocated whenever the library is loaded.
KERNELET_COLD void fill(KernelTable& t, [[maybe_unused]] const KernelTable* narrower) {
  t.isa = KERNELET_TEXT(KERNELET_ISA);
  t.lanes = lanes;
  t.has_fma = F32::has_fma;

  set(t.im2col, "im2col", conv_im2col::fits, conv_im2col::weights_size, conv_im2col::pack,
      conv_im2col::scratch_size, conv_im2col::run, tile_rows, tile_width);
  set(t.direct_pixels, "direct-pixels", direct_pixels::fits, direct_pixels::weights_size, direct_pixels::pack,
      direct_pixels::scratch_size, direct_pixels::run, direct_pixels::most_channels,
      direct_pixels::most_rows * lanes);
  t.direct_pixels.complete = direct_pixels::complete;
  set(t.direct_channels, "direct-channels", direct_channels::fits, direct_channels::weights_size,
      direct_channels::pack, direct_channels::scratch_size, direct_channels::run,
      direct_channels::most_pixels_of_two, direct_channels::width);
  set(t.depthwise, "direct-channels", depthwise::fits, depthwise::weights_size, depthwise::pack,
      depthwise::scratch_size, depthwise::run, depthwise::most_pixels, lanes);
#if defined(KERNELET_ISA_AVX512)
  t.narrow_pixels = &narrow_pixels;
  t.narrow_linear = &narrower->linear;
#if !defined(KERNELET_EMULATE_AVX512)
  t.int8 = &int8_kernels;
#endif
#endif
  set(t.linear, "gemm", linear_weights_size, linear_bias_size, linear_pack, linear, 1, row_registers * lanes);
  t.linear.run_part = linear_part;
  t.linear.run_images = linear_images;
  t.linear.slices = linear_slices;
  t.linear.finish = linear_finish;
  t.linear.piece = linear_piece;
  t.pool = {max_pool, avg_pool, adaptive_pool};
  t.matmul_scratch = matmul::scratch_size;
  t.matmul = matmul::planes;

  set(t.blocked_conv, "blocked", blocked::fits, blocked::weights_size, blocked::pack, blocked::scratch_size,
      blocked::run, blocked::most_pixels, blocked::most_blocks * lanes);
  t.blocked_conv.phases = blocked::phases;
  t.blocked_conv.run_part = blocked::run_part;
  t.blocked_conv.taps = blocked::taps;
  t.depth_first = {depth_first::scratch_size, depth_first::run_part};
  t.winograd_outputs = winograd::outputs_of;
  set(t.winograd, "winograd", winograd::fits, winograd::weights_size, winograd::pack, winograd::scratch_size,
      winograd::run, blocked::most_pixels, blocked::most_blocks * lanes);
  t.winograd.phases = winograd::phases;
  t.winograd.run_part = winograd::run_part;
  set(t.blocked_depthwise, "blocked", blocked_depthwise::fits, blocked_depthwise::weights_size,
      blocked_depthwise::pack, blocked_depthwise::scratch_size, blocked_depthwise::run,
      blocked_depthwise::most_pixels, lanes);
  t.blocked_depthwise.phases = blocked_depthwise::phases;
  t.blocked_depthwise.run_part = blocked_depthwise::run_part;

  set(t.batched_conv, "lanes", batched::conv_fits, batched::conv_weights_size, batched::conv_pack,
      batched::conv_scratch_size, batched::conv, tile_rows, tile_width);
  set(t.batched_linear, "lanes", batched::linear_weights_size, batched::linear_bias_size,
      batched::linear_pack, batched::linear, batched::most_outputs, lanes);
  t.batched_pool = {batched::max_pool, batched::avg_pool, batched::adaptive_pool};
  t.batched_matmul = matmul::batched;
  t.interleave = batched::interleave;
  t.deinterleave = batched::deinterleave;

  t.transposed_conv = {transposed::weights_size, transposed::pack, transposed::scratch_size,
                       transposed::run,          tile_rows,        tile_width};
  t.blocked_transposed_conv = {blocked_transposed::fits, blocked_transposed::dense, blocked_transposed::pack};
  t.nearest = resize::nearest;
  t.linear_resize = resize::linear;
  t.activate = activate;
  t.is_bounded = is_bounded;
  t.softmax = softmax;
  t.row_norm = norm::rows;
  t.add = add;
  t.binary = binary;
  t.from_bytes = from_bytes;
  t.rescale = rescale;

  t.train.conv_max = train::conv_max;
  t.train.conv_max_dx = train::conv_max_dx;
  t.train.conv_dx_scratch = train::conv_dx_scratch;
  t.train.conv_dx = train::conv_dx;
  t.train.conv_dw_scratch = train::conv_dw_scratch;
  t.train.conv_dw = train::conv_dw;
  t.train.channel_sums = train::channel_sums;
  t.train.linear_dx = train::linear_dx;
  t.train.linear_panel_size = train::linear_panel_size;
  t.train.linear_panels = train::linear_panels;
  t.train.linear_dw = train::linear_dw;
  t.train.max_pool_dx = train::max_pool_dx;
  t.train.avg_pool_dx = train::avg_pool_dx;
  t.train.nearest_dx = train::nearest_dx;
  t.train.linear_resize_dx = train::linear_resize_dx;
  t.train.activate_dx = train::activate_dx;
  t.train.slope = train::slope;
  t.train.adaptive_dx = train::adaptive_dx;
  t.train.prelu_dx = train::prelu_dx;
  t.train.moments = train::moments;
  t.train.norm_sums = train::norm_sums;
  t.train.norm_dx = train::norm_dx;
  t.train.row_norm_dx = norm::rows_dx;
  t.train.softmax_dx = train::softmax_dx;
  t.train.dropout = train::dropout;
  t.train.loss = train::loss;
  t.train.pack_rows = train::pack_rows;
  t.train.square_sum = square_sum;
  t.train.update = train::update;

  t.muladds = peak::muladds;
  t.read = peak::read;
}

}  // namespace

const Tier tier = {KERNELET_TEXT(KERNELET_ISA), F32::needs, fill};

}  // namespace KERNELET_ISA
}  // namespace kernelet
