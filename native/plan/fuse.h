// Pass: which operations share a step. What an operation takes into its step, as an epilogue, it says itself
// (OpDefinition::fuses); everything else is a step of its own.
#pragma once

#include <vector>

#include "ops/definition.h"

namespace kernelet {

struct Group {
  std::vector<int>
      nodes;  // in order: the first decides the kernel, the others are its epilogue, the last is the value
};

// The groups the output needs, in order of computation; inputs, constants and dead code are left out, views are not.
std::vector<Group> fuse(const Graph& graph, const FusionRules& rules);

// Nodes that the output depends on.
NodeFlags live_nodes(const Graph& graph);

}  // namespace kernelet
