#include "window.h"

#include "check.h"

namespace kernelet {
namespace {

std::string pair_unless(const char* vertical, const char* horizontal, const int (&value)[2], int usual) {
  if (value[0] == usual && value[1] == usual) return "";
  return number(vertical, value[0]) + number(horizontal, value[1]);
}

}  // namespace

Shape as_image(const Shape& shape) {
  Shape image = shape;
  if (shape.rank == 2) {
    image.rank = 3;
    image.dims[2] = shape.dims[1];
    image.dims[1] = 1;
  }
  return image;
}

Shape image_of(const Node& node, const Shape& in) {
  if (in.rank != 3 && in.rank != 2) bad_shape(node, {"an input of [channels, height, width]"}, {in.text()});
  return as_image(in);
}

Shape like(const Shape& in, Shape out) {
  if (in.rank == 2) {
    if (out.dims[1] != 1) out.dims[2] = 0;  // a window that is no row: fits nothing
    out.dims[1] = out.dims[2];
    out.rank = 2;
  }
  return out;
}

void check_window(const Node& node) {
  for (int i = 0; i < 2; ++i) {
    check_range(node, "kernelSize", node.kernel[i], 1);
    check_range(node, "stride", node.stride[i], 1);
    check_range(node, "dilation", node.dilation[i], 1);
  }
  for (int pad : node.padding) check_range(node, "padding", pad, 0);
}

int64_t window_outputs(int64_t in, int pad_before, int pad_after, int kernel, int stride, int dilation,
                       bool ceil_mode) {
  const int64_t reach = static_cast<int64_t>(dilation) * (kernel - 1) + 1;
  const int64_t room = in + pad_before + pad_after - reach;
  if (room < 0) return 0;
  int64_t out = (room + (ceil_mode ? stride - 1 : 0)) / stride + 1;
  // the last window must start inside the input or the padding before it
  if (ceil_mode && (out - 1) * stride >= in + pad_before) --out;
  return out;
}

Shape window_shape(const Node& node, const Shape& image, int64_t channels, bool ceil_mode) {
  Shape out;
  out.rank = 3;
  out.dims[0] = channels;
  for (int i = 0; i < 2; ++i) {
    out.dims[1 + i] = window_outputs(image.dims[1 + i], node.padding[i], node.padding[2 + i], node.kernel[i],
                                     node.stride[i], node.dilation[i], ceil_mode);
  }
  return out;
}

bool fits_tile(const Node& pool, const Shape& in) {
  for (int i = 0; i < 2; ++i) {
    if (pool.kernel[i] != 2 || pool.stride[i] != 2 || pool.dilation[i] != 1) return false;
    if (pool.padding[i] != 0 || pool.padding[2 + i] != 0) return false;
    if (pool.ceil_mode && in.dims[1 + i] % 2 != 0) return false;
  }
  return true;
}

std::string number(const char* letter, int64_t value) { return letter + std::to_string(value); }

std::string window_problem(const Node& node, const Shape& in, const Shape& out) {
  std::string s = node.groups > 1 ? number("g", node.groups) : "";
  s += number("ic", in.dims[0]) + number("ih", in.dims[1]) + number("iw", in.dims[2]);
  s += number("oc", out.dims[0]) + number("oh", out.dims[1]) + number("ow", out.dims[2]);
  s += number("kh", node.kernel[0]) + number("kw", node.kernel[1]);
  s += pair_unless("sh", "sw", node.stride, 1) + pair_unless("dh", "dw", node.dilation, 1);
  s += pair_unless("ph", "pw", {node.padding[0], node.padding[1]}, 0);
  return s;
}

PoolArgs pool_args_of(const Node& node, const Shape& input) {
  PoolArgs a = PoolArgs();
  const Shape in = as_image(input), out = as_image(node.shape);
  a.c = int_of(in.dims[0]);
  a.ih = int_of(in.dims[1]);
  a.iw = int_of(in.dims[2]);
  a.oh = int_of(out.dims[1]);
  a.ow = int_of(out.dims[2]);
  set_window(a, node);
  a.pb = node.padding[2];
  a.pr = node.padding[3];
  a.count_include_pad = node.count_include_pad;
  return a;
}

}  // namespace kernelet
