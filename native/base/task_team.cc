#include "task_team.h"

#include <thread>

#include "spin.h"
#include "thread_pool.h"

namespace kernelet {
namespace {

// A wait of a few microseconds at most, usually: spin, but leave the CPU to others when there are more of them
// than CPUs.
class Spin {
 public:
  void wait() {
    if (++turns_ > 2000) return std::this_thread::yield();
    relax_cpu();
  }

 private:
  int turns_ = 0;
};

}  // namespace

void TaskTeam::run(int threads, void (*body)(void*, TaskTeam&), void* context) {
  TaskTeam team;
  team.body_ = body;
  team.body_context_ = context;
  team.threads_ = threads;
  parallel_for(threads, threads, take_part, &team);
}

// Whoever comes first does the body. The pool may give one thread several parts, or all: each comes for one after
// the other, and those after the body find it finished.
void TaskTeam::take_part(void* context, int) {
  TaskTeam& team = *static_cast<TaskTeam*>(context);
  const int thread = team.arrived_++;
  if (thread > 0) return team.help(thread);
  team.body_(team.body_context_, team);
  team.finished_.store(true, std::memory_order_release);
}

void TaskTeam::do_tasks(int thread) {
  for (int task = next_++; task < tasks_; task = next_++) work_(work_context_, task, thread);
}

void TaskTeam::each(int tasks, void (*work)(void*, int, int), void* context) {
  if (threads_ == 1 || tasks == 1) {
    for (int task = 0; task < tasks; ++task) work(context, task, 0);
    return;
  }
  work_ = work;
  work_context_ = context;
  tasks_ = tasks;
  next_.store(0, std::memory_order_relaxed);
  gate_.store(((gate_.load(std::memory_order_relaxed) + one_phase) & ~inside) | open,
              std::memory_order_release);
  do_tasks(0);
  gate_.fetch_and(~open, std::memory_order_acq_rel);
  for (Spin spin; (gate_.load(std::memory_order_acquire) & inside) != 0;) spin.wait();
}

void TaskTeam::help(int thread) {
  uint64_t last_phase = 0;
  for (Spin spin; !finished_.load(std::memory_order_acquire);) {
    uint64_t gate = gate_.load(std::memory_order_acquire);
    const uint64_t phase = gate & ~inside;
    if ((gate & open) == 0 || phase == last_phase ||
        !gate_.compare_exchange_weak(gate, gate + 1, std::memory_order_acq_rel)) {
      spin.wait();
      continue;
    }
    do_tasks(thread);
    last_phase = phase;
    gate_.fetch_sub(1, std::memory_order_acq_rel);
    spin = Spin();
  }
}

}  // namespace kernelet
