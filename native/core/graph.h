// The graph the facade traces: an SSA list of operations in an order they can be computed in.
#pragma once

#include <string>
#include <vector>

#include "shape.h"

namespace kernelet {

enum class Op {
  input,
  constant,
  conv2d,
  max_pool2d,
  avg_pool2d,
  linear,
  relu,
  tanh,
  sigmoid,
  softmax,
  log_softmax,
  flatten,
  add,
  concat,
  dropout,
};

// The facade's name of an op ("maxPool2d"), and back; op_of throws ERR_ARGUMENT for an unknown name.
const char* op_name(Op op);
Op op_of(const std::string& name);

// Floats the caller keeps alive while a plan is made; the plan packs its own copy.
struct Floats {
  const float* data = nullptr;
  size_t length = 0;
};

struct Node {
  Op op = Op::input;
  std::string name;
  std::vector<int> inputs;  // indices of earlier nodes
  Shape shape;              // of the value, per image

  Floats weight;  // conv2d [oc][ic / groups][kh][kw], linear [out][in], constant: its value
  Floats bias;    // [oc], [out], or none
  int kernel[2] = {1, 1};
  int stride[2] = {1, 1};
  int dilation[2] = {1, 1};
  int padding[4] = {0, 0, 0, 0};  // top, left, bottom, right
  int groups = 1;
  bool ceil_mode = false;
  bool count_include_pad = true;
  int axis = 0;  // softmax, log_softmax, concat
  float p = 0;   // dropout
};

struct Graph {
  std::vector<Node> nodes;
  int output = 0;

  // Checks every index, attribute, weight length and shape, so that nothing later can read or write out of
  // bounds, whatever the caller said. Throws ERR_SHAPE or ERR_ARGUMENT naming the node.
  void validate() const;
};

// Outputs of a window over `in` elements (PyTorch's formula); at most 0 where it does not fit once.
int64_t window_outputs(int64_t in, int pad_before, int pad_after, int kernel, int stride, int dilation,
                       bool ceil_mode);

}  // namespace kernelet
