// Threads that stay together for the length of a call: between its phases, some ten microseconds of work each,
// they spin instead of sleeping. They come from the pool, go back to it, and nobody waits for one that is late.
#pragma once

#include <atomic>
#include <cstdint>

#include "thread_pool.h"

namespace kernelet {

class TaskTeam {
 public:
  // Calls body(context, team) once, on some thread, with up to `threads` - 1 helpers ready; returns when it has
  // returned. `body` must not throw.
  static void run(int threads, void (*body)(void* context, TaskTeam& team), void* context);

  using Work = void (*)(void* context, int index, int task, int thread);

  // Only from body: work(context, index, task, thread) for every task in [0, tasks), thread in [0, threads). Of no more
  // tasks than threads each has its own, time after time: what it wrote is in its cache. What changes from phase to phase
  // should be in `index`: whatever else the threads read comes out of another's cache, one line after the other.
  void each(int tasks, Work work, void* context, int index);

  // The same with a function object: work(task, thread).
  template <class Function>
  void each(int tasks, const Function& work) {
    each(
        tasks, [](void* w, int, int task, int thread) { (*static_cast<const Function*>(w))(task, thread); },
        const_cast<Function*>(&work), 0);
  }

 private:
  TaskTeam() = default;
  void help(int thread);
  void do_tasks(int seat, int thread);
  static void take_part(void* context, int part);

  // The last phase that a thread took part in, or another in its place, and the last one that it has left: of a phase
  // that it did not take, it touches nothing. On lines of their own: the first is the thread's alone, usually, and for the
  // second the others wait.
  struct Seat {
    alignas(64) std::atomic<uint32_t> taken;
    alignas(64) std::atomic<uint32_t> left;
    bool take(uint32_t phase);
  };

  void (*body_)(void*, TaskTeam&) = nullptr;
  void* body_context_ = nullptr;
  int threads_ = 1;
  std::atomic<int> arrived_{0};
  std::atomic<bool> finished_{false};

  alignas(64) std::atomic<uint32_t> phase_{0};
  int tasks_ = 0, index_ = 0;
  Work work_ = nullptr;
  void* work_context_ = nullptr;
  alignas(64) std::atomic<int> next_{0};
  // of those there are; whether they were there in the phase before, as far as the first one knows
  alignas(64) bool present_[max_threads];
  Seat seats_[max_threads];
};

}  // namespace kernelet
