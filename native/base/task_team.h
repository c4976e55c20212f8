// Threads that stay together for the length of a call: between its phases, some ten microseconds of work each,
// they spin instead of sleeping. They come from the pool, go back to it, and nobody waits for one that is late.
#pragma once

#include <atomic>
#include <cstdint>

namespace kernelet {

class TaskTeam {
 public:
  // Calls body(context, team) once, on some thread, with up to `threads` - 1 helpers ready; returns when it has
  // returned. `body` must not throw.
  static void run(int threads, void (*body)(void* context, TaskTeam& team), void* context);

  // Only from body: work(context, task, thread) for every task in [0, tasks), thread in [0, threads).
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
  void do_tasks(int thread);
  static void take_part(void* context, int part);

  void (*body_)(void*, TaskTeam&) = nullptr;
  void* body_context_ = nullptr;
  int threads_ = 1;
  std::atomic<int> arrived_{0};

  // Open or shut, the number of the phase, and how many helpers are inside: a helper enters only an open phase,
  // and a phase is changed only while it is shut and nobody is inside.
  static constexpr uint64_t open = uint64_t{1} << 63, one_phase = uint64_t{1} << 16, inside = one_phase - 1;
  alignas(64) std::atomic<uint64_t> gate_{0};
  std::atomic<bool> finished_{false};
  alignas(64) std::atomic<int> next_{0};
  void (*work_)(void*, int, int) = nullptr;
  void* work_context_ = nullptr;
  int tasks_ = 0;
};

}  // namespace kernelet
