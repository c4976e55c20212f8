// What a trainer does with a block of images: the graph's steps forward, the loss, the steps backward, and where
// every value and gradient lies. Made once from the graph.
#pragma once

#include <memory>
#include <vector>

#include "ops/train_step.h"

namespace kernelet {

struct TrainInstruction {
  enum Kind { prepare, forward, loss, backward } kind = prepare;
  TrainStep* step = nullptr;
  int round = 0;
  int node = -1;                  // the value it makes, or whose gradient it passes on
  std::vector<Location> sources;  // in the arena, or among the constants: Location::weights
  Location destination;
  size_t saved = 0;
  bool has_grad = false;
  size_t grad = 0;
  // Gradients of the inputs; `none` where nobody wants one. A value that several steps read has the first one's
  // gradient written in place, those of the others added from a temporary.
  static constexpr size_t none = BlockRun::none;
  std::vector<size_t> src_grads;
  struct Addition {
    size_t from, to, floats;
  };
  std::vector<Addition> additions;
};

// Of every node.
struct ParameterUses {
  std::vector<ParameterUse> weights, biases, means, variances;
};

struct TrainProgram {
  // Throws ERR_UNSUPPORTED for an operation without a backward.
  TrainProgram(const Graph& graph, const KernelTable& kernels, const ParameterUses& uses, bool input_gradient,
               bool fuse_steps);

  struct Node {
    int index;      // in the graph
    int stored_in;  // the node whose buffer its value is
    size_t floats;  // of the value, batched
  };

  std::vector<std::unique_ptr<TrainStep>> steps;
  std::vector<TrainInstruction> instructions;
  // Cuts: an instruction at a boundary needs all blocks to have come so far (TrainStep::batch_barrier).
  std::vector<size_t> segments;  // first instruction of each, and the number of instructions at the end
  std::vector<Node> nodes;       // the input and what the steps compute, in order
  AlignedFloats constants;
  Location input, output;
  size_t target = 0, output_grad = 0, input_grad = TrainInstruction::none;
  size_t scratch = 0, arena_floats = 0;
  bool trains = false;  // is there anything to go backward for?

  void pack(const float* weights) const;  // of all steps
  // The step of a node that has a parameter as its weight or bias.
  TrainStep* step_of(const ParameterUse& use, bool bias, size_t node) const;
};

}  // namespace kernelet
