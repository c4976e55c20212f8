// lstm, gru, gruResetFirst, rnnTanh, rnnRelu: one direction of a recurrent layer, from what its input gives to the gates,
// [steps][gates · hidden], which is a linear layer's work for all steps at once. weight [gates · hidden][hidden] and bias
// are those of the hidden state, gates in PyTorch's order (i f g o; r z n). Then perhaps the state before the first step,
// h [hidden] and of lstm c [hidden], in any shape. -> [steps][hidden], h of every step, or of lstm [steps][2 · hidden], h and c.
#include <algorithm>
#include <cstring>

#include "definition.h"
#include "linear.h"
#include "window.h"

namespace kernelet {
namespace {

int64_t gates_of(Op op) { return op == Op::lstm ? 4 : op == Op::gru || op == Op::gru_reset_first ? 3 : 1; }

Shape shape(const Node& node, const InputShapes& inputs) {
  const Shape& in = *inputs[0];
  const size_t states = node.op == Op::lstm ? 2 : 1;
  if (inputs.size() != 1 && inputs.size() != 1 + states)
    fail("ERR_ARGUMENT", {node.name, ": ", op_name(node.op), " received ", inputs.size(), " inputs"});
  const int64_t gates = gates_of(node.op);
  const int64_t hidden = in.rank == 2 ? in.dims[1] / gates : 0;
  if (hidden < 1 || in.dims[1] % gates != 0 || hidden > Shape::max_elements / in.dims[1])
    bad_shape(node, {"steps of ", gates, " gates"}, {in.text()});
  for (size_t i = 1; i < inputs.size(); ++i) {
    if (inputs[i]->elements() != hidden)
      bad_shape(node, {"a state of ", hidden, " numbers"}, {inputs[i]->text()});
  }
  check_length(node, "weight", node.weight, in.dims[1] * hidden);
  if (node.bias.data != nullptr) check_length(node, "bias", node.bias, in.dims[1]);
  Shape out = in;
  out.dims[1] = hidden;
  // of its own shape: whether the cell's state is wanted too
  if (node.op == Op::lstm && node.shape.rank == 2 && node.shape.dims[1] == 2 * hidden)
    out.dims[1] = 2 * hidden;
  out.check(node.name);
  return out;
}

// One row for one linear layer.
LinearArgs layer_of(int64_t in, int64_t out) {
  LinearArgs a = LinearArgs();
  a.rows = 1;
  a.in = int_of(in);
  a.out = int_of(out);
  return a;
}

// What a step of the sequence needs to know; sizes in floats.
struct Cell {
  const KernelTable* k;
  const LinearAlgorithm* linear;
  Op op;
  int64_t hidden;
  int steps;
  size_t n, gates;       // of a state, of all gates
  size_t row;            // of the output
  bool cells;            // the output has them too
  LinearArgs all, last;  // all gates, or all but the last, which then has a layer of its own

  explicit Cell(const StepSpec& spec) : k(spec.kernels), op(spec.first().op) {
    const Shape& in = spec.input();
    hidden = in.dims[1] / gates_of(op);
    steps = int_of(in.dims[0]);
    n = static_cast<size_t>(hidden) * spec.width();
    gates = n * static_cast<size_t>(gates_of(op));
    row = static_cast<size_t>(spec.output().dims[1]) * spec.width();
    cells = row == 2 * n && op == Op::lstm;
    const bool apart = op == Op::gru_reset_first;
    all = layer_of(hidden, apart ? 2 * hidden : in.dims[1]);
    last = layer_of(hidden, hidden);
    const LinearAlgorithm* const narrow = k->narrow_linear;
    linear = spec.layout == Layout::batched ? &k->batched_linear : &k->linear;
    if (spec.layout != Layout::batched && narrow != nullptr &&
        narrow->weights_size(all) < k->linear.weights_size(all))
      linear = narrow;
  }
  bool apart() const { return op == Op::gru_reset_first; }

  void activate(Activation f, size_t count, float* x) const { k->activate({f, 1, 1}, count, x, x); }

  // h, c: the state before; h_out, c_out after. gates: what is left of them. more [2 n]: tanh(c), or what the hidden state
  // gives to the last gate of gru.
  void step(const float* x, const float* h, const float* c, float* h_out, float* c_out, float* g,
            float* more) const {
    linear->run(all, h, g);
    if (op == Op::lstm) {
      for (size_t i = 0; i < gates; ++i) g[i] += x[i];
      activate(Activation::sigmoid, 2 * n, g);
      activate(Activation::tanh, n, g + 2 * n);
      activate(Activation::sigmoid, n, g + 3 * n);
      for (size_t i = 0; i < n; ++i) {
        const float kept = g[n + i] * c[i], added = g[i] * g[2 * n + i];
        c_out[i] = more[i] = kept + added;
      }
      activate(Activation::tanh, n, more);
      for (size_t i = 0; i < n; ++i) h_out[i] = g[3 * n + i] * more[i];
      return;
    }
    if (gates == n) {
      for (size_t i = 0; i < n; ++i) h_out[i] = g[i] + x[i];
      return activate(op == Op::rnn_tanh ? Activation::tanh : Activation::relu, n, h_out);
    }
    for (size_t i = 0; i < 2 * n; ++i) g[i] += x[i];
    activate(Activation::sigmoid, 2 * n, g);
    float* const fresh = g + 2 * n;
    if (apart()) {
      for (size_t i = 0; i < n; ++i) more[n + i] = g[i] * h[i];
      linear->run(last, more + n, more);
      for (size_t i = 0; i < n; ++i) fresh[i] = x[2 * n + i] + more[i];
    } else {
      for (size_t i = 0; i < n; ++i) {
        more[i] = fresh[i];
        const float reset = g[i] * fresh[i];
        fresh[i] = x[2 * n + i] + reset;
      }
    }
    activate(Activation::tanh, n, fresh);
    for (size_t i = 0; i < n; ++i) {
      const float moved = g[n + i] * (h[i] - fresh[i]);
      h_out[i] = fresh[i] + moved;
    }
  }
};

class RecurrentStep : public WeightedStep {
 public:
  explicit RecurrentStep(const StepSpec& spec) : cell(spec), states_(spec.first().inputs.size() > 1) {}

  void run(StepRun& run) const override {
    const size_t n = cell.n;
    float *const gates = run.scratch, *const more = gates + cell.gates, *const zeros = more + 2 * n,
                 *const c_own = zeros + n;
    std::fill_n(zeros, n, 0.0f);
    const float *h = states_ ? run.src(1) : zeros, *c = states_ && cell.op == Op::lstm ? run.src(2) : zeros;
    for (int t = 0; t < cell.steps; ++t) {
      float* const row = run.dst() + static_cast<size_t>(t) * cell.row;
      float* const c_out = cell.cells ? row + n : c_own;
      cell.step(run.src(0) + static_cast<size_t>(t) * cell.gates, h, c, row, c_out, gates, more);
      h = row;
      c = c_out;
    }
  }
  size_t weights_size() const override { return first_weights() + (cell.apart() ? last_weights() : 0); }
  size_t bias_size() const override {
    return AlignedFloats::round_up(cell.linear->bias_size(cell.all)) +
           (cell.apart() ? cell.linear->bias_size(cell.last) : 0);
  }
  size_t scratch_size() const override { return cell.gates + 4 * cell.n; }
  size_t outputs() const override { return static_cast<size_t>(cell.all.out); }
  void pack(const float* from, float* weights) const override {
    cell.linear->pack(cell.all, from, weights);
    if (!cell.apart()) return;
    const size_t rows = static_cast<size_t>(cell.all.out) * static_cast<size_t>(cell.all.in);
    cell.linear->pack(cell.last, from + rows, weights + first_weights());
  }
  void place(const float* weights, const float* bias) override {
    cell.all.weights = weights;
    cell.all.bias = bias;
    if (!cell.apart()) return;
    cell.last.weights = weights + first_weights();
    cell.last.bias = bias + AlignedFloats::round_up(cell.linear->bias_size(cell.all));
  }

  Cell cell;

 private:
  size_t first_weights() const { return AlignedFloats::round_up(cell.linear->weights_size(cell.all)); }
  size_t last_weights() const { return cell.linear->weights_size(cell.last); }

  bool states_;
};

void plan(const StepSpec& spec, PlannedStep& planned) {
  RecurrentStep* const step = new RecurrentStep(spec);
  planned.step.reset(step);
  const Cell& cell = step->cell;
  planned.algorithm = spec.layout == Layout::batched ? "lanes" : "gemm";
  planned.problem = number("t", cell.steps) + number("ic", cell.hidden) + number("oc", spec.input().dims[1]);
  planned.macs = cell.steps * cell.hidden * spec.input().dims[1];
  planned.has_bias = spec.first().bias.data != nullptr;
}

// The layer of a direction, with as many rows as there are steps.
LinearArgs rows_of(const StepSpec& spec) {
  const Shape& in = spec.input();
  LinearArgs a = layer_of(in.dims[1] / gates_of(spec.first().op), in.dims[1]);
  a.rows = int_of(in.dims[0]);
  return a;
}

// Through time.
class RecurrentTraining : public MatrixTraining {
 public:
  explicit RecurrentTraining(const TrainSpec& spec)
      : MatrixTraining(spec, rows_of(spec)), cell_(spec), states_(spec.first().inputs.size() > 1) {
    cell_.all.weights = args_.weights;
    cell_.all.bias = args_.bias;
    reads_src = spec.wants_backward && states_;
    reads_dst = spec.wants_backward && cell_.gates == cell_.n;
    saved_floats = static_cast<size_t>(cell_.steps) * (cell_.gates + 3 * cell_.n) + 2 * cell_.n;
    scratch_floats = 2 * cell_.gates + 4 * cell_.n;
  }

  // Saved: h before every step, and what each step left: gates, what came with them, c. Zeros at the end.
  void forward(BlockRun& run, int) override {
    const size_t n = cell_.n;
    float* const none = run.saved + saved_floats - 2 * n;
    std::fill_n(none, 2 * n, 0.0f);
    const float *h = states_ ? run.src(1) : none, *c = states_ && cell_.op == Op::lstm ? run.src(2) : none;
    for (int t = 0; t < cell_.steps; ++t) {
      float *const row = run.dst() + static_cast<size_t>(t) * cell_.row, *const left = left_of(run, t);
      std::memcpy(before(run, t), h, n * sizeof(float));
      float* const cell = left + cell_.gates + n;
      cell_.step(run.src(0) + static_cast<size_t>(t) * cell_.gates, h, c, row, cell, left,
                 left + cell_.gates);
      if (cell_.cells) std::memcpy(row + n, cell, n * sizeof(float));
      h = row;
      c = cell;
    }
  }

  void backward(BlockRun& run, int) override {
    const size_t n = cell_.n, gates = cell_.gates;
    float *const dh = run.scratch, *const dc = dh + n, *const kept = dc + n, *const to_h = kept + 2 * n,
                 *const to_x = to_h + gates;
    std::fill_n(dh, 2 * n, 0.0f);
    const bool gru = cell_.op == Op::gru, trained = weight.trained || bias.trained;
    for (int t = cell_.steps - 1; t >= 0; --t) {
      const size_t at = static_cast<size_t>(t) * gates;
      const float* const grad = run.grad + static_cast<size_t>(t) * cell_.row;
      for (size_t i = 0; i < n; ++i) dh[i] += grad[i];
      if (cell_.cells) {
        for (size_t i = 0; i < n; ++i) dc[i] += grad[n + i];
      }
      float* const dg = trained ? gradient_of(run) + at : to_h;
      float* const dx = run.src_grad(0) != nullptr ? run.src_grad(0) + at : to_x;
      cell_slopes(run, t, dh, dc, dg, kept);
      std::memcpy(dx, dg, gates * sizeof(float));
      // the state's part of gru's last gate went through the reset gate
      if (gru) {
        for (size_t i = 0; i < n; ++i) dg[2 * n + i] *= left_of(run, t)[i];
      }
      k_->train.linear_dx(cell_.all, run.parameters + weight.offset, dg, dh);
      if (gru) {
        for (size_t i = 0; i < n; ++i) dh[i] += kept[i];
      }
    }
    for (size_t i = 0; states_ && i < (cell_.op == Op::lstm ? 2 : 1); ++i) {
      if (run.src_grad(1 + i) != nullptr) std::memcpy(run.src_grad(1 + i), dh + i * n, n * sizeof(float));
    }
    if (weight.trained) keep_rows(run, before(run, 0));
  }

 private:
  float* before(const BlockRun& run, int t) const { return run.saved + static_cast<size_t>(t) * cell_.n; }
  float* left_of(const BlockRun& run, int t) const {
    return before(run, cell_.steps) + static_cast<size_t>(t) * (cell_.gates + 2 * cell_.n);
  }

  // From dh (and dc) of a step to those of what goes into its gates, and what of dh goes straight to the state before; dc
  // becomes that of the step before.
  void cell_slopes(const BlockRun& run, int t, const float* dh, float* dc, float* dg, float* kept) const {
    const size_t n = cell_.n;
    const float *const g = left_of(run, t), *const more = g + cell_.gates, *const h = before(run, t);
    if (cell_.op == Op::lstm) {
      const float* past = run.saved + saved_floats - 2 * n;  // zeros
      if (t > 0) past = left_of(run, t - 1) + cell_.gates + n;
      else if (states_) past = run.src(2);
      for (size_t i = 0; i < n; ++i) {
        const float in = g[i], forget = g[n + i], fresh = g[2 * n + i], out = g[3 * n + i];
        const float all = dc[i] + dh[i] * out * (1 - more[i] * more[i]);
        dg[i] = all * fresh * in * (1 - in);
        dg[n + i] = all * past[i] * forget * (1 - forget);
        dg[2 * n + i] = all * in * (1 - fresh * fresh);
        dg[3 * n + i] = dh[i] * more[i] * out * (1 - out);
        dc[i] = all * forget;
      }
    } else if (cell_.op == Op::gru) {
      for (size_t i = 0; i < n; ++i) {
        const float reset = g[i], update = g[n + i], fresh = g[2 * n + i];
        const float slope = dh[i] * (1 - update) * (1 - fresh * fresh);
        dg[i] = slope * more[i] * reset * (1 - reset);
        dg[n + i] = dh[i] * (h[i] - fresh) * update * (1 - update);
        dg[2 * n + i] = slope;
        kept[i] = dh[i] * update;
      }
    } else {
      const float* const y = run.dst() + static_cast<size_t>(t) * cell_.row;
      for (size_t i = 0; i < n; ++i)
        dg[i] = cell_.op == Op::rnn_tanh ? dh[i] * (1 - y[i] * y[i]) : y[i] > 0 ? dh[i] : 0;
    }
  }

  Cell cell_;
  bool states_;
};

Shape first_shape(const Node& node, const InputShapes& inputs) {
  if (node.bias.data != nullptr) bad_shape(node, {"no bias"}, {node.bias.length});
  return shape(node, inputs);
}

}  // namespace

const OpDefinition ops::recurrent = {OpDefinition::any, weight_attribute | bias_attribute, shape, plan,
                                     make_train_step<RecurrentTraining>};
// (its last gate's bias goes to the input's)
const OpDefinition ops::recurrent_reset_first = {OpDefinition::any, weight_attribute, first_shape, plan};

}  // namespace kernelet
