// The graph the facade traces: an SSA list of operations in an order they can be computed in.
#pragma once

#include <string>
#include <vector>

#include "base/shape.h"
#include "op.h"

namespace kernelet {

// Floats the caller keeps alive while a plan is made; the plan packs its own copy. Weights of convolutions and linear layers
// may lie in a file instead, which stays open as long: then they are read piece by piece, and `data` is null.
struct Floats {
  const float* data = nullptr;
  size_t length = 0;
  int file = -1;       // its descriptor
  int64_t offset = 0;  // bytes before the first

  bool given() const { return data != nullptr || file >= 0; }
  // Some of those in a file; throws ERR_IO where it ends before them or cannot be read.
  void read(size_t begin, size_t count, float* to) const;
};

// How a resized plane lies over its input: output x is at this place of the input.
enum class Coordinates {
  asymmetric,          // x / scale
  half_pixel,          // (x + 1/2) / scale - 1/2
  pytorch_half_pixel,  // the same, and 0 where there is one output
  align_corners,       // x (in - 1) / (out - 1), 0 where there is one output
  step,  // x scale: `scales` are the input's pixels in one of the output's, as PyTorch multiplies by them
};
// Which pixel is the nearest to a place. Halves: prefer_floor, prefer_ceil.
enum class Rounding { floor, ceil, prefer_floor, prefer_ceil };

struct Node {
  Op op = Op::input;
  std::string name;
  std::vector<int> inputs;  // indices of earlier nodes
  Shape shape;              // of the value, per image

  // conv2d [oc][ic / groups][kh][kw], conv_transpose2d [ic][oc / groups][kh][kw], linear [out][in], recurrent [gates h][h], constant: its value, prelu [1] or [c], batch_norm and group_norm [c] or none, layer_norm and rms_norm a row or none
  Floats weight;
  Floats bias;            // [oc], [out], [gates h], [c], a row, or none
  Floats mean, variance;  // batch_norm [c]
  int kernel[2] = {1, 1};
  int stride[2] = {1, 1};
  int dilation[2] = {1, 1};
  int padding[4] = {0, 0, 0, 0};   // top, left, bottom, right
  int output_padding[2] = {0, 0};  // conv_transpose2d: rows and columns more at the end
  int groups = 1;
  bool ceil_mode = false;
  bool count_include_pad = true;
  int axis = 0;  // softmax, log_softmax, concat; layer_norm, rms_norm: the first one of a row
  float p = 0;   // dropout
  // leaky_relu, pow: alpha. elu: alpha; selu: alpha and beta, its scale. hardsigmoid: clip(alpha x + beta, 0, 1).
  // clip: from alpha to beta. scaled_tanh: alpha tanh(beta x). softplus, threshold, shrink: activations.inc.
  float alpha = 1.0f, beta = 1.0f;
  bool training = false;  // batch_norm, while trained: by the batch's own statistics
  float momentum = 0.1f;  // batch_norm: how far running statistics move towards a batch's
  float epsilon = 1e-5f;  // batch_norm, layer_norm, group_norm, rms_norm
  float value = 0.0f;     // pad
  Coordinates coordinates = Coordinates::asymmetric;  // upsample_*
  Rounding rounding = Rounding::floor;                // upsample_nearest2d
  float scales[2] = {1.0f, 1.0f};                     // upsample_*: of height and width
  int axes[Shape::max_rank] = {};                     // permute: dimension i is the input's axes[i]
  // slice: the first index taken; pad: elements put before (or cut off)
  int64_t starts[Shape::max_rank] = {};
  int64_t steps[Shape::max_rank] = {1, 1, 1, 1, 1, 1};  // slice: from one index to the next
};

// One a node. Not of bool: vector<bool> is code of its own, and much of it.
using NodeFlags = std::vector<uint8_t>;

struct Graph {
  std::vector<Node> nodes;
  int output = 0;
};

}  // namespace kernelet
