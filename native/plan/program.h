// The executable form of a graph for one layout: steps in order, and where their operands lie.
#pragma once

#include <memory>
#include <vector>

#include "ops/step.h"

namespace kernelet {

struct Program {
  struct Entry {
    std::unique_ptr<Step> step;
    std::vector<Location> sources;
    Location destination;
    bool divided = false;  // by several threads: there is work enough for it
    size_t described = 0;  // batched: the step of the single program that computes the value, too
  };
  std::vector<Entry> steps;
  // From this step on, linear layers with many weights and what comes behind them, images go together: first each
  // comes as far, then these steps are run for all of them, so that the weights are read once. `tail_floats` of values
  // an image. There are no such steps where it is their number.
  static constexpr int tail_images = 8;
  size_t tail = 0, tail_floats = 0, tail_offset = 0;
  size_t scratch_offset = 0, workspace_floats = 0;
  // Batched only: where the interleaved input and output lie in the arena.
  size_t input_offset = 0, output_offset = 0;
};

}  // namespace kernelet
