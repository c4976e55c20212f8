// How operations on strides see shapes: broadcasting, permutations, slices and paddings, for plans and training.
#pragma once

#include "graph/graph.h"
#include "kernels/strided_copy.h"
#include "kernels/table.h"

namespace kernelet {

// A value of an image, or `width` of them side by side in the lanes; one not in the lanes is the same for all.
struct Layout {
  Shape shape;
  bool in_lanes;
};

// dims, a and b of out = a op b, each neighbour of the other merged where both lie so.
void set_strides(BinaryArgs& s, const Shape& out, const Layout& a, const Layout& b, size_t width);

// permute, slice, pad of `width` images side by side.
CopyArgs moves_of(const Node& node, const Shape& in, size_t width);

// The way back: what moves `out`'s elements to where they came from.
CopyArgs reversed(const CopyArgs& s);

Binary binary_of(Op op);  // add, sub, mul, div

}  // namespace kernelet
