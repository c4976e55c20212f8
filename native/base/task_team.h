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

  // Only from body: work(context, task, thread) for every task in [0, tasks), thread in [0, threads). Of no more tasks than
  // threads each has its own, time after time: what it wrote is in its cache.
  void each(int tasks, void (*work)(void* context, int task, int thread), void* context);

  template <class Work>
  void each(int tasks, const Work& work) {
    each(
        tasks, [](void* w, int task, int thread) { (*static_cast<const Work*>(w))(task, thread); },
        const_cast<Work*>(&work));
  }

 private:
  TaskTeam() = default;
  void help(int thread);
  void do_tasks(int seat, int thread);
  static void take_part(void* context, int part);

  // The last phase that a thread took part in, or another in its place, and the last one that it has left: of a phase
  // that it did not take, it touches nothing. On a line of its own: that the others write, it waits for.
  struct alignas(64) Seat {
    std::atomic<uint32_t> taken, left;
    bool take(uint32_t phase);
  };

  void (*body_)(void*, TaskTeam&) = nullptr;
  void* body_context_ = nullptr;
  int threads_ = 1;
  std::atomic<int> arrived_{0};
  std::atomic<bool> finished_{false};

  alignas(64) std::atomic<uint32_t> phase_{0};
  int tasks_ = 0;
  void (*work_)(void*, int, int) = nullptr;
  void* work_context_ = nullptr;
  alignas(64) std::atomic<int> next_{0};
  Seat seats_[max_threads];  // of those there are
};

}  // namespace kernelet
