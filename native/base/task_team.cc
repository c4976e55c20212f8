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

// Turns of a few microseconds in all.
constexpr int patience = 100;

}  // namespace

void TaskTeam::run(int threads, void (*body)(void*, TaskTeam&), void* context) {
  TaskTeam team;
  if (threads > max_threads) threads = max_threads;  // (there may be more CPUs)
  team.body_ = body;
  team.body_context_ = context;
  team.threads_ = threads;
  for (int i = 0; i < threads; ++i) {
    team.seats_[i].taken.store(0, std::memory_order_relaxed);
    team.seats_[i].left.store(0, std::memory_order_relaxed);
    team.present_[i] = false;
  }
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

// A phase is taken once, and none before another that was.
bool TaskTeam::Seat::take(uint32_t phase) {
  uint32_t last = taken.load(std::memory_order_relaxed);
  return static_cast<int32_t>(phase - last) > 0 &&
         taken.compare_exchange_strong(last, phase, std::memory_order_acq_rel);
}

void TaskTeam::do_tasks(int seat, int thread) {
  if (tasks_ <= threads_) {
    if (seat < tasks_) work_(work_context_, index_, seat, thread);
    return;
  }
  for (int task = next_++; task < tasks_; task = next_++) work_(work_context_, index_, task, thread);
}

void TaskTeam::each(int tasks, Work work, void* context, int index) {
  if (threads_ == 1 || tasks == 1) {
    for (int task = 0; task < tasks; ++task) work(context, index, task, 0);
    return;
  }
  work_ = work;
  work_context_ = context;
  index_ = index;
  tasks_ = tasks;
  next_.store(0, std::memory_order_relaxed);
  const uint32_t phase = phase_.load(std::memory_order_relaxed) + 1;
  phase_.store(phase, std::memory_order_release);
  do_tasks(0, 0);
  for (int i = 1; i < threads_; ++i) {
    Seat& seat = seats_[i];
    const auto has_left = [&] { return seat.left.load(std::memory_order_acquire) == phase; };
    // Who was there is there again, usually: not to look whether it took its seat saves it a miss.
    for (int turn = 0; turn < patience && present_[i] && !has_left(); ++turn) relax_cpu();
    present_[i] = has_left() || !seat.take(phase);
    if (!present_[i]) do_tasks(i, 0);
    for (Spin spin; present_[i] && !has_left();) spin.wait();
  }
}

void TaskTeam::help(int thread) {
  Seat& seat = seats_[thread];
  uint32_t last = 0;
  for (Spin spin; !finished_.load(std::memory_order_acquire);) {
    const uint32_t phase = phase_.load(std::memory_order_acquire);
    if (phase == last) {
      spin.wait();
      continue;
    }
    last = phase;
    spin = Spin();
    if (!seat.take(phase)) continue;
    do_tasks(thread, thread);
    seat.left.store(phase, std::memory_order_release);
  }
}

}  // namespace kernelet
