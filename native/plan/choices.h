// How steps are computed where that was measured (tune.h), instead of the cost model's word. No choice changes a bit but
// Winograd, which the option "fastest" alone admits.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "graph/graph.h"

namespace kernelet {

// Of the node that decides a step: a convolution or a linear layer. All zero: as the cost model says.
struct Choice {
  enum Way : uint8_t { any, planes, blocked, winograd };
  // The implementations over planes of algorithms.cc have numbers from 1 on. lib/compile/tuning.ts has names for all.
  enum Algorithm : int32_t { wide_linear = 6, narrow_linear = 7 };
  int node = 0;
  Way way = any;          // what a convolution writes, and how
  int32_t algorithm = 0;  // over planes, and of linear layers: Algorithm
  // Over blocks: tiles of a convolution between two changes of weights. Of a depthwise one: rows at a time, depth first
  // with the 1x1 convolution before it; -1: apart from that one.
  int32_t strip = 0;
};

struct Choices {
  std::vector<Choice> nodes;
  int lanes = -1;  // 1: images of a batch side by side; 0: never; -1: as the cost model says

  const Choice* of(int node) const {
    for (const Choice& one : nodes) {
      if (one.node == node) return &one;
    }
    return nullptr;
  }
  // The choice of a node, to be changed; a new one where there is none.
  Choice& at(int node) {
    for (Choice& one : nodes) {
      if (one.node == node) return one;
    }
    nodes.emplace_back();
    nodes.back().node = node;
    return nodes.back();
  }
};

[[noreturn]] void refuse(const Graph& graph, const Choice& choice);

}  // namespace kernelet
