// Running a plan; builder.cc makes it.
#include "plan.h"

#include <algorithm>
#include <chrono>

#include "base/task_team.h"
#include "base/thread_pool.h"

namespace kernelet {
namespace {

void run_steps(const Program& program, StepRun run, size_t end) {
  for (size_t i = 0; i < end; ++i) {
    const Program::Entry& entry = program.steps[i];
    run.sources = entry.sources.data();
    run.destination = entry.destination;
    entry.step->run(run);
  }
}

// The same by a team of threads, to whom only the number of a step and of its phase is passed on.
struct SharedRun {
  const Program* program;
  StepRun run;
  int parts;

  static constexpr int most_phases = 8;

  StepRun of(const Program::Entry& entry) const {
    StepRun mine = run;
    mine.sources = entry.sources.data();
    mine.destination = entry.destination;
    return mine;
  }
  static void work(void* context, int index, int part, int) {
    const SharedRun& shared = *static_cast<const SharedRun*>(context);
    const Program::Entry& entry = shared.program->steps[static_cast<size_t>(index / most_phases)];
    StepRun mine = shared.of(entry);
    entry.step->run_part(mine, index % most_phases, part, shared.parts);
  }
  void steps(TaskTeam& team) {
    for (size_t i = 0; i < program->steps.size(); ++i) {
      const Program::Entry& entry = program->steps[i];
      if (!entry.divided) {
        StepRun mine = of(entry);
        entry.step->run(mine);
        if (!mine.bounded) run.bounded = false;
        continue;
      }
      for (int phase = 0; phase < entry.step->phases(); ++phase)
        team.each(parts, work, this, static_cast<int>(i) * most_phases + phase);
    }
  }
};

}  // namespace

double steady_ns() {
  return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// A workspace for the length of a run.
class Plan::WorkspaceLease {
 public:
  explicit WorkspaceLease(const Plan& plan) : plan_(plan), workspace_(plan.idle_.exchange(nullptr)) {
    if (workspace_ != nullptr) return;
    {
      std::lock_guard<std::mutex> lock(plan.more_idle_mutex_);
      if (!plan.more_idle_.empty()) {
        workspace_ = plan.more_idle_.back().release();
        plan.more_idle_.pop_back();
        return;
      }
    }
    workspace_ = new Workspace(plan.workspace_floats_);
  }
  ~WorkspaceLease() {
    Workspace* nothing = nullptr;
    if (plan_.idle_.compare_exchange_strong(nothing, workspace_)) return;
    std::lock_guard<std::mutex> lock(plan_.more_idle_mutex_);
    plan_.more_idle_.emplace_back(workspace_);
  }
  WorkspaceLease(const WorkspaceLease&) = delete;
  WorkspaceLease& operator=(const WorkspaceLease&) = delete;

  float* data() const { return workspace_->data(); }

 private:
  const Plan& plan_;
  Workspace* workspace_;
};

Plan::Plan() = default;
Plan::~Plan() { delete idle_.load(); }

StepRun Plan::start(const Program& program, const float* input, float* output, float* arena) const {
  StepRun run = StepRun();
  run.bases[Location::input] = const_cast<float*>(input);  // as sources alone
  run.bases[Location::output] = output;
  run.bases[Location::arena] = arena;
  run.bases[Location::weights] = weights_->data();
  run.bases[Location::tail] = arena + program.tail_offset;
  run.scratch = arena + program.scratch_offset;
  run.bounded = true;
  return run;
}

const float* Plan::floats_of(Input input, int64_t count, float* arena) const {
  if (input.bytes == nullptr) return input.floats;
  float* const floats = arena + bytes_offset_;
  kernels_->from_bytes(static_cast<size_t>(count * input_length_), input.bytes, scale_, shift_, floats);
  return floats;
}

Plan::Images Plan::advanced(Images images, int64_t count) const {
  if (images.input.bytes != nullptr) {
    images.input.bytes += count * input_length_;
  } else {
    images.input.floats += count * input_length_;
  }
  images.output += count * output_length();
  return images;
}

void Plan::run_one(Images image, float* arena) const {
  run_steps(*single_, start(*single_, floats_of(image.input, 1, arena), image.output, arena),
            single_->steps.size());
}

// Up to Program::tail_images of them, to whose tails they go together.
void Plan::run_some(Images images, int count, float* arena) const {
  for (int i = 0; i < count; ++i) {
    const Images image = advanced(images, i);
    StepRun run = start(*single_, floats_of(image.input, 1, arena), image.output, arena);
    run.bases[Location::tail] += static_cast<size_t>(i) * single_->tail_floats;
    run_steps(*single_, run, single_->tail);
  }
  StepRun run = start(*single_, nullptr, images.output, arena);
  for (size_t i = single_->tail; i < single_->steps.size(); ++i) {
    const Program::Entry& entry = single_->steps[i];
    run.sources = entry.sources.data();
    run.destination = entry.destination;
    entry.step->run_images(run, count, single_->tail_floats, static_cast<size_t>(output_length()));
  }
}

// Image after image, each by all threads.
void Plan::run_divided(Images images, int64_t count, int threads) const {
  const WorkspaceLease arena(*this);
  struct Call {
    const Plan* plan;
    Images images;
    int64_t count;
    float* arena;
    int threads;
  } call{this, images, count, arena.data(), threads};
  TaskTeam::run(
      threads,
      [](void* context, TaskTeam& team) {
        const Call& c = *static_cast<Call*>(context);
        for (int64_t i = 0; i < c.count; ++i) {
          const Images at = c.plan->advanced(c.images, i);
          const float* const input = c.plan->floats_of(at.input, 1, c.arena);
          SharedRun{c.plan->single_.get(), c.plan->start(*c.plan->single_, input, at.output, c.arena),
                    c.threads}
              .steps(team);
        }
      },
      &call);
}

const float* Plan::interleave(Images images, int count, float* arena) const {
  const size_t n = static_cast<size_t>(input_length_);
  kernels_->interleave(n, count, floats_of(images.input, count, arena), n, arena + batched_->input_offset);
  return arena + batched_->output_offset;
}

void Plan::run_block(Images images, int count, float* arena) const {
  const float* const output = interleave(images, count, arena);
  run_steps(*batched_, start(*batched_, nullptr, nullptr, arena), batched_->steps.size());
  const size_t n = static_cast<size_t>(output_length());
  kernels_->deinterleave(n, count, output, images.output, n);
}

void Plan::run_images(Images images, int64_t count) const {
  const WorkspaceLease arena(*this);
  while (count > 0) {
    const bool block = batched_from_ > 0 && count >= batched_from_;
    const bool some = !block && count > 1 && single_->tail < single_->steps.size();
    const int64_t now = std::min<int64_t>(count, block ? kernels_->lanes : some ? Program::tail_images : 1);
    if (block) {
      run_block(images, static_cast<int>(now), arena.data());
    } else if (some) {
      run_some(images, static_cast<int>(now), arena.data());
    } else {
      run_one(images, arena.data());
    }
    images = advanced(images, now);
    count -= now;
  }
}

int Plan::threads_for(int64_t batch) const { return kernelet::threads_for(threads_, batch * macs_); }

void Plan::run(Input input, float* output, int64_t batch) const {
  if (batch == 1 && !divided_) return run_images({input, output}, 1);
  if (divided_) {
    const int team = std::min(threads_for(batch), parts_);
    // images for every thread need no barriers
    if (team > 1 && batch < team) {
      const TeamTrial::Way way = tries_ && batch == 1 ? trial_.next() : TeamTrial::Way{true, false};
      const double begin = way.timed ? steady_ns() : 0;
      if (way.team) {
        run_divided({input, output}, batch, team);
      } else {
        run_images({input, output}, batch);
      }
      if (way.timed) trial_.took(way.team, steady_ns() - begin);
      return;
    }
    if (batch == 1) return run_images({input, output}, 1);
  }
  struct Call {
    const Plan* plan;
    Images images;
    int64_t batch, block;  // images that stay together
    std::atomic<bool> failed;
  } call{this, {input, output}, batch, batched_from_ > 0 ? kernels_->lanes : 1, {false}};
  const int wanted = threads_for(batch);
  if (batched_from_ == 0 && single_->tail < single_->steps.size())
    call.block = std::max<int64_t>(1, std::min<int64_t>(Program::tail_images, (batch + wanted - 1) / wanted));
  const int64_t blocks = (batch + call.block - 1) / call.block;
  const int threads = static_cast<int>(std::min<int64_t>(wanted, blocks));
  if (threads <= 1) return run_images(call.images, batch);
  // Block after block, so that a thread that wakes late does fewer: which thread takes one cannot matter to the
  // result. A long batch goes in longer stretches.
  constexpr int64_t stretches = 64;  // a thread
  const int64_t parts = std::min(blocks, threads * stretches);
  call.block *= (blocks + parts - 1) / parts;
  parallel_for(
      threads, static_cast<int>((batch + call.block - 1) / call.block),
      [](void* context, int part) {
        Call& c = *static_cast<Call*>(context);
        const int64_t begin = part * c.block, count = std::min(c.block, c.batch - begin);
        try {
          c.plan->run_images(c.plan->advanced(c.images, begin), count);
        } catch (const std::bad_alloc&) {
          c.failed = true;
        }
      },
      &call);
  if (call.failed) throw std::bad_alloc();
}

std::vector<double> Plan::profile(Input input, float* output, int64_t batch, int iterations,
                                  Clock clock) const {
  const WorkspaceLease arena(*this);
  const size_t steps = single_->steps.size();
  const size_t times = static_cast<size_t>(iterations);
  std::vector<double> ns(steps * times);  // of each step one after the other
  const auto timed = [&](const Program& program, StepRun run, size_t iteration) {
    run.unfused = true;
    double before = clock();
    for (size_t i = 0; i < program.steps.size(); ++i) {
      run.sources = program.steps[i].sources.data();
      run.destination = program.steps[i].destination;
      program.steps[i].step->run(run);
      const double after = clock();
      const size_t step = &program == single_.get() ? i : program.steps[i].described;
      ns[step * times + iteration] += after - before;
      before = after;
    }
  };
  for (size_t iteration = 0; iteration < times; ++iteration) {
    for (int64_t image = 0; image < batch;) {
      const Images at = advanced({input, output}, image);
      const int64_t left = batch - image;
      if (batched_from_ == 0 || left < batched_from_) {
        timed(*single_, start(*single_, floats_of(at.input, 1, arena.data()), at.output, arena.data()),
              iteration);
        ++image;
        continue;
      }
      const int64_t now = std::min<int64_t>(left, kernels_->lanes);
      interleave(at, static_cast<int>(now), arena.data());
      timed(*batched_, start(*batched_, nullptr, nullptr, arena.data()), iteration);
      image += now;
    }
  }
  std::vector<double> medians(steps);
  for (size_t i = 0; i < steps; ++i) {
    double* const first = ns.data() + i * times;
    std::nth_element(first, first + times / 2, first + times);
    medians[i] = first[times / 2];
  }
  return medians;
}

}  // namespace kernelet
