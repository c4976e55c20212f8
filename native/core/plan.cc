// Running a plan; plan_builder.cc makes it.
#include "plan.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "step.h"
#include "thread_pool.h"

namespace kernelet {
namespace {

// Below this much work in a call a second thread costs more than it brings (a wake-up takes some ten
// microseconds, a core does about 20 MMAC in a hundred).
constexpr int64_t threading_threshold_macs = 4'000'000;

double now_ns() {
  return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now().time_since_epoch()).count();
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

void Plan::run_step(const Step& step, const float* input, float* output, float* arena) const {
  const auto src = [&](size_t i) -> const float* {
    const Location& at = step.src[i];
    switch (at.kind) {
      case Location::input: return input;
      case Location::output: return output;
      case Location::weights: return weights_.data() + at.offset;
      case Location::arena: break;
    }
    return arena + at.offset;
  };
  float* const dst = step.dst.kind == Location::output ? output : arena + step.dst.offset;
  const KernelTable& k = *kernels_;
  switch (step.op) {
    case Op::conv2d: k.conv(step.conv, src(0), dst, arena + scratch_offset_); break;
    case Op::linear: k.linear(step.linear, src(0), dst); break;
    case Op::max_pool2d: k.max_pool(step.pool, src(0), dst); break;
    case Op::avg_pool2d: k.avg_pool(step.pool, src(0), dst); break;
    case Op::relu:
    case Op::tanh:
    case Op::sigmoid: k.activate(step.activation, step.elements, src(0), dst); break;
    case Op::softmax:
    case Op::log_softmax: k.softmax(step.softmax, src(0), dst); break;
    case Op::add: k.add(step.elements, src(0), src(1), dst); break;
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
    case Op::flatten: std::memcpy(dst, src(0), step.elements * sizeof(float)); break;
    case Op::input:
    case Op::constant: break;
  }
}

void Plan::run_images(const float* input, float* output, int64_t begin, int64_t end) const {
  const WorkspaceLease arena(*this);
  const int64_t out_length = output_length();
  for (int64_t image = begin; image < end; ++image) {
    for (const Step& step : steps_) {
      run_step(step, input + image * input_length_, output + image * out_length, arena.data());
    }
  }
}

int Plan::threads_for(int64_t batch) const {
  int threads = threads_ > 0 ? threads_ : default_threads();
  if (threads == 0) threads = batch * macs_ < threading_threshold_macs ? 1 : usable_cpus();
  return batch < threads ? static_cast<int>(batch) : threads;
}

void Plan::run(const float* input, float* output, int64_t batch) const {
  if (batch == 1) return run_images(input, output, 0, 1);
  struct Call {
    const Plan* plan;
    const float* input;
    float* output;
    int64_t batch;
    int parts;
    std::atomic<bool> failed{false};
  } call{this, input, output, batch, threads_for(batch)};
  if (call.parts <= 1) return run_images(input, output, 0, batch);
  // A part an image range each, in order: which thread takes it cannot matter to the result.
  parallel_for(
      call.parts, call.parts,
      [](void* context, int part) {
        Call& c = *static_cast<Call*>(context);
        try {
          c.plan->run_images(c.input, c.output, c.batch * part / c.parts, c.batch * (part + 1) / c.parts);
        } catch (const std::bad_alloc&) {
          c.failed = true;
        }
      },
      &call);
  if (call.failed) throw std::bad_alloc();
}

std::vector<double> Plan::profile(const float* input, float* output, int64_t batch, int iterations) const {
  const WorkspaceLease arena(*this);
  const int64_t out_length = output_length();
  std::vector<std::vector<double>> ns(steps_.size(), std::vector<double>(static_cast<size_t>(iterations), 0.0));
  for (int iteration = 0; iteration < iterations; ++iteration) {
    for (int64_t image = 0; image < batch; ++image) {
      double before = now_ns();
      for (size_t i = 0; i < steps_.size(); ++i) {
        run_step(steps_[i], input + image * input_length_, output + image * out_length, arena.data());
        const double after = now_ns();
        ns[i][static_cast<size_t>(iteration)] += after - before;
        before = after;
      }
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
