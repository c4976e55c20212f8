// An operation as the kernels are told of it, for plans and training alike; weights and biases are left out.
#pragma once

#include "graph/graph.h"
#include "kernels/table.h"

namespace kernelet {

// conv2d and what shares its step: `out` is what the step gives, after a 2x2 pool of the epilogue.
ConvArgs conv_args_of(const Node& node, const Shape& in, const Shape& out, const Epilogue& epilogue);
LinearArgs linear_args_of(const Shape& in, const Shape& out, const Unary& activation);
PoolArgs pool_args_of(const Node& node, const Shape& in);
// Of `width` images side by side.
SoftmaxArgs softmax_args_of(const Node& node, int32_t width);

}  // namespace kernelet
