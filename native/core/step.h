// One step of a plan: a kernel's arguments and where its operands lie.
#pragma once

#include <vector>

#include "plan.h"

namespace kernelet {

// Where a value lives while an image runs.
struct Location {
  enum Kind { input, output, arena, weights } kind = arena;
  size_t offset = 0;  // floats, in the arena or the packed weights
};

struct Plan::Step {
  Op op = Op::input;
  std::vector<Location> src;
  Location dst;
  union {
    ConvArgs conv;
    LinearArgs linear;
    PoolArgs pool;
    SoftmaxArgs softmax;
    Activation activation;
  };
  size_t elements = 0;  // of dst: activations, add, copies
  // concat: dst is `outer` rows, each the inputs' rows of these lengths one after another
  size_t outer = 0;
  std::vector<size_t> lengths;

  Step() : conv() {}
};

}  // namespace kernelet
