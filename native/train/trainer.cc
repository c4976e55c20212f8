#include "trainer.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/thread_pool.h"
#include "kernels/isa.h"
#include "ops/definition.h"
#include "optimizers.h"
#include "run.h"

namespace kernelet {
namespace {

void check_number(const char* what, double value, double low, double high, bool high_included = true) {
  if (value >= low && (high_included ? value <= high : value < high)) return;
  fail("ERR_ARGUMENT", {what, ": expected a number from ", low, high_included ? " to " : " to less than ",
                        high, " but received ", value});
}

void check_options(const TrainerOptions& o) {
  const double huge = std::numeric_limits<float>::max();
  check_number("labelSmoothing", o.label_smoothing, 0, 1);
  check_number("momentum", o.momentum, 0, huge);
  check_number("dampening", o.dampening, -huge, huge);
  check_number("beta1", o.beta1, 0, 1, false);
  check_number("beta2", o.beta2, 0, 1, false);
  check_number("eps", o.eps, 0, huge);
  check_number("weightDecay", o.weight_decay, 0, huge);
  check_number("clipNorm", o.clip_norm, 0, huge);
  check_number("clipValue", o.clip_value, 0, huge);
  if (o.ema_decay != -1) check_number("emaDecay", o.ema_decay, 0, 1);
  check_number("threads", o.threads, 0, max_threads);
  if (o.nesterov && (o.momentum == 0 || o.dampening != 0)) {
    fail("ERR_ARGUMENT", {"nesterov: expected a momentum, and no dampening"});
  }
  if (o.label_smoothing != 0 && o.loss != Loss::cross_entropy) {
    fail("ERR_ARGUMENT", {"labelSmoothing: expected the loss crossEntropy"});
  }
  for (const TrainedParameter& parameter : o.parameters) {
    if (!(std::fabs(parameter.lr_multiplier) <= huge)) {
      fail("ERR_ARGUMENT", {parameter.name, ": expected a finite lrMultiplier"});
    }
  }
}

}  // namespace

std::unique_ptr<Trainer> Trainer::make(const Graph& graph, const TrainerOptions& options) {
  validate(graph);
  check_options(options);
  std::unique_ptr<Trainer> trainer(new Trainer);
  Trainer& t = *trainer;
  t.kernels_ = choose_isa(options.isa).table;
  t.options_ = options;
  t.graph_ = graph;
  const Shape& output = graph.nodes[static_cast<size_t>(graph.output)].shape;
  t.input_length_ = graph.nodes[0].shape.elements();
  t.output_length_ = output.elements();
  if (options.loss == Loss::cross_entropy) t.positions_ = t.output_length_ / output.dims[0];
  for (const Node& node : graph.nodes) {
    const bool multiplies = node.op == Op::conv2d || node.op == Op::linear;
    if (!multiplies) continue;
    const int64_t outputs = node.op == Op::conv2d ? node.shape.dims[0] : node.shape.dims[node.shape.rank - 1];
    t.macs_ += node.shape.elements() * (static_cast<int64_t>(node.weight.length) / outputs);
  }
  t.find_parameters(graph);
  t.program_.reset(new TrainProgram(t.graph_, *t.kernels_, t.uses_, options.input_gradient, options.fuse));
  t.make_tasks();
  return trainer;
}

Trainer::~Trainer() = default;

TrainProgram& Trainer::plain() {
  if (!options_.fuse) return *program_;
  if (!plain_) {
    plain_.reset(new TrainProgram(graph_, *kernels_, uses_, options_.input_gradient, false));
  }
  plain_->pack(weights_[current_].data());
  return *plain_;
}

size_t Trainer::bytes() const {
  size_t floats = weights_[0].size() + weights_[1].size() + gradients_.size() + first_.size() +
                  second_.size() + ema_.size();
  for (const AlignedFloats& arena : arenas_) floats += arena.size();
  return floats * sizeof(float);
}

void Trainer::load(size_t i, const float* values) {
  const Parameter& p = parameters_[i];
  for (AlignedFloats& weights : weights_)
    std::memcpy(weights.data() + p.offset, values, p.length * sizeof(float));
}

void Trainer::store(size_t i, float* values) const {
  const Parameter& p = parameters_[i];
  const bool buffer = i >= options_.parameters.size();
  if (p.trained || buffer)
    std::memcpy(values, weights_[current_].data() + p.offset, p.length * sizeof(float));
}

const AlignedFloats* Trainer::buffer_of(State state) const {
  if (state == State::gradient) return &gradients_;
  if (state == State::ema) return &ema_;
  const OptimizerStates states = states_of(options_.optimizer);
  if (state == states.first) return &first_;
  return state == states.second ? &second_ : nullptr;
}

bool Trainer::has(State state) const {
  const AlignedFloats* const buffer = buffer_of(state);
  if (buffer == nullptr || buffer->size() < floats_) return false;
  if (state == State::momentum) return has_first_;  // it begins with the first gradient
  return state != State::ema || has_ema_;
}

const float* Trainer::read(State state, size_t parameter) const {
  const Parameter& p = parameters_[parameter];
  const AlignedFloats* const buffer = buffer_of(state);
  return p.trained && buffer != nullptr ? buffer->data() + p.offset : nullptr;
}

void Trainer::write(State state, size_t parameter, const float* values) {
  const AlignedFloats* const to = state == State::gradient ? nullptr : buffer_of(state);
  if (to == nullptr || to->size() < floats_)
    fail("ERR_ARGUMENT", {"write: this trainer has no state of that kind"});
  const Parameter& p = parameters_[parameter];
  if (p.trained) std::memcpy(to->data() + p.offset, values, p.length * sizeof(float));
  if (state == State::momentum) has_first_ = true;
  if (state == State::ema) has_ema_ = true;
}

void Trainer::check(const TrainCall& call) const {
  if (call.batch < 1) fail("ERR_ARGUMENT", {"batch: expected at least 1"});
  const int64_t steps = (call.count + call.batch - 1) / call.batch;
  if (static_cast<int64_t>(call.learning_rates.size()) != steps) {
    fail("ERR_ARGUMENT",
         {"learningRates: expected ", steps, ", one a step, but received ", call.learning_rates.size()});
  }
  for (double lr : call.learning_rates) {
    if (!std::isfinite(static_cast<float>(lr)))
      fail("ERR_ARGUMENT", {"learningRates: expected finite numbers"});
  }
  if (call.classes == nullptr) return;
  if (options_.loss != Loss::cross_entropy) {
    fail("ERR_ARGUMENT", {"targets: class indices are for the loss crossEntropy, expected a Float32Array"});
  }
  const int64_t classes = this->classes();
  for (int64_t i = 0; i < call.count * positions_; ++i) {
    if (call.classes[i] < 0 || call.classes[i] >= classes) {
      fail("ERR_ARGUMENT",
           {"targets: expected classes from 0 to ", classes - 1, " but received ", call.classes[i]});
    }
  }
}

// A step does about three times the work of a forward.
int Trainer::threads_of(int batch) const {
  const int blocks = (batch + train_block_images - 1) / train_block_images;
  return std::min(threads_for(options_.threads, 3 * batch * macs_), blocks);
}

TrainReport Trainer::run(const TrainCall& call) {
  TrainReport report;
  struct Context {
    Trainer* trainer;
    const TrainCall* call;
    TrainReport* report;
    bool failed;
  } context{this, &call, &report, false};
  TaskTeam::run(
      threads_of(call.batch),
      [](void* p, TaskTeam& team) {
        Context& c = *static_cast<Context*>(p);
        try {
          TrainRun(*c.trainer, *c.call, team).steps(*c.report);
        } catch (const std::bad_alloc&) {
          c.failed = true;
        }
      },
      &context);
  if (context.failed) throw std::bad_alloc();
  return report;
}

}  // namespace kernelet
