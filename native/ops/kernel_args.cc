#include "kernel_args.h"

namespace kernelet {
namespace {

int32_t int_of(int64_t value) { return static_cast<int32_t>(value); }

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

}  // namespace

ConvArgs conv_args_of(const Node& node, const Shape& input, const Shape& output, const Epilogue& epilogue) {
  ConvArgs a = ConvArgs();
  const Shape in = as_image(input), out = as_image(output);
  // with a fused pool an odd last row or column of outputs is never looked at, so never computed
  const int32_t side = epilogue.pool == Pool::none ? 1 : 2;
  a.ic = int_of(in.dims[0]);
  a.ih = int_of(in.dims[1]);
  a.iw = int_of(in.dims[2]);
  a.oc = int_of(out.dims[0]);
  a.ph = int_of(out.dims[1]);
  a.pw = int_of(out.dims[2]);
  a.oh = side * a.ph;
  a.ow = side * a.pw;
  set_window(a, node);
  a.groups = node.groups;
  a.epilogue = epilogue;
  return a;
}

LinearArgs linear_args_of(const Shape& in, const Shape& out, const Unary& activation) {
  LinearArgs a = LinearArgs();
  a.in = int_of(in.dims[in.rank - 1]);
  a.out = int_of(out.dims[out.rank - 1]);
  a.rows = int_of(in.elements() / a.in);
  a.activation = activation;
  return a;
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

SoftmaxArgs softmax_args_of(const Node& node, int32_t width) {
  SoftmaxArgs a = SoftmaxArgs();
  a.outer = 1;
  a.inner = width;
  for (int i = 0; i < node.axis; ++i) a.outer *= int_of(node.shape.dims[i]);
  for (int i = node.axis + 1; i < node.shape.rank; ++i) a.inner *= int_of(node.shape.dims[i]);
  a.n = int_of(node.shape.dims[node.axis]);
  a.log = node.op == Op::log_softmax;
  return a;
}

}  // namespace kernelet
