#include "trainer.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "isa.h"
#include "thread_pool.h"
#include "train_team.h"

namespace kernelet {
namespace {

// base^n, n >= 0, alike on every machine: libm's pow is not, and a new symbol of glibc besides.
double power(double base, double n) {
  double result = 1;
  for (int64_t left = static_cast<int64_t>(n); left > 0; left /= 2) {
    if (left % 2 != 0) result *= base;
    base *= base;
  }
  return result;
}

// As plans have it; a step does about three times the work of a forward.
constexpr int64_t threading_threshold_macs = 4'000'000;
// Weights of a task: some microseconds of work.
constexpr int64_t task_floats = 2048;

double square_sum(const float* x, size_t n) {
  double sum = 0;
  for (size_t i = 0; i < n; ++i) sum += static_cast<double>(x[i]) * x[i];
  return sum;
}

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
  graph.validate();
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

void Trainer::find_parameters(const Graph& graph) {
  // those of the options, then its buffers, then what the graph has besides
  std::vector<Floats> known;
  for (const TrainedParameter& parameter : options_.parameters) known.push_back(parameter.data);
  for (const TrainedParameter& buffer : options_.buffers) known.push_back(buffer.data);
  const size_t listed = known.size(), trainable = options_.parameters.size();
  parameters_.resize(listed);
  for (const TrainedParameter& p : options_.parameters) {
    if (!p.mask.empty() && p.mask.size() != p.data.length) {
      fail("ERR_SHAPE",
           {p.name, ": expected a mask of ", p.data.length, " bytes but received ", p.mask.size()});
    }
  }
  const auto name = [&](size_t i) {
    return i < trainable ? options_.parameters[i].name : options_.buffers[i - trainable].name;
  };
  for (size_t i = 0; i < listed; ++i) {
    parameters_[i].length = known[i].length;
    for (size_t j = 0; j < i; ++j) {
      if (known[i].length > 0 && known[i].data == known[j].data)
        fail("ERR_ARGUMENT", {name(i), ": is the same array as ", name(j)});
    }
  }
  // The graph's weights that nobody listed stay as they are.
  uses_.weights.resize(graph.nodes.size());
  uses_.biases.resize(graph.nodes.size());
  uses_.means.resize(graph.nodes.size());
  uses_.variances.resize(graph.nodes.size());
  const auto find = [&](const Floats& floats, bool fixed_otherwise) {
    ParameterUse use;
    if (floats.data == nullptr) return use;
    size_t i = 0;
    while (i < known.size() && (known[i].data != floats.data || known[i].length != floats.length)) ++i;
    // a constant that is not trained is no parameter
    if (fixed_otherwise && (i >= trainable || options_.parameters[i].frozen)) return use;
    if (i == known.size()) {
      parameters_.emplace_back();
      parameters_[i].length = floats.length;
      known.push_back(floats);
    }
    use.parameter = static_cast<int>(i);
    return use;
  };
  const auto find_multiplied = [&](const Floats& floats, size_t node, bool bias) {
    const ParameterUse use = find(floats, graph.nodes[node].op == Op::constant);
    if (use.parameter >= 0) parameters_[static_cast<size_t>(use.parameter)].uses.push_back({node, bias});
    return use;
  };
  // those of dead nodes have no gradient
  NodeFlags live(graph.nodes.size());
  live[static_cast<size_t>(graph.output)] = true;
  for (size_t i = static_cast<size_t>(graph.output) + 1; i-- > 0;) {
    for (int input : graph.nodes[i].inputs) {
      if (live[i]) live[static_cast<size_t>(input)] = true;
    }
  }
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    if (!live[i]) continue;
    uses_.weights[i] = find_multiplied(graph.nodes[i].weight, i, false);
    uses_.biases[i] = find_multiplied(graph.nodes[i].bias, i, true);
    uses_.means[i] = find(graph.nodes[i].mean, false);
    uses_.variances[i] = find(graph.nodes[i].variance, false);
  }
  for (size_t i = 0; i < parameters_.size(); ++i) {
    Parameter& p = parameters_[i];
    p.offset = floats_;
    floats_ += AlignedFloats::round_up(p.length);
    p.trained = i < trainable && !options_.parameters[i].frozen && !p.uses.empty();
    if (p.trained && p.uses.size() > 1) p.other = AlignedFloats(p.length);
  }
  for (auto* uses : {&uses_.weights, &uses_.biases, &uses_.means, &uses_.variances}) {
    for (ParameterUse& use : *uses) {
      if (use.parameter < 0) continue;
      use.offset = parameters_[static_cast<size_t>(use.parameter)].offset;
      use.trained = parameters_[static_cast<size_t>(use.parameter)].trained;
    }
  }
  for (AlignedFloats* floats : {&weights_[0], &weights_[1], &gradients_}) {
    *floats = AlignedFloats(floats_);
    std::fill_n(floats->data(), floats_, 0.0f);
  }
  const bool adam = options_.optimizer != Optimizer::sgd;
  for (AlignedFloats* floats : {&first_, &second_, &ema_}) {
    const bool needed =
        floats == &ema_ ? options_.ema_decay >= 0 : adam || (floats == &first_ && options_.momentum != 0);
    if (!needed) continue;
    *floats = AlignedFloats(floats_);
    std::fill_n(floats->data(), floats_, 0.0f);
  }
  for (size_t i = listed; i < known.size(); ++i) {
    const Parameter& p = parameters_[i];
    for (AlignedFloats& weights : weights_)
      std::memcpy(weights.data() + p.offset, known[i].data, p.length * sizeof(float));
  }
  // The caller's arrays are his again: what the graph still needs of them is copied.
  for (Node& node : graph_.nodes) {
    if (node.op == Op::constant) {
      fixed_.emplace_back(node.weight.length);
      std::memcpy(fixed_.back().data(), node.weight.data, node.weight.length * sizeof(float));
      node.weight.data = fixed_.back().data();
    } else {
      node.weight.data = node.bias.data = node.mean.data = node.variance.data = nullptr;
    }
  }
  for (TrainedParameter& parameter : options_.parameters) parameter.data.data = nullptr;
  for (TrainedParameter& buffer : options_.buffers) buffer.data.data = nullptr;
}

namespace {

// The step of a program that has a parameter as its weight or bias.
TrainStep* step_of(const TrainProgram& program, const ParameterUse& use, bool bias, size_t node) {
  for (const TrainInstruction& instruction : program.instructions) {
    if (instruction.kind != TrainInstruction::forward) continue;
    TrainStep* const step = instruction.step;
    if (step->first_node != static_cast<int>(node)) continue;
    return (bias ? step->bias : step->weight).parameter == use.parameter ? step : nullptr;
  }
  return nullptr;
}

}  // namespace

void Trainer::make_tasks() {
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const Parameter& p = parameters_[i];
    if (!p.trained) continue;
    if (p.uses.size() != 1 || p.uses[0].bias) {
      tasks_.push_back({i, 0, p.length, 0, -1, p.length, sums_++});
      continue;
    }
    const TrainStep& step = *step_of(*program_, uses_.weights[p.uses[0].node], false, p.uses[0].node);
    const int parts = static_cast<int>(step.parts.size()) - 1;
    const auto at = [&](int part) {
      return static_cast<size_t>(step.parts[static_cast<size_t>(part)]) *
             static_cast<size_t>(step.row_length);
    };
    for (int part = 0; part < parts;) {
      int last = part;
      while (last + 1 < parts && static_cast<int64_t>(at(last + 2) - at(part)) <= task_floats) ++last;
      tasks_.push_back({i, at(part), at(last + 1), part, last, static_cast<size_t>(step.row_length), sums_});
      sums_ += (at(last + 1) - at(part)) / static_cast<size_t>(step.row_length);
      part = last + 1;
    }
  }
}

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

bool Trainer::has(State state) const {
  switch (state) {
    case State::gradient: return true;
    case State::momentum: return options_.optimizer == Optimizer::sgd && has_first_ && first_.size() > 0;
    case State::exp_avg:
    case State::exp_avg_sq: return options_.optimizer != Optimizer::sgd;
    case State::ema: return has_ema_ && ema_.size() > 0;
  }
  return false;
}

const float* Trainer::read(State state, size_t parameter) const {
  const Parameter& p = parameters_[parameter];
  if (!p.trained) return nullptr;
  switch (state) {
    case State::gradient: return gradients_.data() + p.offset;
    case State::momentum:
    case State::exp_avg: return first_.data() + p.offset;
    case State::exp_avg_sq: return second_.data() + p.offset;
    case State::ema: return ema_.data() + p.offset;
  }
  return nullptr;
}

void Trainer::write(State state, size_t parameter, const float* values) {
  const bool sgd = options_.optimizer == Optimizer::sgd;
  AlignedFloats* to = nullptr;
  if (state == State::momentum && sgd) to = &first_;
  if (state == State::exp_avg && !sgd) to = &first_;
  if (state == State::exp_avg_sq && !sgd) to = &second_;
  if (state == State::ema) to = &ema_;
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

int Trainer::threads_for(int batch) const {
  int threads = options_.threads > 0 ? options_.threads : default_threads();
  if (threads == 0) threads = 3 * batch * macs_ < threading_threshold_macs ? 1 : usable_cpus();
  const int blocks = (batch + train_block_images - 1) / train_block_images;
  return std::min(threads, blocks);
}

// One call: what its phases share.
class Trainer::Run {
 public:
  Run(Trainer& trainer, const TrainCall& call, TrainTeam& team)
      : t_(trainer), k_(*trainer.kernels_), call_(call), team_(team) {}

  void steps(TrainReport& report) {
    t_.program_->pack(t_.weights_[t_.current_].data());
    if (call_.update && t_.options_.ema_decay >= 0 && !t_.has_ema_) {
      std::memcpy(t_.ema_.data(), t_.weights_[t_.current_].data(), t_.floats_ * sizeof(float));
      t_.has_ema_ = true;
    }
    const int count = static_cast<int>(call_.learning_rates.size());
    for (int i = 0; i < count && !t_.interrupted_; ++i) {
      first_ = static_cast<int64_t>(i) * call_.batch;
      batch_ = static_cast<int>(std::min<int64_t>(call_.batch, call_.count - first_));
      report_ = &report;
      const bool health = call_.health && i + 1 == count;
      if (!one_step(call_.learning_rates[static_cast<size_t>(i)], health)) {
        report.non_finite_step = i;
        return;
      }
    }
  }

 private:
  struct NodeSums {
    double squares = 0, gradient_squares = 0;
    int64_t zeros = 0;
    bool finite = true, gradient_finite = true;
  };

  // Of one instruction, reserved before the threads start: nothing is allocated while they work.
  struct Operands {
    std::vector<const float*> src;
    std::vector<float*> src_grad;
  };

  int blocks() const { return (batch_ + train_block_images - 1) / train_block_images; }
  int parts() const { return train_block_images / k_.lanes; }

  bool one_step(double learning_rate, bool health) {
    examining_ = health;
    double loss = 0;
    forward_and_backward(loss);
    double norm = 0, clipped = 0;
    if (std::isfinite(loss)) gradients(norm, clipped);
    if (!std::isfinite(loss) || !std::isfinite(norm)) {
      if (!health) {
        examining_ = true;
        forward_and_backward(loss);
        gradients(norm, clipped);
      }
      explain(loss);
      return false;
    }
    if (call_.update && !update(learning_rate, clipped)) return false;
    if (health) fill_health();
    if (call_.update) {
      const float* const now = t_.weights_[t_.current_].data();
      float* const next = t_.weights_[1 - t_.current_].data();
      // In place: a batch norm that is used twice moves them twice.
      const size_t trainable = t_.options_.parameters.size(), buffers = t_.options_.buffers.size();
      for (size_t i = trainable; i < trainable + buffers; ++i) {
        const Parameter& p = t_.parameters_[i];
        std::memcpy(next + p.offset, now + p.offset, p.length * sizeof(float));
      }
      for (const auto& step : program_->steps) step->move_statistics(next, next);
      t_.current_ = 1 - t_.current_;
      t_.has_first_ = true;
      ++t_.step_;
    }
    uint32_t correct = 0;
    for (uint32_t n : correct_) correct += n;
    report_->losses.push_back(loss);
    report_->gradient_norms.push_back(norm);
    report_->correct.push_back(correct);
    return true;
  }

  // ---- phase 1: blocks of images

  void forward_and_backward(double& loss) {
    program_ = examining_ ? &t_.plain() : t_.program_.get();
    const int threads = examining_ ? 1 : t_.threads_for(call_.batch);
    const bool single = program_->segments.size() == 2;
    const size_t arenas = single ? static_cast<size_t>(threads) : static_cast<size_t>(blocks() * parts());
    const size_t floats = AlignedFloats::round_up(program_->arena_floats) + preparation_floats();
    if (t_.arenas_.size() < arenas) t_.arenas_.resize(arenas);
    for (AlignedFloats& arena : t_.arenas_) {
      if (arena.size() < floats) arena = AlignedFloats(floats);
    }
    for (const auto& step : program_->steps) step->reserve(batch_, threads);
    size_t most_inputs = 0;
    for (const TrainInstruction& i : program_->instructions)
      most_inputs = std::max(most_inputs, i.src.size());
    operands_.resize(static_cast<size_t>(threads));
    for (Operands& o : operands_) {
      o.src.reserve(most_inputs);
      o.src_grad.reserve(most_inputs);
    }
    losses_.assign(static_cast<size_t>(blocks() * train_block_images), 0.0f);
    correct_.assign(static_cast<size_t>(blocks()), 0);
    if (t_.options_.input_gradient) t_.input_gradient_.resize(static_cast<size_t>(batch_ * t_.input_length_));
    sums_.assign(examining_ ? t_.graph_.nodes.size() : 0, NodeSums());
    for (size_t segment = 0; segment + 1 < program_->segments.size(); ++segment) {
      const size_t begin = program_->segments[segment], end = program_->segments[segment + 1];
      const TrainInstruction& first = program_->instructions[begin];
      if (first.round > 0) {
        first.step->meet(first.kind == TrainInstruction::backward, first.round, batch_,
                         t_.weights_[t_.current_].data());
      }
      const auto work = [&](int block, int thread) {
        for (int part = 0; part < parts(); ++part) {
          run_part(begin, end, block, part, thread,
                   t_.arenas_[static_cast<size_t>(single ? thread : block * parts() + part)].data());
        }
      };
      if (examining_) {
        for (int block = 0; block < blocks(); ++block) work(block, 0);
      } else {
        team_.each(blocks(), work);
      }
    }
    double sum = 0;
    for (int image = 0; image < batch_; ++image) sum += losses_[static_cast<size_t>(image)];
    loss = sum * loss_share();
  }

  // What one of an image's terms counts in the mean.
  double loss_share() const {
    if (t_.options_.loss == Loss::dot) return 1;
    const int64_t terms = t_.options_.loss == Loss::cross_entropy ? t_.positions_ : t_.output_length_;
    return 1.0 / (static_cast<double>(batch_) * static_cast<double>(terms));
  }

  size_t preparation_floats() const {
    const size_t image = AlignedFloats::round_up(static_cast<size_t>(t_.input_length_));
    const size_t scratch = t_.options_.preparation ? t_.options_.preparation->scratch_floats() + image : 0;
    const size_t input = AlignedFloats::round_up(static_cast<size_t>(k_.lanes * t_.input_length_));
    const size_t target = AlignedFloats::round_up(static_cast<size_t>(k_.lanes * t_.output_length_));
    return std::max(input, target) + scratch;
  }

  void run_part(size_t begin, size_t end, int block, int part, int thread, float* arena) {
    BlockRun run = BlockRun();
    run.kernels = &k_;
    run.thread = thread;
    run.block = block;
    run.part = part;
    run.first_image = block * train_block_images + part * k_.lanes;
    run.count = std::max(0, std::min(k_.lanes, batch_ - run.first_image));
    run.batch = batch_;
    run.seed = t_.options_.seed;
    run.step = t_.step_;
    run.weights = t_.weights_[t_.current_].data();
    run.scratch = arena + program_->scratch;
    std::vector<const float*>& src = operands_[static_cast<size_t>(thread)].src;
    std::vector<float*>& src_grad = operands_[static_cast<size_t>(thread)].src_grad;
    const auto place = [&](const TrainOperand& o) {
      return o.constant ? program_->constants.data() + o.offset : arena + o.offset;
    };
    for (size_t i = begin; i < end; ++i) {
      const TrainInstruction& now = program_->instructions[i];
      if (run.count == 0) {
        if (now.kind == TrainInstruction::backward) now.step->absent(run);
        continue;
      }
      switch (now.kind) {
        case TrainInstruction::prepare: prepare(run, place(program_->input), arena); break;
        case TrainInstruction::loss: find_loss(run, place(program_->output), arena); break;
        case TrainInstruction::forward:
        case TrainInstruction::backward: {
          src.clear();
          src_grad.clear();
          for (const TrainOperand& o : now.src) src.push_back(place(o));
          for (size_t at : now.src_grad)
            src_grad.push_back(at == TrainInstruction::none ? nullptr : arena + at);
          run.src = src.data();
          run.dst = place(now.dst);
          run.kept = arena + now.kept;
          run.grad = now.has_grad ? arena + now.grad : nullptr;
          run.src_grad = src_grad.data();
          if (now.kind == TrainInstruction::forward) {
            now.step->forward_round(run, now.round);
          } else {
            if (examining_ && now.round == 0) examine_gradient(now.node, run.grad, run.count);
            now.step->backward_round(run, now.round);
            for (const TrainInstruction::Addition& a : now.additions)
              k_.add(a.floats, arena + a.to, arena + a.from, arena + a.to);
          }
          break;
        }
      }
      if (!examining_) continue;
      if (now.kind == TrainInstruction::prepare) examine_value(0, place(program_->input), run.count);
      if (now.kind == TrainInstruction::forward && now.round + 1 == now.step->forward_rounds)
        examine_value(now.node, run.dst, run.count);
    }
    if (end == program_->instructions.size() && program_->input_grad != TrainInstruction::none &&
        run.count > 0) {
      if (examining_) examine_gradient(0, arena + program_->input_grad, run.count);
      k_.deinterleave(static_cast<size_t>(t_.input_length_), run.count, arena + program_->input_grad,
                      t_.input_gradient_.data() + run.first_image * t_.input_length_,
                      static_cast<size_t>(t_.input_length_));
    }
  }

  // Images into the lanes; past the batch's last one it is repeated.
  void prepare(const BlockRun& run, float* input, float* arena) {
    const size_t n = static_cast<size_t>(t_.input_length_);
    float* const floats = arena + AlignedFloats::round_up(program_->arena_floats);
    const ImagePreparation* const preparation = t_.options_.preparation.get();
    const int64_t at = first_ + run.first_image;
    const float* images = floats;
    if (call_.images != nullptr && preparation == nullptr && run.count == k_.lanes) {
      images = call_.images + static_cast<size_t>(at) * n;
    } else {
      float* const image = floats + AlignedFloats::round_up(static_cast<size_t>(k_.lanes) * n);
      for (int lane = 0; lane < k_.lanes; ++lane) {
        float* const to = floats + static_cast<size_t>(lane) * n;
        if (lane >= run.count) {
          std::memcpy(to, floats + static_cast<size_t>(run.count - 1) * n, n * sizeof(float));
          continue;
        }
        const size_t sample = static_cast<size_t>(at + lane);
        float* const raw = preparation != nullptr ? image : to;
        if (call_.bytes != nullptr) k_.from_bytes(n, call_.bytes + sample * n, call_.scale, call_.shift, raw);
        else std::memcpy(raw, call_.images + sample * n, n * sizeof(float));
        if (preparation != nullptr) {
          preparation->run(t_.options_.seed, call_.epoch, call_.samples[sample], raw, to,
                           image + AlignedFloats::round_up(n));
        }
      }
    }
    k_.interleave(n, k_.lanes, images, n, input);
  }

  void find_loss(const BlockRun& run, const float* output, float* arena) {
    const int lanes = k_.lanes;
    const int64_t n = t_.output_length_, positions = t_.positions_, classes = t_.classes();
    float* const target = arena + program_->target;
    std::fill_n(target, static_cast<size_t>(n * lanes), 0.0f);
    for (int lane = 0; lane < run.count; ++lane) {
      const int64_t sample = first_ + run.first_image + lane;
      if (call_.classes != nullptr) {
        for (int64_t p = 0; p < positions; ++p)
          target[(call_.classes[sample * positions + p] * positions + p) * lanes + lane] = 1.0f;
      } else {
        for (int64_t i = 0; i < n; ++i) target[i * lanes + lane] = call_.targets[sample * n + i];
      }
    }
    float scale[train_block_images] = {};
    std::fill_n(scale, run.count, static_cast<float>(loss_share()));
    LossArgs args = {t_.options_.loss, static_cast<int32_t>(classes), static_cast<int32_t>(positions),
                     t_.options_.label_smoothing};
    float losses[train_block_images];
    k_.train.loss(args, output, target, scale, losses, arena + program_->output_grad);
    // Of what is no probability it has no value, and PyTorch refuses it.
    for (int64_t i = 0; i < n && t_.options_.loss == Loss::binary_cross_entropy; ++i) {
      for (int lane = 0; lane < run.count; ++lane) {
        const float x = output[i * lanes + lane];
        if (!(x >= 0 && x <= 1)) losses[lane] = std::numeric_limits<float>::quiet_NaN();
      }
    }
    std::copy_n(losses, run.count, losses_.data() + run.first_image);
    for (int lane = 0; lane < run.count; ++lane) {
      for (int64_t p = 0; p < positions; ++p)
        correct_[static_cast<size_t>(run.block)] +=
            is_right(output + p * lanes + lane, target + p * lanes + lane, positions * lanes);
    }
  }

  // One position of one image: are the largest of n outputs and of n targets the same, or on the same side?
  bool is_right(const float* output, const float* target, int64_t step) const {
    const int64_t classes = t_.classes();
    if (classes == 1) {
      const bool logit = t_.options_.loss == Loss::binary_cross_entropy_with_logits;
      return (*output > (logit ? 0.0f : 0.5f)) == (*target > 0.5f);
    }
    int64_t best = 0, wanted = 0;
    for (int64_t i = 1; i < classes; ++i) {
      if (output[i * step] > output[best * step]) best = i;
      if (target[i * step] > target[wanted * step]) wanted = i;
    }
    return best == wanted;
  }

  // ---- phase 2: gradients, summed over the blocks

  void gradients(double& norm, double& clipped) {
    const float limit = t_.options_.clip_value > 0 ? static_cast<float>(t_.options_.clip_value)
                                                   : std::numeric_limits<float>::infinity();
    const bool both = t_.options_.clip_value > 0;
    raw_squares_.assign(t_.sums_, 0.0f);
    squares_.assign(t_.sums_, 0.0f);
    const auto work = [&](int index, int) {
      const Task& task = t_.tasks_[static_cast<size_t>(index)];
      const Parameter& p = t_.parameters_[task.parameter];
      float* const to = t_.gradients_.data() + p.offset;
      if (program_->trains) sum_gradient(task, p, to);
      const std::vector<uint8_t>& mask = t_.options_.parameters[task.parameter].mask;
      for (size_t i = task.begin; !mask.empty() && i < task.end; ++i)
        if (mask[i] == 0) to[i] = 0.0f;
      const float infinity = std::numeric_limits<float>::infinity();
      size_t sum = task.first_sum;
      for (size_t at = task.begin; at < task.end; at += task.row, ++sum) {
        raw_squares_[sum] = k_.train.square_sum(task.row, to + at, infinity);
        if (both) squares_[sum] = k_.train.square_sum(task.row, to + at, limit);
      }
    };
    const int tasks = static_cast<int>(t_.tasks_.size());
    if (examining_) {
      for (int i = 0; i < tasks; ++i) work(i, 0);
    } else {
      team_.each(tasks, work);
    }
    double raw = 0, cut = 0;
    for (float s : raw_squares_) raw += s;
    for (float s : both ? squares_ : raw_squares_) cut += s;
    norm = std::sqrt(raw);
    clipped = std::sqrt(cut);
  }

  void sum_gradient(const Task& task, const Parameter& p, float* to) {
    if (p.uses.size() == 1) return use_gradient(p.uses[0], task.begin, task.end, to + task.begin);
    // a parameter of several layers: one after another, in the order of the graph
    for (size_t i = 0; i < p.uses.size(); ++i) {
      use_gradient(p.uses[i], 0, p.length, i == 0 ? to : p.other.data());
      if (i > 0) k_.add(p.length, to, p.other.data(), to);
    }
  }

  void use_gradient(const Parameter::Use& use, size_t begin, size_t end, float* to) {
    const ParameterUse& what = use.bias ? t_.uses_.biases[use.node] : t_.uses_.weights[use.node];
    TrainStep* const step = step_of(*program_, what, use.bias, use.node);
    if (use.bias) return step->bias_gradient(batch_, to);
    const size_t row = static_cast<size_t>(step->row_length);
    step->weight_gradient(batch_, static_cast<int>(begin / row), static_cast<int>(end / row), to);
  }

  // ---- phase 3: weights

  bool update(double learning_rate, double norm) {
    const TrainerOptions& o = t_.options_;
    UpdateArgs args = UpdateArgs();
    args.kind = o.optimizer;
    args.weight_decay = static_cast<float>(o.weight_decay);
    args.clip_value =
        o.clip_value > 0 ? static_cast<float>(o.clip_value) : std::numeric_limits<float>::infinity();
    // torch.nn.utils.clip_grad_norm_
    args.scale = o.clip_norm > 0 ? static_cast<float>(std::min(1.0, o.clip_norm / (norm + 1e-6))) : 1.0f;
    args.momentum = static_cast<float>(o.momentum);
    args.dampening = static_cast<float>(o.dampening);
    args.nesterov = o.nesterov;
    args.has_momentum = o.momentum != 0;
    args.first = !t_.has_first_;
    args.beta1_rest = static_cast<float>(1 - o.beta1);
    args.beta2 = static_cast<float>(o.beta2);
    args.beta2_rest = static_cast<float>(1 - o.beta2);
    args.eps = static_cast<float>(o.eps);
    args.ema_decay = static_cast<float>(o.ema_decay);
    args.ema_rest = static_cast<float>(1 - o.ema_decay);
    std::vector<char> finite(t_.tasks_.size(), 1);
    const float* const weights = t_.weights_[t_.current_].data();
    float* const next = t_.weights_[1 - t_.current_].data();
    const auto work = [&](int index, int) {
      const Task& task = t_.tasks_[static_cast<size_t>(index)];
      const Parameter& p = t_.parameters_[task.parameter];
      const size_t at = p.offset + task.begin;
      const auto of = [&](const AlignedFloats& floats) {
        return floats.size() > 0 ? floats.data() + at : nullptr;
      };
      UpdateArgs mine = args;
      const double lr = learning_rate * o.parameters[task.parameter].lr_multiplier;
      mine.lr = static_cast<float>(lr);
      // Steps of its own, this one counted.
      const uint64_t since = o.parameters[task.parameter].since;
      const double t = static_cast<double>(t_.step_ + 1 - std::min(since, t_.step_));
      mine.first = args.first || t == 1;
      mine.root_correction = static_cast<float>(1 / std::sqrt(1 - power(o.beta2, t)));
      mine.step_size = static_cast<float>(lr / (1 - power(o.beta1, t)));
      finite[static_cast<size_t>(index)] = k_.train.update(
          mine, task.end - task.begin,
          {weights + at, t_.gradients_.data() + at, next + at, of(t_.first_), of(t_.second_), of(t_.ema_)});
      pack(task, p, next + p.offset);
    };
    team_.each(static_cast<int>(t_.tasks_.size()), work);
    for (size_t i = 0; i < finite.size(); ++i) {
      if (finite[i]) continue;
      report_->non_finite = "weight";
      report_->where = o.parameters[t_.tasks_[i].parameter].name;
      return false;
    }
    return true;
  }

  void pack(const Task& task, const Parameter& p, const float* weights) {
    for (const Parameter::Use& use : p.uses) {
      const ParameterUse& what = use.bias ? t_.uses_.biases[use.node] : t_.uses_.weights[use.node];
      TrainStep* const step = step_of(*t_.program_, what, use.bias, use.node);
      if (use.bias) {
        step->pack_bias(weights);
        continue;
      }
      const bool all = task.last_part < task.first_part;
      const int last = all ? static_cast<int>(step->parts.size()) - 2 : task.last_part;
      for (int part = task.first_part; part <= last; ++part) step->pack_weight(weights, part);
    }
  }

  // ---- looking at the values

  void examine_value(int node, const float* value, int count) {
    NodeSums& sums = sums_[static_cast<size_t>(node)];
    each_float(node, value, count, [&](float x) {
      sums.squares += static_cast<double>(x) * x;
      sums.zeros += x == 0.0f;
      sums.finite = sums.finite && std::isfinite(x);
    });
  }

  void examine_gradient(int node, const float* gradient, int count) {
    NodeSums& sums = sums_[static_cast<size_t>(node)];
    each_float(node, gradient, count, [&](float x) {
      sums.gradient_squares += static_cast<double>(x) * x;
      sums.gradient_finite = sums.gradient_finite && std::isfinite(x);
    });
  }

  template <class Body>
  void each_float(int node, const float* x, int count, Body body) {
    const int64_t n = t_.graph_.nodes[static_cast<size_t>(node)].shape.elements();
    for (int64_t i = 0; i < n; ++i) {
      for (int lane = 0; lane < count; ++lane) body(x[i * k_.lanes + lane]);
    }
  }

  void explain(double loss) {
    const auto found = [&](const char* what, const std::string& where) {
      report_->non_finite = what;
      report_->where = where;
    };
    const auto name = [&](const TrainProgram::Node& node) {
      return t_.graph_.nodes[static_cast<size_t>(node.index)].name;
    };
    for (const TrainProgram::Node& node : program_->nodes) {
      if (!sums_[static_cast<size_t>(node.stored_in)].finite)
        return found(node.index == 0 ? "input" : "value", name(node));
    }
    if (!std::isfinite(loss)) return found("loss", name(program_->nodes.back()));
    for (size_t i = program_->nodes.size(); i-- > 0;) {
      const TrainProgram::Node& node = program_->nodes[i];
      if (!sums_[static_cast<size_t>(node.stored_in)].gradient_finite) return found("gradient", name(node));
    }
    for (const Task& task : t_.tasks_) {
      for (size_t i = 0; i < (task.end - task.begin) / task.row; ++i) {
        if (!std::isfinite(raw_squares_[task.first_sum + i]))
          return found("gradient", t_.options_.parameters[task.parameter].name);
      }
    }
    found("gradient", "");
  }

  void fill_health() {
    report_->has_health = true;
    TrainHealth& health = report_->health;
    for (size_t i = 0; i < t_.options_.parameters.size(); ++i) {
      const Parameter& p = t_.parameters_[i];
      const float* const now = t_.weights_[t_.current_].data() + p.offset;
      const float* const next = t_.weights_[1 - t_.current_].data() + p.offset;
      TrainHealth::OfParameter of;
      of.weight_norm = std::sqrt(square_sum(now, p.length));
      if (p.trained) of.gradient_norm = std::sqrt(square_sum(t_.gradients_.data() + p.offset, p.length));
      double squares = 0;
      for (size_t j = 0; p.trained && call_.update && j < p.length; ++j) {
        const double d = static_cast<double>(next[j]) - now[j];
        squares += d * d;
      }
      of.update_norm = std::sqrt(squares);
      health.parameters.push_back(of);
    }
    for (const TrainProgram::Node& node : program_->nodes) {
      if (node.index == 0) continue;
      const NodeSums& sums = sums_[static_cast<size_t>(node.stored_in)];
      const Node& in_graph = t_.graph_.nodes[static_cast<size_t>(node.index)];
      const double values = static_cast<double>(in_graph.shape.elements()) * batch_;
      TrainHealth::OfNode of;
      of.name = in_graph.name;
      of.op = in_graph.op;
      of.rms = std::sqrt(sums.squares / values);
      of.gradient_norm = std::sqrt(sums.gradient_squares);
      of.zeros = static_cast<double>(sums.zeros) / values;
      health.nodes.push_back(of);
    }
  }

  Trainer& t_;
  const KernelTable& k_;
  const TrainCall& call_;
  TrainTeam& team_;
  TrainReport* report_ = nullptr;
  TrainProgram* program_ = nullptr;
  bool examining_ = false;
  int64_t first_ = 0;                         // sample of the step
  int batch_ = 0;                             // images of the step
  std::vector<Operands> operands_;            // of threads
  std::vector<float> losses_;                 // of images
  std::vector<uint32_t> correct_;             // of blocks
  std::vector<float> raw_squares_, squares_;  // of rows of parameters
  std::vector<NodeSums> sums_;                // of nodes
};

TrainReport Trainer::run(const TrainCall& call) {
  TrainReport report;
  struct Context {
    Trainer* trainer;
    const TrainCall* call;
    TrainReport* report;
    bool failed;
  } context{this, &call, &report, false};
  TrainTeam::run(
      threads_for(call.batch),
      [](void* p, TrainTeam& team) {
        Context& c = *static_cast<Context*>(p);
        try {
          Run(*c.trainer, *c.call, team).steps(*c.report);
        } catch (const std::bad_alloc&) {
          c.failed = true;
        }
      },
      &context);
  if (context.failed) throw std::bad_alloc();
  return report;
}

}  // namespace kernelet
