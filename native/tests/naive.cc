#include "naive.h"

#include <cmath>
#include <cstring>
#include <limits>

namespace kernelet {
namespace test {

void Dot::tap(float a, float b, bool fma) {
  sum += static_cast<double>(a) * b;
  magnitude += std::fabs(static_cast<double>(a) * b);
  chain = fma ? std::fma(a, b, chain) : a * b + chain;
  ++taps;
}

void Dot::add_bias(float bias) {
  bias = bias + 0.0f;
  sum += bias;
  magnitude += std::fabs(static_cast<double>(bias));
  chain = chain + bias;
}

double Dot::bound() const { return (taps + 2) * 0x1p-24 * 1.01 * magnitude + 0x1p-149 * taps; }

std::vector<Dot> naive_conv(const ConvArgs& s, bool fma, const float* src, const float* weight,
                            const float* bias) {
  const int group_ic = s.ic / s.groups, group_oc = s.oc / s.groups;
  std::vector<Dot> dst(static_cast<size_t>(s.oc) * s.oh * s.ow);
  for (int o = 0; o < s.oc; ++o) {
    for (int y = 0; y < s.oh; ++y) {
      for (int x = 0; x < s.ow; ++x) {
        Dot dot;
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

std::vector<Dot> naive_linear(const LinearArgs& s, bool fma, const float* src, const float* weight,
                              const float* bias) {
  std::vector<Dot> dst;
  for (int row = 0; row < s.rows; ++row) {
    for (int o = 0; o < s.out; ++o) {
      Dot dot;
      for (int k = 0; k < s.in; ++k) {
        dot.tap(src[static_cast<size_t>(row) * s.in + k], weight[static_cast<size_t>(o) * s.in + k], fma);
      }
      dot.add_bias(bias != nullptr ? bias[o] : 0.0f);
      dst.push_back(dot);
    }
  }
  return dst;
}

std::vector<float> chains(const std::vector<Dot>& dots) {
  std::vector<float> values;
  for (const Dot& dot : dots) values.push_back(dot.chain);
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
            const int sy = y * s.sh - s.pt + r, sx = x * s.sw - s.pl + t;
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

double naive_activation(Activation f, double x) {
  switch (f) {
    case Activation::relu: return x > 0 ? x : std::isnan(x) ? x : 0;
    case Activation::tanh: return std::tanh(x);
    case Activation::sigmoid: return 1 / (1 + std::exp(-x));
    case Activation::none: break;
  }
  return x;
}

float naive_relu(float x) { return x < 0 ? 0.0f : x; }

void naive_softmax(const SoftmaxArgs& s, const float* src, double* dst, double* bound) {
  const double u = 0x1p-24;
  for (int o = 0; o < s.outer; ++o) {
    for (int j = 0; j < s.inner; ++j) {
      const auto at = [&](int i) { return (static_cast<size_t>(o) * s.n + i) * s.inner + j; };
      double best = src[at(0)];
      for (int i = 1; i < s.n; ++i) best = std::fmax(best, src[at(i)]);
      double sum = 0, weighted = 0;
      for (int i = 0; i < s.n; ++i) {
        const double e = std::exp(src[at(i)] - best);
        sum += e;
        if (e > 0) weighted += e * std::fabs(src[at(i)] - best);
      }
      // x - max rounds once (relative u, so |x - max| u of the exponential), the exponential is within 2 ulp,
      // that is 4 u; the sum rounds n times
      const double sum_error = u * (weighted / sum + 4 + s.n);
      for (int i = 0; i < s.n; ++i) {
        const double x = src[at(i)] - best;
        if (s.log) {
          dst[at(i)] = x - std::log(sum);
          bound[at(i)] =
              1.01 * (u * std::fabs(x) + sum_error + 2 * u * std::log(sum) + u * std::fabs(dst[at(i)]));
        } else {
          dst[at(i)] = std::exp(x) / sum;
          bound[at(i)] = 1.01 * dst[at(i)] * (u * std::fabs(x) + 4 * u + sum_error + u) + 0x1p-147;
        }
      }
    }
  }
}

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

void naive_activate(const KernelTable& t, Activation f, std::vector<float>& values) {
  if (f == Activation::none) return;
  if (f == Activation::relu) {
    for (float& x : values) x = naive_relu(x);
  } else {
    t.activate(f, values.size(), values.data(), values.data());
  }
}

std::vector<float> naive_epilogue(const KernelTable& t, const ConvArgs& s, const std::vector<Dot>& dots) {
  std::vector<float> values = chains(dots);
  naive_activate(t, s.epilogue.before, values);
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
    if (s.epilogue.pool == Pool::max) naive_max_pool(p, values.data(), pooled.data());
    else naive_avg_pool(p, values.data(), pooled.data());
    values.swap(pooled);
  }
  naive_activate(t, s.epilogue.after, values);
  return values;
}

ConvArgs conv_args(const Node& node, const Shape& in) {
  ConvArgs a = ConvArgs();
  a.ic = static_cast<int>(in.dims[0]);
  a.ih = static_cast<int>(in.dims[1]);
  a.iw = static_cast<int>(in.dims[2]);
  a.oc = static_cast<int>(node.shape.dims[0]);
  a.oh = a.ph = static_cast<int>(node.shape.dims[1]);
  a.ow = a.pw = static_cast<int>(node.shape.dims[2]);
  a.kh = node.kernel[0];
  a.kw = node.kernel[1];
  a.sh = node.stride[0];
  a.sw = node.stride[1];
  a.dh = node.dilation[0];
  a.dw = node.dilation[1];
  a.pt = node.padding[0];
  a.pl = node.padding[1];
  a.groups = node.groups;
  return a;
}

PoolArgs pool_args(const Node& node, const Shape& in) {
  PoolArgs a = PoolArgs();
  a.c = static_cast<int>(in.dims[0]);
  a.ih = static_cast<int>(in.dims[1]);
  a.iw = static_cast<int>(in.dims[2]);
  a.oh = static_cast<int>(node.shape.dims[1]);
  a.ow = static_cast<int>(node.shape.dims[2]);
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
        value = chains(
            naive_conv(conv_args(node, in), t.has_fma, source(0).data(), node.weight.data, node.bias.data));
        break;
      case Op::linear: {
        LinearArgs a = LinearArgs();
        a.in = static_cast<int>(in.dims[in.rank - 1]);
        a.out = static_cast<int>(node.shape.dims[node.shape.rank - 1]);
        a.rows = static_cast<int>(in.elements() / a.in);
        value = chains(naive_linear(a, t.has_fma, source(0).data(), node.weight.data, node.bias.data));
        break;
      }
      case Op::max_pool2d: naive_max_pool(pool_args(node, in), source(0).data(), value.data()); break;
      case Op::avg_pool2d: naive_avg_pool(pool_args(node, in), source(0).data(), value.data()); break;
      case Op::relu:
        value = source(0);
        naive_activate(t, Activation::relu, value);
        break;
      case Op::tanh:
        value = source(0);
        naive_activate(t, Activation::tanh, value);
        break;
      case Op::sigmoid:
        value = source(0);
        naive_activate(t, Activation::sigmoid, value);
        break;
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
      case Op::dropout: value = source(0); break;
      case Op::add:
        for (size_t i = 0; i < count; ++i) value[i] = source(0)[i] + source(1)[i];
        break;
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
    }
    values.push_back(std::move(value));
  }
  return values;
}

}  // namespace test
}  // namespace kernelet
