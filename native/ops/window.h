// Windows that slide over planes, as convolutions and pools have them.
#pragma once

#include <string>

#include "graph/graph.h"
#include "kernels/table.h"

namespace kernelet {

// A convolution or pool of [c][l] is one of [c][1][l].
Shape as_image(const Shape& shape);
// as_image, where the node's input can be one; throws ERR_SHAPE.
Shape image_of(const Node& node, const Shape& in);
// And back: the image `out` in the rank of the input.
Shape like(const Shape& in, Shape out);

// kernelSize, stride, dilation and padding in range; throws ERR_ARGUMENT.
void check_window(const Node& node);

// Outputs of a window over `in` elements (PyTorch's formula); at most 0 where it does not fit once.
int64_t window_outputs(int64_t in, int pad_before, int pad_after, int kernel, int stride, int dilation,
                       bool ceil_mode);
// [channels][oh][ow] of the node's window over an image.
Shape window_shape(const Node& node, const Shape& image, int64_t channels, bool ceil_mode);

// A 2x2 window with stride 2 that never reaches beyond its input: the four corners of a register tile.
bool fits_tile(const Node& pool, const Shape& in);

// The step in oneDNN's letters ("ic6ih14iw14oc16oh10ow10kh5kw5"), dilation counted from 1; what is usual is left out.
std::string window_problem(const Node& node, const Shape& in, const Shape& out);
std::string number(const char* letter, int64_t value);

// ConvArgs and PoolArgs name the window alike.
template <class Args>
void set_window(Args& a, const Node& node) {
  a.kh = node.kernel[0];
  a.kw = node.kernel[1];
  a.sh = node.stride[0];
  a.sw = node.stride[1];
  a.dh = node.dilation[0];
  a.dw = node.dilation[1];
  a.pt = node.padding[0];
  a.pl = node.padding[1];
}

// Both kinds of pools.
PoolArgs pool_args_of(const Node& node, const Shape& in);

}  // namespace kernelet
