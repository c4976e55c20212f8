// Moving elements without looking at them: permutations, slices, paddings.
#pragma once

#include <cstddef>
#include <cstdint>

namespace kernelet {

// dst[dst_offset + sum i_d dst_d] = src[src_offset + sum i_d src_d] for every index below dims; nothing where
// one of them is 0. In floats, the last dimension innermost.
struct CopyArgs {
  static constexpr int max_rank = 7;  // six of an image, and the images in the lanes
  int rank;
  int64_t dims[max_rank], src[max_rank], dst[max_rank];
  int64_t src_offset, dst_offset;
  bool fill;  // dst has more elements: all of them `value` first
  float value;
};

void strided_copy(const CopyArgs& s, size_t dst_length, const float* src, float* dst);

}  // namespace kernelet
