#include "strided_copy.h"

#include <algorithm>
#include <cstring>

namespace kernelet {
namespace {

// Rows of the source that become columns, in squares whose cache lines are used up while they are there.
void turned_plane(const CopyArgs& s, const float* src, float* dst) {
  constexpr int64_t side = 16;
  const int last = s.rank - 1;
  const int64_t rows = s.dims[last - 1], columns = s.dims[last];
  for (int64_t i = 0; i < columns; i += side) {
    const int64_t end = std::min(columns, i + side);
    for (int64_t row = 0; row < rows; ++row) {
      for (int64_t j = i; j < end; ++j)
        dst[row * s.dst[last - 1] + j * s.dst[last]] = src[row + j * s.src[last]];
    }
  }
}

}  // namespace

void strided_copy(const CopyArgs& s, size_t dst_length, const float* src, float* dst) {
  if (s.fill) std::fill(dst, dst + dst_length, s.value);
  for (int d = 0; d < s.rank; ++d) {
    if (s.dims[d] < 1) return;
  }
  const int last = s.rank - 1;
  const int64_t n = s.dims[last], from = s.src[last], to = s.dst[last];
  const bool turned = s.rank > 1 && s.src[last - 1] == 1 && from > 1;
  int64_t row[CopyArgs::max_rank] = {};
  src += s.src_offset;
  dst += s.dst_offset;
  for (;;) {
    if (turned) {
      turned_plane(s, src, dst);
    } else if (from == 1 && to == 1) {
      std::memcpy(dst, src, static_cast<size_t>(n) * sizeof(float));
    } else {
      for (int64_t i = 0; i < n; ++i) dst[i * to] = src[i * from];
    }
    int d = turned ? last - 2 : last - 1;
    for (; d >= 0; --d) {
      src += s.src[d];
      dst += s.dst[d];
      if (++row[d] < s.dims[d]) break;
      row[d] = 0;
      src -= s.src[d] * s.dims[d];
      dst -= s.dst[d] * s.dims[d];
    }
    if (d < 0) return;
  }
}

}  // namespace kernelet
