// Which operations share a step: a convolution with its ReLU and 2x2 maximum; a linear layer, a sum or
// another operation on two values, or a batch norm with its activation. Everything else is a step of its own.
#pragma once

#include <vector>

#include "graph/graph.h"
#include "kernels/table.h"

namespace kernelet {

struct Group {
  std::vector<int> nodes;  // in order; the first decides the kernel, the last is the value
  Epilogue epilogue = {};
};

// The groups the output needs, in order of computation; inputs, constants and dead code are left out.
// `int8`: a linear layer takes a ReLU alone, which its sums of bytes can be followed by.
std::vector<Group> fuse(const Graph& graph, bool enabled, bool int8 = false);

Activation activation_of(Op op);   // none for what is no activation
Unary unary_of(const Node& node);  // with its parameters

}  // namespace kernelet
