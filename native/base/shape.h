// A shape per image: the batch is the implicit outermost dimension everywhere in the core.
#pragma once

#include <cstdint>
#include <string>

#include "error.h"

namespace kernelet {

struct Shape {
  static constexpr int max_rank = 6;
  // One tensor per image stays addressable by int32 offsets.
  static constexpr int64_t max_elements = (int64_t{1} << 31) - 1;

  int rank = 0;
  int64_t dims[max_rank] = {};

  bool operator==(const Shape& other) const {
    if (rank != other.rank) return false;
    for (int i = 0; i < rank; ++i) {
      if (dims[i] != other.dims[i]) return false;
    }
    return true;
  }
  bool operator!=(const Shape& other) const { return !(*this == other); }

  // Only for shapes that passed check().
  int64_t elements() const {
    int64_t n = 1;
    for (int i = 0; i < rank; ++i) n *= dims[i];
    return n;
  }

  // 16x8x8, as in problem strings.
  std::string text() const {
    std::string s;
    for (int i = 0; i < rank; ++i) s += (i ? "x" : "") + std::to_string(dims[i]);
    return s;
  }

  // Throws ERR_SHAPE unless every dimension is positive and the product fits.
  void check(const std::string& what) const {
    int64_t n = 1;
    if (rank < 1 || rank > max_rank) {
      fail("ERR_SHAPE", {what, ": expected 1 to 6 dimensions but received ", rank});
    }
    for (int i = 0; i < rank; ++i) {
      if (dims[i] < 1 || dims[i] > max_elements || n > max_elements / dims[i]) {
        fail("ERR_SHAPE",
             {what, ": expected positive dimensions of at most 2147483647 elements but received ", text()});
      }
      n *= dims[i];
    }
  }
};

}  // namespace kernelet
