// Running a plan; plan_builder.cc makes it.
#include "plan.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "base/thread_pool.h"
#include "step.h"

namespace kernelet {
namespace {

// Below this much work a call stays on its thread. A core does it in some seventy microseconds; waking another takes
// fifty, and a few where it is still awake.
constexpr int64_t threading_threshold_macs = 4'000'000;

double now_ns() {
  return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace

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

void Plan::run_conv(const Step& step, const float* src, float* dst, float* scratch, Course& course) const {
  const ConvArgs& a = step.conv;
  const auto run = [&] {
    if (course.tame && !course.apart) return step.conv_algorithm->run(a, src, dst, scratch);
    ConvArgs other = a;
    if (!course.tame && !step.int8) other.no_nan = false;
    if (course.apart) other.pieces = nullptr;
    step.conv_algorithm->run(other, src, dst, scratch);
  };
  run();
  if (step.looked_at == 0 || !course.tame) return;
  // looked at afterwards, when the first-level cache has it; once more where it could not be trusted
  course.tame = kernels_->is_tame(step.looked_at, src);
  if (!course.tame) run();
}

void Plan::run_layer(const Step& step, const float* src, float* dst, float* scratch, Course& course) const {
  float* sums = dst;
  const Int8Ends* const ends = step.int8.get();
  if (ends != nullptr) {
    if (ends->before != nullptr) {
      ends->before(ends->in, src, scratch + ends->bytes);
      src = scratch + ends->bytes;
    }
    if (!ends->sums_in_place) sums = scratch + ends->sums;
    scratch += ends->scratch;
  }
  if (step.op == Op::conv2d) {
    run_conv(step, src, sums, scratch, course);
  } else if (step.taken_along && !course.apart) {
    step.linear_algorithm->finish(step.linear, scratch + step.sums, sums);
  } else {
    step.linear_algorithm->run(step.linear, src, sums);
  }
  if (ends != nullptr) ends->after(ends->out, sums, dst);
}

void Plan::run_step(const Program& program, const Step& step, Images at, float* arena, Course& course) const {
  const auto src = [&](size_t i) -> const float* {
    const Location& from = step.src[i];
    switch (from.kind) {
      case Location::input: return at.input.floats;
      case Location::output: return at.output;
      case Location::weights: return weights_.data() + from.offset;
      case Location::arena: break;
    }
    return arena + from.offset;
  };
  float* const dst = step.dst.kind == Location::output ? at.output : arena + step.dst.offset;
  const KernelTable& k = *kernels_;
  switch (step.op) {
    case Op::conv2d:
    case Op::linear: run_layer(step, src(0), dst, arena + program.scratch_offset, course); break;
    case Op::max_pool2d: step.pool_algorithm->max(step.pool, src(0), dst); break;
    case Op::avg_pool2d: step.pool_algorithm->average(step.pool, src(0), dst); break;
    case Op::adaptive_avg_pool2d: step.pool_algorithm->adaptive(step.pool, Pool::average, src(0), dst); break;
    case Op::adaptive_max_pool2d: step.pool_algorithm->adaptive(step.pool, Pool::max, src(0), dst); break;
    case Op::softmax:
    case Op::log_softmax: k.softmax(step.softmax, src(0), dst); break;
    case Op::add:
    case Op::sub:
    case Op::mul:
    case Op::div:
    case Op::prelu:
    case Op::batch_norm: k.binary(step.binary, src(0), src(1), src(step.src.size() - 1), dst); break;
    case Op::permute:
    case Op::slice:
    case Op::pad: strided_copy(step.copy, step.elements, src(0), dst); break;
    case Op::concat: {
      float* to = dst;
      for (size_t row = 0; row < step.outer; ++row) {
        for (size_t i = 0; i < step.src.size(); ++i) {
          std::memcpy(to, src(i) + row * step.lengths[i], step.lengths[i] * sizeof(float));
          to += step.lengths[i];
        }
      }
      break;
    }
    case Op::flatten:
    case Op::reshape: std::memcpy(dst, src(0), step.elements * sizeof(float)); break;
    case Op::input:
    case Op::constant:
    case Op::dropout: break;
    default: k.activate(step.activation, step.elements, src(0), dst); break;
  }
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
  image.input = floats_of(image.input, 1, arena);
  Course course = {false};
  for (const Step& step : single_->steps) run_step(*single_, step, image, arena, course);
}

void Plan::run_block(Images images, int count, float* arena) const {
  const size_t in = static_cast<size_t>(input_length_), out = static_cast<size_t>(output_length());
  const Images block = {arena + lanes_->input_offset, arena + lanes_->output_offset};
  kernels_->interleave(in, count, floats_of(images.input, count, arena), in, arena + lanes_->input_offset);
  Course course = {false};
  for (const Step& step : lanes_->steps) run_step(*lanes_, step, block, arena, course);
  kernels_->deinterleave(out, count, block.output, images.output, out);
}

void Plan::run_images(Images images, int64_t count) const {
  const WorkspaceLease arena(*this);
  while (count > 0) {
    const bool block = lanes_threshold_ > 0 && count >= lanes_threshold_;
    const int64_t now = block ? std::min<int64_t>(count, kernels_->lanes) : 1;
    if (block) {
      run_block(images, static_cast<int>(now), arena.data());
    } else {
      run_one(images, arena.data());
    }
    images = advanced(images, now);
    count -= now;
  }
}

int Plan::threads_for(int64_t batch) const {
  int threads = threads_ > 0 ? threads_ : default_threads();
  if (threads == 0) threads = batch * macs_ < threading_threshold_macs ? 1 : usable_cpus();
  return threads;
}

void Plan::run(Input input, float* output, int64_t batch) const {
  if (batch == 1) return run_images({input, output}, 1);
  struct Call {
    const Plan* plan;
    Images images;
    int64_t batch, block;  // images that stay together
    std::atomic<bool> failed;
  } call{this, {input, output}, batch, lanes_threshold_ > 0 ? kernels_->lanes : 1, {false}};
  const int64_t blocks = (batch + call.block - 1) / call.block;
  const int threads = static_cast<int>(std::min<int64_t>(threads_for(batch), blocks));
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

std::vector<double> Plan::profile(Input input, float* output, int64_t batch, int iterations) const {
  const WorkspaceLease arena(*this);
  const size_t steps = single_->steps.size();
  std::vector<std::vector<double>> ns(steps, std::vector<double>(static_cast<size_t>(iterations), 0.0));
  const auto timed = [&](const Program& program, Images at, size_t iteration) {
    Course course = {true};
    double before = now_ns();
    for (size_t i = 0; i < steps; ++i) {
      run_step(program, program.steps[i], at, arena.data(), course);
      const double after = now_ns();
      ns[i][iteration] += after - before;
      before = after;
    }
  };
  for (size_t iteration = 0; iteration < static_cast<size_t>(iterations); ++iteration) {
    for (int64_t image = 0; image < batch;) {
      Images at = advanced({input, output}, image);
      const int64_t left = batch - image;
      if (lanes_threshold_ == 0 || left < lanes_threshold_) {
        at.input = floats_of(at.input, 1, arena.data());
        timed(*single_, at, iteration);
        ++image;
        continue;
      }
      const int64_t now = std::min<int64_t>(left, kernels_->lanes);
      const Images block = {arena.data() + lanes_->input_offset, arena.data() + lanes_->output_offset};
      const size_t in = static_cast<size_t>(input_length_);
      kernels_->interleave(in, static_cast<int>(now), floats_of(at.input, now, arena.data()), in,
                           arena.data() + lanes_->input_offset);
      timed(*lanes_, block, iteration);
      image += now;
    }
  }
  std::vector<double> medians;
  for (std::vector<double>& all : ns) {
    std::nth_element(all.begin(), all.begin() + iterations / 2, all.end());
    medians.push_back(all[static_cast<size_t>(iterations) / 2]);
  }
  return medians;
}

}  // namespace kernelet
