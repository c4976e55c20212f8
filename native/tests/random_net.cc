// Random nets and DAGs, of every operation.
#include <algorithm>

#include "net.h"

namespace kernelet {
namespace test {
namespace {

constexpr int most_elements = 3000;

// oneDNN's conv tests take prime strides: they hide least behind alignment.
Window random_window(Random& random, bool wild, bool pool) {
  constexpr int strides[] = {1, 1, 1, 2, 2, 3, 5, 7};
  constexpr int wild_values[] = {1, 2, 3, 4, 5, 6, 8, 13, 31, 64, 1000, 32768};
  Window w;
  const bool square = random.chance(50);
  for (int i = 0; i < 2; ++i) {
    if (i == 1 && square) {
      w.kernel[1] = w.kernel[0];
      w.stride[1] = w.stride[0];
      w.dilation[1] = w.dilation[0];
      w.padding[1] = w.padding[0];
      w.padding[3] = w.padding[2];
      break;
    }
    w.kernel[i] = random.chance(30) ? 2 : random.range(1, 5);
    w.stride[i] = pool && random.chance(50) ? w.kernel[i] : random.pick(strides);
    w.dilation[i] = random.chance(70) ? 1 : random.range(2, 4);
    if (wild && random.chance(30)) w.kernel[i] = random.range(1, 40);
    if (wild && random.chance(30)) w.stride[i] = random.pick(wild_values);
    if (wild && random.chance(30)) w.dilation[i] = random.pick(wild_values);
    const int most = pool ? (w.kernel[i] - 1) * w.dilation[i] : wild ? 40 : 3;
    if (random.chance(40)) w.padding[i] = w.padding[2 + i] = random.range(0, std::min(most, 40));
    if (random.chance(20)) w.padding[2 + i] = random.range(0, std::min(most, 40));
  }
  if (pool && random.chance(40)) return Window(2, 2);
  return w;
}

// Appends one random node; may append none.
void grow(Net& net, Random& random, bool wild) {
  const int count = static_cast<int>(net.graph.nodes.size());
  const auto any = [&] { return random.chance(60) ? count - 1 : random.range(0, count - 1); };
  const int from = any();
  const Shape& in = net.shape(from);
  const size_t before = net.graph.nodes.size();
  switch (random.range(0, 27)) {
    case 0:
    case 1:
    case 2:
    case 3: {
      if (in.rank != 3 && in.rank != 2) return;
      const int ic = static_cast<int>(in.dims[0]);
      int groups = 1;
      if (random.chance(30)) groups = ic;
      if (random.chance(20) && ic % 2 == 0) groups = 2;
      // one draw a statement: compilers may evaluate arguments in any order
      const int oc = groups * random.range(1, groups > 4 ? 2 : 9);
      const Window w = random_window(random, wild, false);
      net.conv(from, oc, w, groups, random.chance(70));
      break;
    }
    case 4: {
      if (in.rank != 3) return;
      Window w = random_window(random, wild, true);
      net.pool(Op::max_pool2d, from, w, random.chance(30));
      break;
    }
    case 5: {
      if (in.rank != 3) return;
      Window w = random_window(random, wild, true);
      const bool ceil_mode = random.chance(30);
      net.pool(Op::avg_pool2d, from, w, ceil_mode, random.chance(50));
      break;
    }
    case 6: {
      const int out = random.range(1, 70);
      net.linear(from, out, random.chance(70));
      break;
    }
    case 7:
    case 8: {
      // (no exp, log or power: what they overflow to would hide the rest)
      constexpr int ops[] = {
          static_cast<int>(Op::relu),        static_cast<int>(Op::relu),
          static_cast<int>(Op::tanh),        static_cast<int>(Op::sigmoid),
          static_cast<int>(Op::clip),        static_cast<int>(Op::leaky_relu),
          static_cast<int>(Op::elu),         static_cast<int>(Op::selu),
          static_cast<int>(Op::silu),        static_cast<int>(Op::hardswish),
          static_cast<int>(Op::gelu),        static_cast<int>(Op::abs),
          static_cast<int>(Op::hardsigmoid), static_cast<int>(Op::scaled_tanh),
          static_cast<int>(Op::gelu_tanh),   static_cast<int>(Op::softplus),
          static_cast<int>(Op::mish),        static_cast<int>(Op::softsign),
          static_cast<int>(Op::erf),         static_cast<int>(Op::threshold),
          static_cast<int>(Op::shrink),
      };
      net.unary(static_cast<Op>(random.pick(ops)), from);
      break;
    }
    case 9: {
      if (random.chance(50)) {
        const Op op = random.chance(50) ? Op::softmax : Op::log_softmax;
        net.softmax(op, from, random.range(0, in.rank - 1));
      } else if (random.chance(70)) {
        net.flatten(from);
      } else {
        net.reshape(from, random.chance(50) ? shape_of({1, in.elements(), 1}) : shape_of({in.elements(), 1}));
      }
      break;
    }
    case 10: {
      // an earlier value of the same shape, this value itself, or a constant
      std::vector<int> alike;
      for (int i = 0; i < count; ++i) {
        if (net.shape(i) == in) alike.push_back(i);
      }
      const int other =
          random.chance(20) ? net.constant(net.shape(from)) : alike[random.next() % alike.size()];
      random.chance(50) ? net.add(from, other) : net.add(other, from);
      break;
    }
    case 11: {
      // any value or constant that broadcasts
      constexpr int ops[] = {static_cast<int>(Op::add), static_cast<int>(Op::sub), static_cast<int>(Op::mul)};
      const Op op = static_cast<Op>(random.pick(ops));
      int other = random.range(0, count - 1);
      if (random.chance(60)) {
        Shape shape = in;
        for (int d = 0; d < in.rank; ++d) shape.dims[d] = random.chance(50) ? 1 : in.dims[d];
        for (int drop = random.range(0, in.rank - 1); drop > 0; --drop) {
          for (int d = 1; d < shape.rank; ++d) shape.dims[d - 1] = shape.dims[d];
          shape.dims[--shape.rank] = 0;
        }
        other = net.constant(shape);
      }
      if ((random.chance(50) ? net.binary(op, from, other) : net.binary(op, other, from)) < 0)
        net.graph.nodes.resize(before);
      net.graph.output = static_cast<int>(net.graph.nodes.size()) - 1;
      break;
    }
    case 12: {
      if (random.chance(70)) net.batch_norm(from, random.chance(80));
      else net.prelu(from, random.chance(70));
      break;
    }
    case 13: {
      if (in.rank != 3 && in.rank != 2) return;
      const Op op = random.chance(60) ? Op::adaptive_avg_pool2d : Op::adaptive_max_pool2d;
      const int oh = random.chance(40) ? 1 : random.range(1, 7),
                ow = random.chance(40) ? 1 : random.range(1, 7);
      net.adaptive(op, from, oh, ow);
      break;
    }
    case 14: {
      std::vector<int> axes;
      for (int d = 0; d < in.rank; ++d) axes.insert(axes.begin() + random.range(0, d), d);
      net.permute(from, axes);
      break;
    }
    case 15: {
      std::vector<int64_t> starts, steps, counts;
      for (int d = 0; d < in.rank; ++d) {
        const int dim = static_cast<int>(in.dims[d]), step = random.chance(60) ? 1 : random.range(1, 3);
        const int first = random.chance(50) ? 0 : random.range(0, dim - 1);
        const int n = random.range(1, (dim - 1 - first) / step + 1);
        const bool backwards = random.chance(20);
        starts.push_back(backwards ? first + (n - 1) * step : first);
        steps.push_back(backwards ? -step : step);
        counts.push_back(n);
      }
      net.slice(from, starts, steps, counts);
      break;
    }
    case 16: {
      std::vector<int64_t> starts, dims;
      for (int d = 0; d < in.rank; ++d) {
        const int begin = random.chance(60) ? 0 : random.range(-2, 3),
                  end = random.chance(60) ? 0 : random.range(-2, 3);
        starts.push_back(begin);
        dims.push_back(std::max<int64_t>(1, in.dims[d] + begin + end));
      }
      net.pad(from, starts, dims, random.real());
      break;
    }
    case 17:
    case 18: {
      if (in.rank != 3 && in.rank != 2) return;
      const int ic = static_cast<int>(in.dims[0]);
      int groups = 1;
      if (random.chance(30)) groups = ic;
      if (random.chance(20) && ic % 2 == 0) groups = 2;
      const int oc = groups * random.range(1, groups > 4 ? 2 : 9);
      const Window w = random_window(random, wild, false);
      const bool bias = random.chance(70);
      net.conv_transpose(from, oc, w, groups, bias, random.chance(60) ? 0 : random.range(1, 3));
      break;
    }
    case 19: {
      if (in.rank != 3 && in.rank != 2) return;
      const Op op = random.chance(50) ? Op::upsample_nearest2d : Op::upsample_bilinear2d;
      const int by = random.range(1, 3);
      int oh = static_cast<int>(in.dims[1]) * by, ow = static_cast<int>(in.dims[in.rank - 1]) * by;
      if (random.chance(50)) oh = random.range(1, 30);
      if (random.chance(50)) ow = random.range(1, 30);
      const Coordinates coordinates = static_cast<Coordinates>(random.range(0, 4));
      net.resize(op, from, in.rank == 2 ? 1 : oh, ow, coordinates, static_cast<Rounding>(random.range(0, 3)));
      break;
    }
    case 20:
    case 21: {
      // by any value or constant that fits, or by itself turned
      if (in.rank < 2) return;
      int other = random.range(0, count - 1);
      if (random.chance(40)) {
        std::vector<int> axes;
        for (int d = 0; d < in.rank; ++d) axes.push_back(d);
        std::swap(axes[static_cast<size_t>(in.rank) - 1], axes[static_cast<size_t>(in.rank) - 2]);
        other = net.permute(from, axes);
      } else if (random.chance(60)) {
        Shape shape = in;
        shape.dims[in.rank - 2] = in.dims[in.rank - 1];
        shape.dims[in.rank - 1] = random.range(1, 40);
        for (int d = 0; d < in.rank - 2; ++d) shape.dims[d] = random.chance(50) ? 1 : in.dims[d];
        if (shape.elements() > most_elements) return;
        other = net.constant(shape);
      }
      if ((random.chance(70) ? net.matmul(from, other) : net.matmul(other, from)) < 0)
        net.graph.nodes.resize(before);
      net.graph.output = static_cast<int>(net.graph.nodes.size()) - 1;
      break;
    }
    case 22: {
      // steps are rows, or channels; what goes to the gates comes from a linear layer
      int x = from;
      if (in.rank != 2) x = net.reshape(from, shape_of({in.dims[0], in.elements() / in.dims[0]}));
      constexpr int ops[] = {static_cast<int>(Op::lstm),     static_cast<int>(Op::lstm),
                             static_cast<int>(Op::gru),      static_cast<int>(Op::gru_reset_first),
                             static_cast<int>(Op::rnn_tanh), static_cast<int>(Op::rnn_relu)};
      const Op op = static_cast<Op>(random.pick(ops));
      const int hidden = random.range(1, 20), gates = op == Op::lstm ? 4 : op == Op::gru ? 3 : 1;
      x = net.linear(x, (op == Op::gru_reset_first ? 3 : gates) * hidden);
      const bool bias = random.chance(50), states = random.chance(40), cells = random.chance(30);
      net.recurrent(op, x, bias, states, cells);
      break;
    }
    case 23:
    case 24: {
      const bool affine = random.chance(70);
      if (random.chance(50)) {
        const int channels = static_cast<int>(in.dims[0]);
        net.group_norm(from, random.chance(60) ? channels : channels % 2 == 0 ? 2 : 1, affine);
      } else {
        const int axis = random.range(0, in.rank - 1);
        net.layer_norm(from, axis, affine, random.chance(30));
      }
      break;
    }
    case 25: {
      const int axis = random.range(0, in.rank - 1);
      constexpr int folds[] = {static_cast<int>(Op::prod), static_cast<int>(Op::arg_max),
                               static_cast<int>(Op::arg_min), static_cast<int>(Op::cum_sum),
                               static_cast<int>(Op::sort)};
      if (random.chance(50)) {
        const Op op = static_cast<Op>(random.pick(folds));
        const bool alpha = random.chance(50);
        const bool beta = random.chance(50);
        const bool some = op == Op::sort && random.chance(60);
        const int kept = some ? random.range(1, static_cast<int>(in.dims[axis])) : 0;
        net.fold(op, from, axis, alpha, beta, kept);
      } else {
        // (no sinh, cosh: what they overflow to would hide the rest; none that is NaN beyond some range)
        constexpr int ops[] = {
            static_cast<int>(Op::floor),  static_cast<int>(Op::ceil),       static_cast<int>(Op::round),
            static_cast<int>(Op::sign),   static_cast<int>(Op::sin),        static_cast<int>(Op::cos),
            static_cast<int>(Op::atan),   static_cast<int>(Op::asinh),      static_cast<int>(Op::is_nan),
            static_cast<int>(Op::is_inf), static_cast<int>(Op::logical_not)};
        net.unary(static_cast<Op>(random.pick(ops)), from);
      }
      break;
    }
    case 26: {
      int other = random.range(0, count - 1);
      if (random.chance(50)) {
        Shape shape = in;
        for (int d = 0; d < in.rank; ++d) shape.dims[d] = random.chance(50) ? 1 : in.dims[d];
        other = net.constant(shape);
      }
      const int last = static_cast<int>(Op::fmod), first = static_cast<int>(Op::maximum);
      const int made = random.chance(40)
                           ? net.where(from, other, random.chance(50) ? from : other)
                           : net.binary(static_cast<Op>(random.range(first, last)), from, other);
      if (made < 0) net.graph.nodes.resize(before);
      net.graph.output = static_cast<int>(net.graph.nodes.size()) - 1;
      break;
    }
    default: {
      const int axis = random.range(0, in.rank - 1);
      std::vector<int> fitting;
      for (int i = 0; i < count; ++i) {
        Shape a = net.shape(i);
        if (a.rank != in.rank) continue;
        a.dims[axis] = in.dims[axis];
        if (a == in) fitting.push_back(i);
      }
      std::vector<int> parts;
      for (int i = random.range(1, 4); i > 0; --i) parts.push_back(fitting[random.next() % fitting.size()]);
      net.concat(parts, axis);
      break;
    }
  }
  // too large to go on with: take it back
  if (net.graph.nodes.size() > before && net.shape(net.graph.output).elements() > most_elements) {
    net.graph.nodes.resize(before);
    net.graph.output = static_cast<int>(before) - 1;
  }
}

}  // namespace

Net random_net(Random& random, int nodes, bool wild) {
  const Shape inputs[] = {shape_of({random.range(1, 8), random.range(4, 20), random.range(4, 20)}),
                          shape_of({random.range(1, 3), random.range(1, 30), random.range(1, 30)}),
                          shape_of({random.range(1, 6), random.range(1, 60)}),
                          shape_of({random.range(1, 80)}),
                          shape_of({2, random.range(1, 5), 3, random.range(1, 9)})};
  Net net(random, inputs[random.chance(80) ? random.range(0, 1) : random.range(2, 4)]);
  for (int tries = 0; tries < 3 * nodes && static_cast<int>(net.graph.nodes.size()) <= nodes; ++tries) {
    grow(net, random, wild);
  }
  if (random.chance(10)) net.graph.output = random.range(0, net.graph.output);
  return net;
}

}  // namespace test
}  // namespace kernelet
