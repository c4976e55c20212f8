#include "naive_train.h"

#include <algorithm>
#include <cmath>

#include "naive.h"
#include "ops/window.h"

namespace kernelet {
namespace test {
namespace {

using Values = std::vector<double>;

// Calls tap(output, input, weight) for every product of a convolution that does not fall into the padding.
template <class Tap>
void each_product(const ConvArgs& s, Tap tap) {
  const int group_ic = s.ic / s.groups, group_oc = s.oc / s.groups;
  for (int oc = 0; oc < s.oc; ++oc) {
    for (int oy = 0; oy < s.oh; ++oy) {
      for (int ox = 0; ox < s.ow; ++ox) {
        for (int ic = 0; ic < group_ic; ++ic) {
          for (int kh = 0; kh < s.kh; ++kh) {
            for (int kw = 0; kw < s.kw; ++kw) {
              const int y = oy * s.sh - s.pt + kh * s.dh, x = ox * s.sw - s.pl + kw * s.dw;
              if (y < 0 || y >= s.ih || x < 0 || x >= s.iw) continue;
              const int channel = oc / group_oc * group_ic + ic;
              tap((static_cast<size_t>(oc) * s.oh + oy) * s.ow + ox,
                  (static_cast<size_t>(channel) * s.ih + y) * s.iw + x,
                  ((static_cast<size_t>(oc) * group_ic + ic) * s.kh + kh) * s.kw + kw);
            }
          }
        }
      }
    }
  }
}

// The same of its way back, whose outputs are a convolution's inputs.
template <class Tap>
void each_product_back(const Node& node, const Shape& in, Tap tap) {
  const ConvArgs s = conv_args(node, in);
  ConvArgs back = s;
  back.ic = s.oc;
  back.ih = s.oh;
  back.iw = s.ow;
  back.oc = s.ic;
  back.oh = s.ih;
  back.ow = s.iw;
  each_product(back, [&](size_t i, size_t o, size_t w) { tap(o, i, w); });
}

// Calls share(output, input, its share) for every pixel of the input that an output is made of.
template <class Share>
void each_share(const Node& node, const Shape& original, Share share) {
  const Shape in = as_image(original), out = as_image(node.shape);
  const int ih = static_cast<int>(in.dims[1]), iw = static_cast<int>(in.dims[2]);
  size_t o = 0;
  for (size_t c = 0; c < static_cast<size_t>(in.dims[0]); ++c) {
    for (const Place1d& y : naive_places(node, 0, ih, static_cast<int>(out.dims[1]))) {
      for (const Place1d& x : naive_places(node, 1, iw, static_cast<int>(out.dims[2]))) {
        for (int tap = 0; tap < 4; ++tap) {
          const size_t row = static_cast<size_t>(tap / 2 ? y.next : y.at),
                       column = static_cast<size_t>(tap % 2 ? x.next : x.at);
          const double down = y.share, right = x.share;
          share(o, (c * static_cast<size_t>(ih) + row) * static_cast<size_t>(iw) + column,
                (tap / 2 ? down : 1 - down) * (tap % 2 ? right : 1 - right));
        }
        ++o;
      }
    }
  }
}

// Calls window(output, inputs of the window inside the plane, divisor of an average).
template <class Window>
void each_window(const PoolArgs& s, Window window) {
  for (int c = 0; c < s.c; ++c) {
    for (int oy = 0; oy < s.oh; ++oy) {
      for (int ox = 0; ox < s.ow; ++ox) {
        std::vector<size_t> taps;
        int padded = 0;
        for (int r = 0; r < s.kh; ++r) {
          for (int t = 0; t < s.kw; ++t) {
            const int y = oy * s.sh - s.pt + r * s.dh, x = ox * s.sw - s.pl + t * s.dw;
            if (y < s.ih + s.pb && x < s.iw + s.pr) ++padded;
            if (y < 0 || y >= s.ih || x < 0 || x >= s.iw) continue;
            taps.push_back((static_cast<size_t>(c) * s.ih + y) * s.iw + x);
          }
        }
        const double divisor = s.count_include_pad ? padded : static_cast<double>(taps.size());
        window((static_cast<size_t>(c) * s.oh + oy) * s.ow + ox, taps, divisor);
      }
    }
  }
}

size_t largest(const Values& x, const std::vector<size_t>& taps) {
  size_t best = taps[0];
  for (size_t tap : taps) {
    if (x[tap] > x[best]) best = tap;
  }
  return best;
}

// Calls row(indices of its elements) along an axis.
template <class Row>
void each_row(const Shape& shape, int axis, Row row) {
  size_t outer = 1, inner = 1;
  for (int d = 0; d < shape.rank; ++d)
    (d < axis ? outer : inner) *= d == axis ? 1 : static_cast<size_t>(shape.dims[d]);
  const size_t n = static_cast<size_t>(shape.dims[axis]);
  for (size_t o = 0; o < outer; ++o) {
    for (size_t i = 0; i < inner; ++i) {
      std::vector<size_t> at(n);
      for (size_t j = 0; j < n; ++j) at[j] = (o * n + j) * inner + i;
      row(at);
    }
  }
}

void softmax(const Values& x, const std::vector<size_t>& row, bool log, Values& y) {
  double best = x[row[0]], sum = 0;
  for (size_t i : row) best = std::max(best, x[i]);
  for (size_t i : row) sum += std::exp(x[i] - best);
  for (size_t i : row) y[i] = log ? x[i] - best - std::log(sum) : std::exp(x[i] - best) / sum;
}

LinearArgs linear_args(const Node& node, const Shape& in) {
  LinearArgs a = LinearArgs();
  a.in = static_cast<int>(in.dims[in.rank - 1]);
  a.out = static_cast<int>(node.shape.dims[node.shape.rank - 1]);
  a.rows = static_cast<int>(in.elements() / a.in);
  return a;
}

}  // namespace

NaiveTraining::NaiveTraining(const Graph& g) : graph(g) {
  for (const Node& node : g.nodes) {
    weights.emplace_back(node.weight.data, node.weight.data + (node.weight.data ? node.weight.length : 0));
    biases.emplace_back(node.bias.data, node.bias.data + (node.bias.data ? node.bias.length : 0));
  }
}

static void forward_image(const NaiveTraining& t, const float* image, std::vector<Values>& values) {
  values.clear();
  for (size_t index = 0; index < t.graph.nodes.size(); ++index) {
    const Node& node = t.graph.nodes[index];
    Values y(static_cast<size_t>(node.shape.elements()), 0.0);
    const auto source = [&](size_t i) -> const Values& {
      return values[static_cast<size_t>(node.inputs[i])];
    };
    const Shape in = node.inputs.empty() ? Shape() : t.graph.nodes[static_cast<size_t>(node.inputs[0])].shape;
    switch (node.op) {
      case Op::input: y.assign(image, image + y.size()); break;
      case Op::constant: y = t.weights[index]; break;
      case Op::conv2d: {
        const ConvArgs s = conv_args(node, in);
        each_product(s, [&](size_t o, size_t i, size_t w) { y[o] += source(0)[i] * t.weights[index][w]; });
        for (size_t i = 0; !t.biases[index].empty() && i < y.size(); ++i)
          y[i] += t.biases[index][i / (static_cast<size_t>(s.oh) * static_cast<size_t>(s.ow))];
        break;
      }
      case Op::conv_transpose2d: {
        each_product_back(node, in,
                          [&](size_t o, size_t i, size_t w) { y[o] += source(0)[i] * t.weights[index][w]; });
        const size_t plane = y.size() / static_cast<size_t>(node.shape.dims[0]);
        for (size_t i = 0; !t.biases[index].empty() && i < y.size(); ++i) y[i] += t.biases[index][i / plane];
        break;
      }
      case Op::upsample_nearest2d:
      case Op::upsample_bilinear2d:
        each_share(node, in, [&](size_t o, size_t i, double share) { y[o] += source(0)[i] * share; });
        break;
      case Op::linear: {
        const LinearArgs a = linear_args(node, in);
        for (size_t i = 0; i < y.size(); ++i) {
          const size_t row = i / static_cast<size_t>(a.out), o = i % static_cast<size_t>(a.out),
                       n = static_cast<size_t>(a.in);
          for (size_t k = 0; k < n; ++k) y[i] += source(0)[row * n + k] * t.weights[index][o * n + k];
          if (!t.biases[index].empty()) y[i] += t.biases[index][o];
        }
        break;
      }
      case Op::matmul:
        each_matmul_product(in, t.graph.nodes[static_cast<size_t>(node.inputs[1])].shape, node.shape,
                            [&](size_t o, size_t i, size_t j) { y[o] += source(0)[i] * source(1)[j]; });
        break;
      case Op::lstm:
      case Op::gru:
      case Op::rnn_tanh:
      case Op::rnn_relu:
        y = naive_recurrent(node, in.dims[0], source(0), t.weights[index], t.biases[index],
                            node.inputs.size() > 1 ? source(1) : Values(),
                            node.inputs.size() > 2 ? source(2) : Values());
        break;
      case Op::permute: each_move(node, in, [&](size_t o, size_t i) { y[o] = source(0)[i]; }); break;
      case Op::max_pool2d:
        each_window(pool_args(node, in), [&](size_t o, const std::vector<size_t>& taps, double) {
          y[o] = taps.empty() ? -INFINITY : source(0)[largest(source(0), taps)];
        });
        break;
      case Op::avg_pool2d:
        each_window(pool_args(node, in), [&](size_t o, const std::vector<size_t>& taps, double divisor) {
          for (size_t i : taps) y[o] += source(0)[i] / divisor;
        });
        break;
      case Op::relu:
        for (size_t i = 0; i < y.size(); ++i) y[i] = std::max(source(0)[i], 0.0);
        break;
      case Op::tanh:
        for (size_t i = 0; i < y.size(); ++i) y[i] = std::tanh(source(0)[i]);
        break;
      case Op::sigmoid:
        for (size_t i = 0; i < y.size(); ++i) y[i] = 1 / (1 + std::exp(-source(0)[i]));
        break;
      case Op::layer_norm:
      case Op::group_norm:
      case Op::rms_norm: {
        const NaiveRows rows(node);
        Values factors;
        y = rows.normed(source(0), factors);
        for (size_t i = 0; i < y.size(); ++i) {
          if (!t.weights[index].empty()) y[i] *= t.weights[index][rows.scale(i)];
          if (!t.biases[index].empty()) y[i] += t.biases[index][rows.scale(i)];
        }
        break;
      }
      case Op::softmax:
      case Op::log_softmax:
        each_row(in, node.axis, [&](const std::vector<size_t>& row) {
          softmax(source(0), row, node.op == Op::log_softmax, y);
        });
        break;
      case Op::add:
        for (size_t i = 0; i < y.size(); ++i) y[i] = source(0)[i] + source(1)[i];
        break;
      case Op::concat: {
        size_t outer = 1, to = 0;
        for (int d = 0; d < node.axis; ++d) outer *= static_cast<size_t>(node.shape.dims[d]);
        for (size_t row = 0; row < outer; ++row) {
          for (size_t i = 0; i < node.inputs.size(); ++i) {
            const size_t length = source(i).size() / outer;
            for (size_t j = 0; j < length; ++j) y[to++] = source(i)[row * length + j];
          }
        }
        break;
      }
      case Op::flatten:
      case Op::dropout: y = source(0); break;
      default: return;  // no backward: nobody asks
    }
    values.push_back(std::move(y));
  }
}

static void backward_image(NaiveTraining& t, const std::vector<Values>& values, std::vector<Values>& grads) {
  for (size_t index = t.graph.nodes.size(); index-- > 0;) {
    const Node& node = t.graph.nodes[index];
    const Values &dy = grads[index], &y = values[index];
    if (node.inputs.empty() || dy.empty()) continue;
    const auto source = [&](size_t i) -> const Values& {
      return values[static_cast<size_t>(node.inputs[i])];
    };
    const auto dx = [&](size_t i) -> Values& {
      Values& d = grads[static_cast<size_t>(node.inputs[i])];
      if (d.empty()) d.assign(source(i).size(), 0.0);
      return d;
    };
    const Shape& in = t.graph.nodes[static_cast<size_t>(node.inputs[0])].shape;
    const Values& w = t.weights[index];
    Values& dw = t.d_weights[index];
    Values& db = t.d_biases[index];
    switch (node.op) {
      case Op::conv2d: {
        const ConvArgs s = conv_args(node, in);
        each_product(s, [&](size_t o, size_t i, size_t k) {
          dx(0)[i] += dy[o] * w[k];
          dw[k] += dy[o] * source(0)[i];
        });
        for (size_t i = 0; !db.empty() && i < dy.size(); ++i)
          db[i / (static_cast<size_t>(s.oh) * static_cast<size_t>(s.ow))] += dy[i];
        break;
      }
      case Op::conv_transpose2d: {
        each_product_back(node, in, [&](size_t o, size_t i, size_t k) {
          dx(0)[i] += dy[o] * w[k];
          dw[k] += dy[o] * source(0)[i];
        });
        const size_t plane = dy.size() / static_cast<size_t>(node.shape.dims[0]);
        for (size_t i = 0; !db.empty() && i < dy.size(); ++i) db[i / plane] += dy[i];
        break;
      }
      case Op::upsample_nearest2d:
      case Op::upsample_bilinear2d:
        each_share(node, in, [&](size_t o, size_t i, double share) { dx(0)[i] += dy[o] * share; });
        break;
      case Op::linear: {
        const LinearArgs a = linear_args(node, in);
        const size_t n = static_cast<size_t>(a.in), out = static_cast<size_t>(a.out);
        for (size_t i = 0; i < dy.size(); ++i) {
          const size_t row = i / out, o = i % out;
          for (size_t k = 0; k < n; ++k) {
            dx(0)[row * n + k] += dy[i] * w[o * n + k];
            dw[o * n + k] += dy[i] * source(0)[row * n + k];
          }
          if (!db.empty()) db[o] += dy[i];
        }
        break;
      }
      case Op::matmul:
        each_matmul_product(in, t.graph.nodes[static_cast<size_t>(node.inputs[1])].shape, node.shape,
                            [&](size_t o, size_t i, size_t j) {
                              dx(0)[i] += dy[o] * source(1)[j];
                              dx(1)[j] += dy[o] * source(0)[i];
                            });
        break;
      case Op::lstm:
      case Op::gru:
      case Op::rnn_tanh:
      case Op::rnn_relu: {
        // by differences: what is changed a little, and where its gradient is added
        Values x = source(0), weights = w, biases = t.biases[index], h, c;
        if (node.inputs.size() > 1) h = source(1);
        if (node.inputs.size() > 2) c = source(2);
        const auto differ = [&](Values& values, Values& gradient) {
          for (size_t i = 0; i < values.size(); ++i) {
            const double was = values[i], by = 1e-5;
            for (const double sign : {1.0, -1.0}) {
              values[i] = was + sign * by;
              const Values moved = naive_recurrent(node, in.dims[0], x, weights, biases, h, c);
              for (size_t o = 0; o < moved.size(); ++o) gradient[i] += sign * dy[o] * moved[o] / (2 * by);
            }
            values[i] = was;
          }
        };
        differ(x, dx(0));
        differ(weights, dw);
        differ(biases, db);
        if (!h.empty()) differ(h, dx(1));
        if (!c.empty()) differ(c, dx(2));
        break;
      }
      case Op::permute: each_move(node, in, [&](size_t o, size_t i) { dx(0)[i] += dy[o]; }); break;
      case Op::max_pool2d:
        each_window(pool_args(node, in), [&](size_t o, const std::vector<size_t>& taps, double) {
          if (!taps.empty()) dx(0)[largest(source(0), taps)] += dy[o];
        });
        break;
      case Op::avg_pool2d:
        each_window(pool_args(node, in), [&](size_t o, const std::vector<size_t>& taps, double divisor) {
          for (size_t i : taps) dx(0)[i] += dy[o] / divisor;
        });
        break;
      case Op::relu:
        for (size_t i = 0; i < dy.size(); ++i) dx(0)[i] += y[i] > 0 ? dy[i] : 0;
        break;
      case Op::tanh:
        for (size_t i = 0; i < dy.size(); ++i) dx(0)[i] += dy[i] * (1 - y[i] * y[i]);
        break;
      case Op::sigmoid:
        for (size_t i = 0; i < dy.size(); ++i) dx(0)[i] += dy[i] * y[i] * (1 - y[i]);
        break;
      case Op::layer_norm:
      case Op::group_norm:
      case Op::rms_norm: {
        const NaiveRows rows(node);
        Values factors, scaled = dy;
        const Values normed = rows.normed(source(0), factors);
        for (size_t i = 0; i < dy.size(); ++i) {
          if (!w.empty()) scaled[i] *= w[rows.scale(i)];
          if (!w.empty()) dw[rows.scale(i)] += dy[i] * normed[i];
          if (!db.empty()) db[rows.scale(i)] += dy[i];
        }
        const Values back = rows.gradient(normed, factors, scaled);
        for (size_t i = 0; i < dy.size(); ++i) dx(0)[i] += back[i];
        break;
      }
      case Op::softmax:
      case Op::log_softmax:
        each_row(in, node.axis, [&](const std::vector<size_t>& row) {
          double sum = 0;
          const bool log = node.op == Op::log_softmax;
          for (size_t i : row) sum += log ? dy[i] : dy[i] * y[i];
          for (size_t i : row) dx(0)[i] += log ? dy[i] - std::exp(y[i]) * sum : y[i] * (dy[i] - sum);
        });
        break;
      case Op::add:
        for (size_t k = 0; k < 2; ++k) {
          for (size_t i = 0; i < dy.size(); ++i) dx(k)[i] += dy[i];
        }
        break;
      case Op::concat: {
        size_t outer = 1, from = 0;
        for (int d = 0; d < node.axis; ++d) outer *= static_cast<size_t>(node.shape.dims[d]);
        for (size_t row = 0; row < outer; ++row) {
          for (size_t i = 0; i < node.inputs.size(); ++i) {
            const size_t length = source(i).size() / outer;
            for (size_t j = 0; j < length; ++j) dx(i)[row * length + j] += dy[from++];
          }
        }
        break;
      }
      case Op::flatten:
      case Op::dropout:
        for (size_t i = 0; i < dy.size(); ++i) dx(0)[i] += dy[i];
        break;
      default: break;
    }
  }
}

double NaiveTraining::forward(const float* images, const float* targets, int batch, Loss loss,
                              double smoothing) {
  std::vector<Values> values;
  Values dy;
  double sum = 0;
  const size_t in = static_cast<size_t>(graph.nodes[0].shape.elements()),
               output = static_cast<size_t>(graph.output);
  const size_t out = static_cast<size_t>(graph.nodes[output].shape.elements());
  for (int image = 0; image < batch; ++image) {
    forward_image(*this, images + static_cast<size_t>(image) * in, values);
    sum += naive_loss(loss, graph.nodes[output].shape, smoothing, values[output],
                      targets + static_cast<size_t>(image) * out, batch, dy, infinite);
  }
  return sum;
}

double NaiveTraining::run(const float* images, const float* targets, int batch, Loss loss, double smoothing) {
  d_weights = weights;
  d_biases = biases;
  for (auto* all : {&d_weights, &d_biases}) {
    for (Values& one : *all) std::fill(one.begin(), one.end(), 0.0);
  }
  infinite = false;
  sums.assign(graph.nodes.size(), Sums());
  d_input.clear();
  const size_t in = static_cast<size_t>(graph.nodes[0].shape.elements()),
               output = static_cast<size_t>(graph.output);
  const size_t out = static_cast<size_t>(graph.nodes[output].shape.elements());
  double sum = 0;
  for (int image = 0; image < batch; ++image) {
    std::vector<Values> values, grads(graph.nodes.size());
    forward_image(*this, images + static_cast<size_t>(image) * in, values);
    sum += naive_loss(loss, graph.nodes[output].shape, smoothing, values[output],
                      targets + static_cast<size_t>(image) * out, batch, grads[output], infinite);
    backward_image(*this, values, grads);
    for (const auto* all : {&values, &grads}) {
      for (const Values& one : *all) {
        for (double x : one) infinite = infinite || !std::isfinite(x);
      }
    }
    for (size_t i = 0; i < values.size(); ++i) {
      for (double x : values[i]) {
        sums[i].squares += x * x;
        sums[i].zeros += x == 0;
      }
      for (double g : grads[i]) sums[i].gradient_squares += g * g;
    }
    if (grads[0].empty()) grads[0].assign(in, 0.0);
    d_input.insert(d_input.end(), grads[0].begin(), grads[0].end());
  }
  return sum;
}

}  // namespace test
}  // namespace kernelet
