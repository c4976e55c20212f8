#include "check.h"

namespace kernelet {

void bad_shape(const Node& node, std::initializer_list<Text> expected, std::initializer_list<Text> received) {
  fail("ERR_SHAPE",
       {node.name, ": expected ", sentence_of(expected), " but received ", sentence_of(received)});
}

void check_range(const Node& node, const char* what, int value, int low) {
  if (value < low || value > max_extent) {
    fail("ERR_ARGUMENT",
         {node.name, ": expected ", what, " from ", low, " to ", max_extent, " but received ", value});
  }
}

void check_length(const Node& node, const char* what, const Floats& floats, int64_t expected) {
  if (!floats.given() || floats.length != static_cast<size_t>(expected)) {
    bad_shape(node, {expected, " values in ", what}, {floats.length});
  }
}

Shape own_shape(const Node& node, const Shape& in) {
  if (node.shape.rank != in.rank) bad_shape(node, {in.rank, " dimensions"}, {node.shape.rank});
  return node.shape;
}

void check_axis(const Node& node, const Shape& shape) {
  if (node.axis < 0 || node.axis >= shape.rank)
    bad_shape(node, {"an axis below the rank ", shape.rank}, {node.axis});
}

}  // namespace kernelet
