// The twin of recurrent layers, gate by gate as their formulas stand in PyTorch's manual. What has an exponential in it
// is the tier's own `activate`, which has a test of its own.
#include <algorithm>
#include <cmath>

#include "naive.h"

namespace kernelet {
namespace test {

std::vector<float> naive_recurrent(const KernelTable& t, const Node& node, int64_t steps, const float* x,
                                   const float* h0, const float* c0) {
  const bool lstm = node.op == Op::lstm, gru = node.op == Op::gru, first = node.op == Op::gru_reset_first;
  const size_t gates = lstm ? 4 : gru || first ? 3 : 1;
  const size_t row = static_cast<size_t>(node.shape.dims[1]);
  size_t n = 1;
  while (gates * n * n < node.weight.length) ++n;
  std::vector<float> h(n, 0.0f), c(n, 0.0f), all;
  if (h0 != nullptr) h.assign(h0, h0 + n);
  if (lstm && c0 != nullptr) c.assign(c0, c0 + n);
  // what a state gives to unit j of a gate
  const auto hidden = [&](const std::vector<float>& state, size_t gate, size_t j) {
    Dot dot(n);
    for (size_t k = 0; k < n; ++k) dot.tap(state[k], node.weight.data[((gate * n) + j) * n + k], t.has_fma);
    dot.add_bias(node.bias.data != nullptr ? node.bias.data[gate * n + j] : 0.0f);
    return dot.accumulated;
  };
  const auto through = [&](Activation f, float value) {
    std::vector<float> one = {value};
    naive_activate(t, {f, 1, 1}, one);
    return one[0];
  };
  for (int64_t step = 0; step < steps; ++step, x += gates * n) {
    std::vector<float> next(n), cell(n), reset(n), update(n);
    for (size_t j = 0; j < n; ++j) {
      const auto gate = [&](Activation f, size_t i) { return through(f, hidden(h, i, j) + x[i * n + j]); };
      if (lstm) {
        const float in = gate(Activation::sigmoid, 0), forget = gate(Activation::sigmoid, 1),
                    candidate = gate(Activation::tanh, 2), out = gate(Activation::sigmoid, 3);
        cell[j] = forget * c[j] + in * candidate;
        next[j] = out * through(Activation::tanh, cell[j]);
      } else if (gates == 1) {
        next[j] = gate(node.op == Op::rnn_tanh ? Activation::tanh : Activation::relu, 0);
      } else {
        reset[j] = gate(Activation::sigmoid, 0);
        update[j] = gate(Activation::sigmoid, 1);
      }
    }
    if (gates == 3) {
      std::vector<float> kept(n);
      for (size_t j = 0; j < n; ++j) kept[j] = reset[j] * h[j];
      for (size_t j = 0; j < n; ++j) {
        const float from_state = first ? hidden(kept, 2, j) : reset[j] * hidden(h, 2, j);
        const float fresh = through(Activation::tanh, x[2 * n + j] + from_state);
        next[j] = fresh + update[j] * (h[j] - fresh);
      }
    }
    h = next;
    c = cell;
    all.insert(all.end(), h.begin(), h.end());
    if (lstm && row == 2 * n) all.insert(all.end(), c.begin(), c.end());
  }
  return all;
}

namespace {

double naive_sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

}  // namespace

std::vector<double> naive_recurrent(const Node& node, int64_t steps, const std::vector<double>& x,
                                    const std::vector<double>& w, const std::vector<double>& b,
                                    const std::vector<double>& h0, const std::vector<double>& c0) {
  const bool lstm = node.op == Op::lstm;
  const size_t gates = lstm                 ? 4
                       : node.op == Op::gru ? 3
                                            : 1,
               row = x.size() / static_cast<size_t>(steps), n = row / gates;
  std::vector<double> h(n, 0.0), c(n, 0.0), all;
  if (!h0.empty()) h = h0;
  if (!c0.empty()) c = c0;
  for (size_t t = 0; t < static_cast<size_t>(steps); ++t) {
    std::vector<double> next(n), cell(n);
    for (size_t j = 0; j < n; ++j) {
      const auto state = [&](size_t g) {
        double sum = b.empty() ? 0 : b[g * n + j];
        for (size_t k = 0; k < n; ++k) sum += h[k] * w[(g * n + j) * n + k];
        return sum;
      };
      const auto gate = [&](size_t g) { return x[t * row + g * n + j] + state(g); };
      if (lstm) {
        cell[j] = naive_sigmoid(gate(1)) * c[j] + naive_sigmoid(gate(0)) * std::tanh(gate(2));
        next[j] = naive_sigmoid(gate(3)) * std::tanh(cell[j]);
      } else if (gates == 3) {
        const double fresh = std::tanh(x[t * row + 2 * n + j] + naive_sigmoid(gate(0)) * state(2));
        const double update = naive_sigmoid(gate(1));
        next[j] = (1 - update) * fresh + update * h[j];
      } else {
        next[j] = node.op == Op::rnn_tanh ? std::tanh(gate(0)) : std::max(gate(0), 0.0);
      }
    }
    h = next;
    c = cell;
    all.insert(all.end(), h.begin(), h.end());
    if (lstm && static_cast<size_t>(node.shape.dims[1]) == 2 * n) all.insert(all.end(), c.begin(), c.end());
  }
  return all;
}

}  // namespace test
}  // namespace kernelet
