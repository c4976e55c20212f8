// One step of a plan: a kernel with its arguments, and where its operands lie.
#pragma once

#include <vector>

#include "kernels/strided_copy.h"
#include "plan.h"

namespace kernelet {

// Where a value lives while an image (or a block of them) runs.
struct Location {
  enum Kind { input, output, arena, weights } kind = arena;
  size_t offset = 0;  // floats, in the arena or the packed weights
};

// What an int8 step does around its sums: floats -> bytes before them (null where bytes lie there already), and
// sums -> bytes or floats behind them. Offsets in the program's scratch.
struct Int8Ends {
  Rescale before = nullptr, after = nullptr;
  RescaleArgs in, out;
  size_t bytes = 0, sums = 0, scratch = 0;
  bool sums_in_place = false;  // in dst
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
    BinaryArgs binary;
    CopyArgs copy;
    Unary activation;
  };
  union {
    const ConvAlgorithm* conv_algorithm;
    const LinearAlgorithm* linear_algorithm;
    const PoolAlgorithm* pool_algorithm;
  };
  size_t elements = 0;  // floats of dst: activations, copies
  // concat: dst is `outer` rows, each the inputs' rows of these lengths one after another
  size_t outer = 0;
  std::vector<size_t> lengths;
  std::unique_ptr<Int8Ends> int8;
  // conv2d: the linear layer of the next step, taken along. That one finds its sums in the scratch, at `sums`.
  std::vector<LinearPiece> pieces;
  bool taken_along = false;
  size_t sums = 0;
  // conv2d: its no_nan holds only if the input, of so many floats, is tame; 0: it need not be looked at.
  size_t looked_at = 0;

  Step() : conv(), conv_algorithm(nullptr) {}
};

struct Plan::Program {
  std::vector<Step> steps;
  size_t scratch_offset = 0, workspace_floats = 0;
  // Blocks only: where the interleaved input and output lie in the arena.
  size_t input_offset = 0, output_offset = 0;
};

// How one image, or one block of them, goes through the steps.
struct Plan::Course {
  bool apart;        // each step on its own: no layer is taken along
  bool tame = true;  // so far: every input looked at
};

struct Plan::Images {
  Input input;
  float* output;
};

}  // namespace kernelet
