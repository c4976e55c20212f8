// The kernels of training, as the core sees them. Values and gradients of a block of images have the images in
// the lanes, [c][h][w][lanes], as in batched.h; a gradient has the shape of its value. No kernel adds to
// what it writes. Part of kernels/table.h: the same rules.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace kernelet {

enum class Activation : int32_t;
enum class Pool : int32_t;
struct ConvArgs;
struct LinearArgs;
struct PoolArgs;
struct ResizeArgs;
struct RowNormArgs;
struct SoftmaxArgs;
struct Unary;

enum class Loss : int32_t {
#define KERNELET_LOSS(name, text, mean, threshold) name,
#include "losses.inc"
#undef KERNELET_LOSS
};

// Outputs and targets are [n][inner][lanes], n classes for cross_entropy; elsewhere only n * inner matters.
struct LossArgs {
  Loss kind;
  int32_t n, inner;
  float smoothing;
};

// A value is dropped where a hash of (key, image, element) falls below p: whatever the threads and lanes.
struct DropoutArgs {
  float p;
  uint32_t key;          // of seed, step and node
  uint32_t first_image;  // of the step, the one in lane 0
};

// dW of a linear layer. Images lie in blocks of `lanes`; k counts (image, row).
struct LinearGradArgs {
  int32_t images, rows, in, out;
  const float* src;   // panels of linear_panel_size(): [panel][k][panel width]
  const float* grad;  // [block][row][out][lanes]
};

enum class Optimizer : int32_t {
#define KERNELET_OPTIMIZER(name, text, first, second) name,
#include "optimizers.inc"
#undef KERNELET_OPTIMIZER
};

// One step of PyTorch's optimizers; what depends on the step alone is worked out in double by the core.
struct UpdateArgs {
  Optimizer kind;
  float lr, weight_decay;
  float clip_value;  // infinity: none
  float scale;       // of the gradient, after clip_value: 1 or what clipping by norm says
  // sgd
  float momentum, dampening;
  bool nesterov, has_momentum, first;  // first: the momentum buffer is not there yet
  // adam, adamw: 1 - beta1, beta2, 1 - beta2, lr / (1 - beta1^t), 1 / sqrt(1 - beta2^t)
  float beta1_rest, beta2, beta2_rest, step_size, root_correction, eps;
  float ema_decay, ema_rest;  // weight averages; unused where ema is null
};

// Buffers of n floats each; momentum, moments and ema may be null where the optimizer has none.
struct UpdateBuffers {
  const float *weight, *grad;
  float* next;  // the new weights
  float *first, *second, *ema;
};

struct TrainKernels {
  // Convolution, bias, 2x2 maximum, then ReLU where the epilogue says so; `corner` is which of the four it was.
  void (*conv_max)(const ConvArgs&, const float* src, float* dst, float* corner, float* scratch);
  // Back through ReLU and maximum: full [oc][oh][ow].
  void (*conv_max_dx)(const ConvArgs&, const float* dst, const float* corner, const float* grad, float* full);
  // weight [oc][ic/groups][kh][kw], as it comes
  size_t (*conv_dx_scratch)(const ConvArgs&);
  void (*conv_dx)(const ConvArgs&, const float* weight, const float* grad, float* dx, float* scratch);
  // Sums over the block; db may be null.
  size_t (*conv_dw_scratch)(const ConvArgs&);
  void (*conv_dw)(const ConvArgs&, const float* src, const float* grad, float* dw, float* db, float* scratch);
  // Sums over pixels and the block: grad [channels][pixels][lanes] -> db [channels]; scratch [channels][lanes].
  void (*channel_sums)(int32_t channels, size_t pixels, const float* grad, float* db, float* scratch);

  void (*linear_dx)(const LinearArgs&, const float* weight_oi, const float* grad, float* dx);
  size_t (*linear_panel_size)(const LinearGradArgs&);
  // A block's inputs into the panels: images first, first + 1, …, `count` of them.
  void (*linear_panels)(const LinearGradArgs&, int32_t first, int32_t count, const float* src, float* panels);
  // Rows [begin, end) of dW and of db, either may be null: accumulated over k in order.
  void (*linear_dw)(const LinearGradArgs&, int32_t begin, int32_t end, float* dw, float* db);

  void (*max_pool_dx)(const PoolArgs&, const float* src, const float* grad, float* dx);
  void (*avg_pool_dx)(const PoolArgs&, const float* grad, float* dx);
  void (*nearest_dx)(const ResizeArgs&, const float* grad, float* dx);
  void (*linear_resize_dx)(const ResizeArgs&, const float* grad, float* dx);
  void (*activate_dx)(Activation, size_t n, const float* dst, const float* grad,
                      float* dx);  // dx may be grad
  // By the input, for every activation: dx = f'(src) grad; dx may be grad.
  void (*slope)(const Unary&, size_t n, const float* src, const float* grad, float* dx);
  void (*adaptive_dx)(const PoolArgs&, Pool, const float* src, const float* grad, float* dx);
  // One channel of n elements. dx may be null; dw [lanes]: each image's sum.
  void (*prelu_dx)(size_t n, float slope, const float* src, const float* grad, float* dx, float* dw);
  // Of each image: mean and the sum of squares of what deviates from it, [lanes].
  void (*moments)(size_t n, const float* src, float* mean, float* squares);
  // Of each image: sums of grad, and of grad (src - mean) factor, [lanes].
  void (*norm_sums)(size_t n, const float* src, const float* grad, float mean, float factor, float* of_grad,
                    float* of_both);
  // dx = a grad - b (src - mean) - c
  void (*norm_dx)(size_t n, const float* src, const float* grad, float mean, float a, float b, float c,
                  float* dx);
  // dx may be null, or dw and db: of each image, [scales][lanes]
  void (*row_norm_dx)(const RowNormArgs&, const float* src, const float* grad, const float* scale, float* dx,
                      float* dw, float* db);
  void (*softmax_dx)(const SoftmaxArgs&, const float* dst, const float* grad, float* dx);
  void (*dropout)(const DropoutArgs&, size_t n, const float* src, float* dst);  // its own backward
  // losses [lanes]: of each image, summed; dx scaled by `scale` [lanes]
  void (*loss)(const LossArgs&, const float* src, const float* target, const float* scale, float* losses,
               float* dx);

  // Rows of [row][k] weights, at most 8 of them -> [k][row].
  void (*pack_rows)(int32_t rows, int32_t k, const float* weight, float* packed);
  // Sum of squares, each first cut to [-limit, limit]. Sixteen accumulators and a tree, whatever the lanes.
  float (*square_sum)(size_t n, const float* src, float limit);
  // False where a new weight is not finite.
  bool (*update)(const UpdateArgs&, size_t n, const UpdateBuffers&);
};

}  // namespace kernelet
