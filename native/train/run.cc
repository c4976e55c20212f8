#include "run.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace kernelet {

void TrainRun::steps(TrainReport& report) {
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

bool TrainRun::one_step(double learning_rate, bool health) {
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
      const Trainer::Parameter& p = t_.parameters_[i];
      std::memcpy(next + p.offset, now + p.offset, p.length * sizeof(float));
    }
    for (const auto& step : program_->steps) step->move_statistics(next);
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

void TrainRun::forward_and_backward(double& loss) {
  program_ = examining_ ? &t_.plain() : t_.program_.get();
  const int threads = examining_ ? 1 : t_.threads_of(call_.batch);
  const bool single = program_->segments.size() == 2;
  const size_t arenas = single ? static_cast<size_t>(threads) : static_cast<size_t>(blocks() * parts());
  const size_t floats = AlignedFloats::round_up(program_->arena_floats) + preparation_floats();
  if (t_.arenas_.size() < arenas) t_.arenas_.resize(arenas);
  for (AlignedFloats& arena : t_.arenas_) {
    if (arena.size() < floats) arena = AlignedFloats(floats);
  }
  for (const auto& step : program_->steps) step->reserve(batch_, threads);
  losses_.assign(static_cast<size_t>(blocks() * train_block_images), 0.0f);
  correct_.assign(static_cast<size_t>(blocks()), 0);
  if (t_.options_.input_gradient) t_.input_gradient_.resize(static_cast<size_t>(batch_ * t_.input_length_));
  sums_.assign(examining_ ? t_.graph_.nodes.size() : 0, NodeSums());
  for (size_t segment = 0; segment + 1 < program_->segments.size(); ++segment) {
    const size_t begin = program_->segments[segment], end = program_->segments[segment + 1];
    const TrainInstruction& first = program_->instructions[begin];
    if (first.round > 0) {
      first.step->batch_barrier(first.kind == TrainInstruction::backward, first.round, batch_);
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

size_t TrainRun::preparation_floats() const {
  const size_t image = AlignedFloats::round_up(static_cast<size_t>(t_.input_length_));
  const size_t scratch = t_.options_.preparation ? t_.options_.preparation->scratch_floats() + image : 0;
  const size_t input = AlignedFloats::round_up(static_cast<size_t>(k_.lanes * t_.input_length_));
  const size_t target = AlignedFloats::round_up(static_cast<size_t>(k_.lanes * t_.output_length_));
  return std::max(input, target) + scratch;
}

void TrainRun::run_part(size_t begin, size_t end, int block, int part, int thread, float* arena) {
  BlockRun run = BlockRun();
  run.bases[Location::arena] = arena;
  run.bases[Location::weights] = program_->constants.data();
  run.scratch = arena + program_->scratch;
  run.thread = thread;
  run.block = block;
  run.part = part;
  run.first_image = block * train_block_images + part * k_.lanes;
  run.count = std::max(0, std::min(k_.lanes, batch_ - run.first_image));
  run.batch = batch_;
  run.seed = t_.options_.seed;
  run.step = t_.step_;
  run.parameters = t_.weights_[t_.current_].data();
  for (size_t i = begin; i < end; ++i) {
    const TrainInstruction& now = program_->instructions[i];
    if (run.count > 0) run_instruction(now, run, arena);
    else if (now.kind == TrainInstruction::backward) now.step->absent(run);
  }
  if (end < program_->instructions.size() || program_->input_grad == TrainInstruction::none || run.count == 0)
    return;
  if (examining_) examine_gradient(0, arena + program_->input_grad, run.count);
  const size_t n = static_cast<size_t>(t_.input_length_);
  k_.deinterleave(n, run.count, arena + program_->input_grad,
                  t_.input_gradient_.data() + run.first_image * t_.input_length_, n);
}

void TrainRun::run_instruction(const TrainInstruction& now, BlockRun& run, float* arena) {
  const auto place = [&](const Location& at) { return run.bases[at.kind] + at.offset; };
  if (now.kind == TrainInstruction::loss) return find_loss(run, place(program_->output), arena);
  if (now.kind == TrainInstruction::prepare) {
    prepare(run, place(program_->input), arena);
    if (examining_) examine_value(0, place(program_->input), run.count);
    return;
  }
  run.sources = now.sources.data();
  run.destination = now.destination;
  run.src_grads = now.src_grads.data();
  run.saved = arena + now.saved;
  run.grad = now.has_grad ? arena + now.grad : nullptr;
  if (now.kind == TrainInstruction::forward) {
    now.step->forward(run, now.round);
    if (examining_ && now.round + 1 == now.step->forward_rounds)
      examine_value(now.node, run.dst(), run.count);
    return;
  }
  if (examining_ && now.round == 0) examine_gradient(now.node, run.grad, run.count);
  now.step->backward(run, now.round);
  for (const TrainInstruction::Addition& a : now.additions)
    k_.add(a.floats, arena + a.to, arena + a.from, arena + a.to);
}

void TrainRun::prepare(const BlockRun& run, float* input, float* arena) {
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

}  // namespace kernelet
