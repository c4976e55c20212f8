#include "strides.h"

#include <algorithm>

namespace kernelet {
namespace {

// Floats between neighbours along each dimension of a broadcast to `rank` dimensions: 0 where there is one
// element. Innermost the images in the lanes.
void strides_of(const Layout& operand, int rank, size_t width, size_t (&strides)[BinaryArgs::max_rank]) {
  size_t next = operand.in_lanes ? width : 1;
  strides[rank] = operand.in_lanes ? 1 : 0;
  for (int d = rank - 1; d >= 0; --d) {
    const int i = d - rank + operand.shape.rank;
    const size_t dim = i < 0 ? 1 : static_cast<size_t>(operand.shape.dims[i]);
    strides[d] = dim == 1 ? 0 : next;
    next *= dim;
  }
}

}  // namespace

void set_strides(BinaryArgs& s, const Shape& out, const Layout& a, const Layout& b, size_t width) {
  size_t of_a[BinaryArgs::max_rank], of_b[BinaryArgs::max_rank];
  strides_of(a, out.rank, width, of_a);
  strides_of(b, out.rank, width, of_b);
  s.rank = 0;
  for (int d = 0; d <= out.rank; ++d) {
    const size_t dim = d == out.rank ? width : static_cast<size_t>(out.dims[d]);
    if (dim == 1) continue;
    const int last = s.rank - 1;
    if (last >= 0 && s.a[last] == of_a[d] * dim && s.b[last] == of_b[d] * dim) {
      s.dims[last] *= dim;
    } else {
      s.dims[s.rank++] = dim;
    }
    s.a[s.rank - 1] = of_a[d];
    s.b[s.rank - 1] = of_b[d];
  }
  if (s.rank == 0) s.dims[s.rank++] = s.a[0] = s.b[0] = 1;
}

CopyArgs moves_of(const Node& node, const Shape& input, size_t width) {
  CopyArgs s = CopyArgs();
  const auto dense = [&](const Shape& shape, int64_t(&strides)[CopyArgs::max_rank]) {
    int64_t next = static_cast<int64_t>(width);
    strides[shape.rank] = 1;
    for (int i = shape.rank - 1; i >= 0; next *= shape.dims[i--]) strides[i] = next;
  };
  const Shape& output = node.shape;
  int64_t in[CopyArgs::max_rank];
  dense(input, in);
  dense(output, s.dst);
  const int rank = output.rank;
  s.rank = rank + 1;
  s.dims[rank] = static_cast<int64_t>(width);
  s.src[rank] = 1;
  for (int i = 0; i < rank; ++i) {
    s.dims[i] = output.dims[i];
    s.src[i] = in[i];
    if (node.op == Op::permute) {
      s.src[i] = in[node.axes[i]];
    } else if (node.op == Op::slice) {
      s.src[i] *= node.steps[i];
      s.src_offset += node.starts[i] * in[i];
    } else {
      // where input and output overlap
      const int64_t begin = std::max<int64_t>(0, node.starts[i]);
      const int64_t end = std::min(output.dims[i], node.starts[i] + input.dims[i]);
      s.dims[i] = std::max<int64_t>(0, end - begin);
      s.dst_offset += begin * s.dst[i];
      s.src_offset += (begin - node.starts[i]) * in[i];
    }
  }
  // the innermost dimensions that are whole on both sides go together
  while (s.rank > 1 && s.src[s.rank - 2] == s.dims[s.rank - 1] * s.src[s.rank - 1] &&
         s.dst[s.rank - 2] == s.dims[s.rank - 1] * s.dst[s.rank - 1]) {
    --s.rank;
    s.dims[s.rank - 1] *= s.dims[s.rank];
    s.src[s.rank - 1] = s.src[s.rank];
    s.dst[s.rank - 1] = s.dst[s.rank];
  }
  s.fill = node.op == Op::pad;
  s.value = node.value;
  return s;
}

CopyArgs reversed(const CopyArgs& s) {
  CopyArgs back = s;
  std::copy(s.src, s.src + CopyArgs::max_rank, back.dst);
  std::copy(s.dst, s.dst + CopyArgs::max_rank, back.src);
  std::swap(back.src_offset, back.dst_offset);
  back.fill = true;  // what came from nowhere is not asked for, what went nowhere gets nothing
  back.value = 0.0f;
  return back;
}

Binary binary_of(Op op) {
  return op == Op::add   ? Binary::add
         : op == Op::sub ? Binary::sub
         : op == Op::mul ? Binary::mul
                         : Binary::div;
}

}  // namespace kernelet
