#include "naive.h"

#include "ops/definition.h"
#include "ops/window.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace kernelet {
namespace test {

Dot::Dot(size_t terms) : piece_(terms > long_sum ? sum_piece : 0) {}

Dot Dot::of_conv(int piece) {
  Dot dot;
  dot.piece_ = piece;
  dot.bias_last_ = true;
  return dot;
}

void Dot::tap(float a, float b, bool fma) {
  if (piece_ > 0 && taps > 0 && taps % piece_ == 0) {
    pieces_.push_back(accumulated);
    accumulated = 0;
  }
  sum += static_cast<double>(a) * b;
  magnitude += std::fabs(static_cast<double>(a) * b);
  accumulated = fma ? std::fma(a, b, accumulated) : a * b + accumulated;
  ++taps;
}

void Dot::add_bias(float bias) {
  bias = bias + 0.0f;
  sum += bias;
  magnitude += std::fabs(static_cast<double>(bias));
  if (pieces_.empty()) {
    accumulated = accumulated + bias;
    return;
  }
  float total = bias_last_ ? pieces_[0] : pieces_[0] + bias;
  for (size_t i = 1; i < pieces_.size(); ++i) total = total + pieces_[i];
  accumulated = bias_last_ ? total + accumulated + bias : total + accumulated;
}

double Dot::bound() const {
  const double chain = piece_ > 0 ? piece_ + static_cast<double>(pieces_.size()) : taps;
  return (chain + 2) * 0x1p-24 * 1.01 * magnitude + 0x1p-149 * taps;
}

std::vector<Dot> naive_conv(const ConvArgs& s, bool fma, const float* src, const float* weight,
                            const float* bias) {
  const int group_ic = s.ic / s.groups, group_oc = s.oc / s.groups;
  std::vector<Dot> dst(static_cast<size_t>(s.oc) * s.oh * s.ow);
  for (int o = 0; o < s.oc; ++o) {
    for (int y = 0; y < s.oh; ++y) {
      for (int x = 0; x < s.ow; ++x) {
        Dot dot = Dot::of_conv(s.piece * s.kh * s.kw);
        for (int i = 0; i < group_ic; ++i) {
          for (int r = 0; r < s.kh; ++r) {
            for (int t = 0; t < s.kw; ++t) {
              const int c = o / group_oc * group_ic + i;
              const int sy = y * s.sh + r * s.dh - s.pt, sx = x * s.sw + t * s.dw - s.pl;
              const bool inside = sy >= 0 && sy < s.ih && sx >= 0 && sx < s.iw;
              const float v = inside ? src[(static_cast<size_t>(c) * s.ih + sy) * s.iw + sx] : 0.0f;
              dot.tap(v, weight[((static_cast<size_t>(o) * group_ic + i) * s.kh + r) * s.kw + t], fma);
            }
          }
        }
        dot.add_bias(bias != nullptr ? bias[o] : 0.0f);
        dst[(static_cast<size_t>(o) * s.oh + y) * s.ow + x] = dot;
      }
    }
  }
  return dst;
}

std::vector<float> accumulated(const std::vector<Dot>& dots) {
  std::vector<float> values;
  for (const Dot& dot : dots) values.push_back(dot.accumulated);
  return values;
}

void naive_max_pool(const PoolArgs& s, const float* src, float* dst) {
  for (int c = 0; c < s.c; ++c) {
    for (int y = 0; y < s.oh; ++y) {
      for (int x = 0; x < s.ow; ++x) {
        float best = -std::numeric_limits<float>::infinity();
        for (int r = 0; r < s.kh; ++r) {
          for (int t = 0; t < s.kw; ++t) {
            const int sy = y * s.sh - s.pt + r * s.dh, sx = x * s.sw - s.pl + t * s.dw;
            if (sy < 0 || sy >= s.ih || sx < 0 || sx >= s.iw) continue;
            const float v = src[(static_cast<size_t>(c) * s.ih + sy) * s.iw + sx];
            if (v > best || std::isnan(v)) best = v;
          }
        }
        *dst++ = best;
      }
    }
  }
}

template <class Real>
void naive_avg_pool(const PoolArgs& s, const float* src, Real* dst) {
  for (int c = 0; c < s.c; ++c) {
    for (int y = 0; y < s.oh; ++y) {
      for (int x = 0; x < s.ow; ++x) {
        Real sum = 0;
        int in_plane = 0, in_padded = 0;
        for (int r = 0; r < s.kh; ++r) {
          for (int t = 0; t < s.kw; ++t) {
            const int sy = y * s.sh - s.pt + r * s.dh, sx = x * s.sw - s.pl + t * s.dw;
            if (sy < s.ih + s.pb && sx < s.iw + s.pr) ++in_padded;
            if (sy < 0 || sy >= s.ih || sx < 0 || sx >= s.iw) continue;
            ++in_plane;
            sum = sum + static_cast<Real>(src[(static_cast<size_t>(c) * s.ih + sy) * s.iw + sx]);
          }
        }
        *dst++ =
            in_plane == 0 ? Real(0) : sum / static_cast<Real>(s.count_include_pad ? in_padded : in_plane);
      }
    }
  }
}
template void naive_avg_pool(const PoolArgs&, const float*, float*);
template void naive_avg_pool(const PoolArgs&, const float*, double*);

Unary unary(Activation f) {
  switch (f) {
    case Activation::leaky_relu: return {f, 0.01f, 0};
    case Activation::elu: return {f, 1.67326324f, 1.05070098f};
    case Activation::hardsigmoid: return {f, 0.2f, 0.5f};
    case Activation::clip: return {f, -0.25f, 0.375f};
    case Activation::pow: return {f, 2.0f, 0};
    case Activation::scaled_tanh: return {f, 1.7159f, 2 / 3.0f};
    case Activation::softplus: return {f, 1.5f, 20};
    case Activation::threshold: return {f, 0.25f, -0.5f};
    case Activation::shrink: return {f, 0.5f, 0.25f};
    default: return {f, 0, 0};
  }
}

double naive_activation(const Unary& f, double x) {
  const double a = f.a, b = f.b;
  if (std::isnan(x) && f.f != Activation::pow) return x;
  switch (f.f) {
    case Activation::relu: return x > 0 ? x : 0;
    case Activation::tanh: return std::tanh(x);
    case Activation::sigmoid: return 1 / (1 + std::exp(-x));
    case Activation::leaky_relu: return x > 0 ? x : a * x;
    case Activation::elu: return b * (x > 0 ? x : a * std::expm1(x));
    case Activation::silu: return x / (1 + std::exp(-x));
    case Activation::hardswish: return x * std::fmin(std::fmax(x + 3, 0), 6) / 6;
    case Activation::hardsigmoid: return std::fmin(std::fmax(a * x + b, 0), 1);
    case Activation::clip: return std::fmin(std::fmax(x, a), b);
    case Activation::gelu: return x / 2 * std::erfc(-x / std::sqrt(2.0));
    case Activation::exp: return std::exp(x);
    case Activation::log: return std::log(x);
    case Activation::abs: return std::fabs(x);
    case Activation::pow: return a == 0.5 ? std::sqrt(x) : std::pow(x, a);
    case Activation::scaled_tanh: return a * std::tanh(b * x);
    case Activation::erf: return std::erf(x);
    case Activation::gelu_tanh:
      return x / (1 + std::exp(-2 * std::sqrt(2 / std::acos(-1.0)) * (x + 0.044715 * x * x * x)));
    case Activation::softplus: return a * x > b ? x : std::log1p(std::exp(a * x)) / a;
    case Activation::mish: return x * std::tanh(x > 40 ? x : std::log1p(std::exp(x)));
    case Activation::softsign: return std::isinf(x) ? std::nan("") : x / (1 + std::fabs(x));
    case Activation::threshold: return x > a ? x : b;
    case Activation::shrink: return x < -a ? x + b : x > a ? x - b : 0;
    case Activation::none: break;
  }
  return x;
}

float naive_relu(float x) { return x < 0 ? 0.0f : x; }

double ulps(float got, double want) {
  if (std::isnan(want)) return std::isnan(got) ? 0 : HUGE_VAL;
  const double largest = std::numeric_limits<float>::max();
  if (std::fabs(want) > largest * (1 + 0x1p-25)) {
    if (std::isinf(got) && (got > 0) == (want > 0)) return 0;
    want = want > 0 ? largest : -largest;  // infinity is asked for: how far below it is the answer?
  }
  if (std::isinf(got)) return std::fabs(want) >= largest ? 1 : HUGE_VAL;
  int exponent;
  std::frexp(want, &exponent);
  const double ulp = std::ldexp(1.0, exponent - 24 > -149 ? exponent - 24 : -149);
  return std::fabs(got - want) / ulp;
}

void naive_activate(const KernelTable& t, const Unary& f, std::vector<float>& values) {
  switch (f.f) {
    case Activation::none: return;
    case Activation::relu:
      for (float& x : values) x = naive_relu(x);
      return;
    case Activation::leaky_relu:
      for (float& x : values) x = x > 0 ? x : x * f.a;
      return;
    case Activation::clip:
      for (float& x : values) {
        if (x < f.a) x = f.a;
        if (x > f.b) x = f.b;
      }
      return;
    case Activation::abs:
      for (float& x : values) x = std::fabs(x);
      return;
    default: t.activate(f, values.size(), values.data(), values.data());
  }
}

std::vector<float> naive_epilogue(const KernelTable& t, const ConvArgs& s, const std::vector<Dot>& dots) {
  std::vector<float> values = accumulated(dots);
  if (s.epilogue.pool != Pool::none) {
    PoolArgs p = PoolArgs();
    p.c = s.oc;
    p.ih = s.oh;
    p.iw = s.ow;
    p.oh = s.ph;
    p.ow = s.pw;
    p.kh = p.kw = p.sh = p.sw = 2;
    p.dh = p.dw = 1;
    std::vector<float> pooled(static_cast<size_t>(s.oc) * s.ph * s.pw);
    naive_max_pool(p, values.data(), pooled.data());
    values.swap(pooled);
  }
  naive_activate(t, s.epilogue.after, values);
  return values;
}

ConvArgs conv_args(const Node& node, const Shape& original) {
  ConvArgs a = ConvArgs();
  const Shape in = as_image(original), out = as_image(node.shape);
  a.ic = static_cast<int>(in.dims[0]);
  a.ih = static_cast<int>(in.dims[1]);
  a.iw = static_cast<int>(in.dims[2]);
  a.oc = static_cast<int>(out.dims[0]);
  a.oh = a.ph = static_cast<int>(out.dims[1]);
  a.ow = a.pw = static_cast<int>(out.dims[2]);
  a.kh = node.kernel[0];
  a.kw = node.kernel[1];
  a.sh = node.stride[0];
  a.sw = node.stride[1];
  a.dh = node.dilation[0];
  a.dw = node.dilation[1];
  a.pt = node.padding[0];
  a.pl = node.padding[1];
  a.groups = node.groups;
  // Where there are many products: sixteens of channels, shared out among the fewest pieces of about 576.
  const int channels = a.ic / a.groups, taps = a.kh * a.kw, sixteens = (channels + 15) / 16;
  int most = 1, pieces = 1, each = 1;
  while ((most + 1) * 16 * taps <= 576) ++most;
  while (pieces * most < sixteens) ++pieces;
  while (pieces * each < sixteens) ++each;
  if (channels * taps > long_sum && pieces > 1) a.piece = each * 16;
  return a;
}

PoolArgs pool_args(const Node& node, const Shape& original) {
  PoolArgs a = PoolArgs();
  const Shape in = as_image(original), out = as_image(node.shape);
  a.c = static_cast<int>(in.dims[0]);
  a.ih = static_cast<int>(in.dims[1]);
  a.iw = static_cast<int>(in.dims[2]);
  a.oh = static_cast<int>(out.dims[1]);
  a.ow = static_cast<int>(out.dims[2]);
  a.kh = node.kernel[0];
  a.kw = node.kernel[1];
  a.sh = node.stride[0];
  a.sw = node.stride[1];
  a.dh = node.dilation[0];
  a.dw = node.dilation[1];
  a.pt = node.padding[0];
  a.pl = node.padding[1];
  a.pb = node.padding[2];
  a.pr = node.padding[3];
  a.count_include_pad = node.count_include_pad;
  return a;
}

// The index into a value of `shape` of the element that a broadcast puts at `index` of `out`.
static size_t broadcast_index(const Shape& shape, const Shape& out, const int64_t* index) {
  size_t at = 0;
  for (int d = 0; d < shape.rank; ++d) {
    const int64_t i = index[d + out.rank - shape.rank];
    at = at * static_cast<size_t>(shape.dims[d]) + static_cast<size_t>(shape.dims[d] == 1 ? 0 : i);
  }
  return at;
}

// Calls visit(index) for every index of a shape, the last dimension innermost.
template <class Visit>
static void each_index(const Shape& shape, Visit visit) {
  int64_t index[Shape::max_rank] = {};
  for (int64_t n = shape.elements(); n > 0; --n) {
    visit(static_cast<const int64_t*>(index));
    for (int d = shape.rank - 1; d >= 0 && ++index[d] == shape.dims[d]; --d) index[d] = 0;
  }
}

static float naive_binary(Op op, float a, float b) {
  switch (op) {
    case Op::add: return a + b;
    case Op::sub: return a - b;
    case Op::mul: return a * b;
    default: return a / b;
  }
}

// Where dimension d of an input of permute, slice or pad is read for index i of the output's.
static int64_t moved(const Node& node, int d, int64_t i) {
  return node.op == Op::slice ? node.starts[d] + i * node.steps[d] : i - node.starts[d];
}

void naive_adaptive(const PoolArgs& s, bool average, const float* src, float* dst) {
  for (int c = 0; c < s.c; ++c) {
    for (int oy = 0; oy < s.oh; ++oy) {
      for (int ox = 0; ox < s.ow; ++ox) {
        // PyTorch's bins, in exact arithmetic: rows y with y >= floor(oy ih / oh) and y < ceil((oy + 1) ih / oh)
        std::vector<float> values;
        float best = -std::numeric_limits<float>::infinity();
        for (int y = 0; y < s.ih; ++y) {
          for (int x = 0; x < s.iw; ++x) {
            const bool in_rows = (y + 1) * s.oh > oy * s.ih && y * s.oh < (oy + 1) * s.ih;
            const bool in_columns = (x + 1) * s.ow > ox * s.iw && x * s.ow < (ox + 1) * s.iw;
            if (!in_rows || !in_columns) continue;
            const float v = src[(static_cast<size_t>(c) * s.ih + y) * s.iw + x];
            values.push_back(v);
            if (v > best || std::isnan(v)) best = v;
          }
        }
        const size_t taps = values.size(), piece = taps > long_average ? average_piece : taps;
        float sum = 0;
        for (size_t begin = 0; begin < taps; begin += piece) {
          float part = 0;
          for (size_t i = begin; i < std::min(taps, begin + piece); ++i) part = part + values[i];
          sum = sum + part;
        }
        *dst++ = average ? sum / static_cast<float>(taps) : best;
      }
    }
  }
}

std::vector<std::vector<float>> naive_values(const KernelTable& t, const Graph& graph, const float* input) {
  std::vector<std::vector<float>> values;
  for (const Node& node : graph.nodes) {
    const size_t count = static_cast<size_t>(node.shape.elements());
    const Shape in = node.inputs.empty() ? Shape() : graph.nodes[static_cast<size_t>(node.inputs[0])].shape;
    const auto source = [&](size_t i) -> const std::vector<float>& {
      return values[static_cast<size_t>(node.inputs[i])];
    };
    std::vector<float> value(count);
    switch (node.op) {
      case Op::input: value.assign(input, input + count); break;
      case Op::constant: value.assign(node.weight.data, node.weight.data + count); break;
      case Op::conv2d:
        value = accumulated(
            naive_conv(conv_args(node, in), t.has_fma, source(0).data(), node.weight.data, node.bias.data));
        break;
      case Op::conv_transpose2d:
        value = accumulated(naive_conv_transpose(conv_args(node, in), t.has_fma, source(0).data(),
                                                 node.weight.data, node.bias.data));
        break;
      case Op::upsample_nearest2d:
      case Op::upsample_bilinear2d: naive_resize(node, in, t.has_fma, source(0).data(), value.data()); break;
      case Op::linear: {
        LinearArgs a = LinearArgs();
        a.in = static_cast<int>(in.dims[in.rank - 1]);
        a.out = static_cast<int>(node.shape.dims[node.shape.rank - 1]);
        a.rows = static_cast<int>(in.elements() / a.in);
        value = accumulated(naive_linear(a, t.has_fma, source(0).data(), node.weight.data, node.bias.data));
        break;
      }
      case Op::matmul: {
        const Shape& right = graph.nodes[static_cast<size_t>(node.inputs[1])].shape;
        value =
            accumulated(naive_matmul(in, right, node.shape, t.has_fma, source(0).data(), source(1).data()));
        break;
      }
      case Op::lstm:
      case Op::gru:
      case Op::gru_reset_first:
      case Op::rnn_tanh:
      case Op::rnn_relu:
        value = naive_recurrent(t, node, in.dims[0], source(0).data(),
                                node.inputs.size() > 1 ? source(1).data() : nullptr,
                                node.inputs.size() > 2 ? source(2).data() : nullptr);
        break;
      case Op::max_pool2d: naive_max_pool(pool_args(node, in), source(0).data(), value.data()); break;
      case Op::avg_pool2d: naive_avg_pool(pool_args(node, in), source(0).data(), value.data()); break;
      case Op::softmax:
      case Op::log_softmax: {
        SoftmaxArgs a = SoftmaxArgs();
        a.outer = a.inner = 1;
        for (int d = 0; d < in.rank; ++d) {
          const int size = static_cast<int>(in.dims[d]);
          if (d < node.axis) a.outer *= size;
          else if (d > node.axis) a.inner *= size;
          else a.n = size;
        }
        a.log = node.op == Op::log_softmax;
        t.softmax(a, source(0).data(), value.data());  // which has a test of its own
        break;
      }
      case Op::flatten:
      case Op::dropout:
      case Op::reshape: value = source(0); break;
      case Op::add:
      case Op::sub:
      case Op::mul:
      case Op::div: {
        const Shape& other = graph.nodes[static_cast<size_t>(node.inputs[1])].shape;
        size_t to = 0;
        each_index(node.shape, [&](const int64_t* index) {
          value[to++] = naive_binary(node.op, source(0)[broadcast_index(in, node.shape, index)],
                                     source(1)[broadcast_index(other, node.shape, index)]);
        });
        break;
      }
      case Op::prelu:
        for (size_t i = 0; i < count; ++i) {
          const size_t c = node.weight.length == 1 ? 0 : i / (count / static_cast<size_t>(in.dims[0]));
          const float x = source(0)[i];
          value[i] = x > 0 ? x : x * node.weight.data[c];
        }
        break;
      case Op::batch_norm:
        for (size_t i = 0; i < count; ++i) {
          const size_t c = i / (count / static_cast<size_t>(in.dims[0]));
          const double gain = node.weight.data != nullptr ? node.weight.data[c] : 1.0;
          const float scale =
              static_cast<float>(gain / std::sqrt(static_cast<double>(node.variance.data[c]) + node.epsilon));
          const double base = node.bias.data != nullptr ? node.bias.data[c] : 0.0;
          const float shift = static_cast<float>(base - static_cast<double>(node.mean.data[c]) * scale);
          value[i] = t.has_fma ? std::fma(source(0)[i], scale, shift) : source(0)[i] * scale + shift;
        }
        break;
      case Op::layer_norm:
      case Op::group_norm:
      case Op::rms_norm: naive_row_norm(node, t.has_fma, source(0).data(), value.data()); break;
      case Op::adaptive_avg_pool2d:
      case Op::adaptive_max_pool2d:
        naive_adaptive(pool_args(node, in), node.op == Op::adaptive_avg_pool2d, source(0).data(),
                       value.data());
        break;
      case Op::permute:
      case Op::slice:
      case Op::pad: {
        size_t to = 0;
        each_index(node.shape, [&](const int64_t* index) {
          int64_t from[Shape::max_rank] = {};
          bool inside = true;
          for (int d = 0; d < in.rank; ++d) {
            if (node.op == Op::permute) from[node.axes[d]] = index[d];
            else from[d] = moved(node, d, index[d]);
          }
          for (int d = 0; d < in.rank; ++d) inside = inside && from[d] >= 0 && from[d] < in.dims[d];
          value[to++] = inside ? source(0)[broadcast_index(in, in, from)] : node.value;
        });
        break;
      }
      case Op::concat: {
        // output [a][sum of b][c], one input after another along the axis
        size_t outer = 1, to = 0;
        for (int d = 0; d < node.axis; ++d) outer *= static_cast<size_t>(node.shape.dims[d]);
        for (size_t row = 0; row < outer; ++row) {
          for (size_t i = 0; i < node.inputs.size(); ++i) {
            const size_t length = source(i).size() / outer;
            for (size_t j = 0; j < length; ++j) value[to++] = source(i)[row * length + j];
          }
        }
        break;
      }
      default: {
        if (naive_exact(node, source(0), value) || naive_fold(node, in, source(0), value)) break;
        size_t to = 0;
        each_index(node.shape, [&](const int64_t* index) {
          std::vector<float> operands;
          for (size_t i = 0; i < node.inputs.size(); ++i) {
            const Shape& shape = graph.nodes[static_cast<size_t>(node.inputs[i])].shape;
            operands.push_back(source(i)[broadcast_index(shape, node.shape, index)]);
          }
          if (naive_choice(node, operands, value[to])) ++to;
        });
        if (to > 0) break;
        value = source(0);
        naive_activate(t, unary_of(node), value);
        break;
      }
    }
    values.push_back(std::move(value));
  }
  return values;
}

}  // namespace test
}  // namespace kernelet
