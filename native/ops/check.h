// What operations check of a node, and how they say what is wrong.
#pragma once

#include <initializer_list>

#include "graph/graph.h"

namespace kernelet {

// Strides, windows and paddings beyond this are nobody's network, and keep int32 arithmetic exact.
constexpr int max_extent = 1 << 15;

// "NAME: expected … but received …", ERR_SHAPE.
[[noreturn]] void bad_shape(const Node& node, std::initializer_list<Text> expected,
                            std::initializer_list<Text> received);
// An attribute in [low, max_extent].
void check_range(const Node& node, const char* what, int value, int low);
// So many floats, and not none.
void check_length(const Node& node, const char* what, const Floats& floats, int64_t expected);
// The node's own shape, where the input does not say it: its rank is the input's.
Shape own_shape(const Node& node, const Shape& in);
// softmax, concat: an axis of this shape.
void check_axis(const Node& node, const Shape& shape);

inline int32_t int_of(int64_t value) { return static_cast<int32_t>(value); }

}  // namespace kernelet
