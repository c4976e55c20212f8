// Whether an image is computed sooner by a team of threads or by one alone.
//
// What it costs to bring threads together, and to pass values from one core's cache to another's, differs from machine to
// machine, on a virtual one from hour to hour: no constant knows it. Both ways give the same bits, so the first calls of
// a plan are timed in turns, some of one kind and some of the other, and again: soon at first, for the machine may have been
// busy, and every few hundred calls where they were found to be the same.
#pragma once

#include <atomic>
#include <cstdint>
#include <limits>

namespace kernelet {

// Calls may come from several threads at once: then their times mix, and at worst the slower way is taken for a while.
class TeamTrial {
 public:
  struct Way {
    bool team, timed;
  };

  // How to go about the next call.
  Way next() {
    uint32_t call = calls_.fetch_add(1, std::memory_order_relaxed);
    const uint32_t period = period_.load(std::memory_order_relaxed);
    if (call >= period) {
      const bool found = is_team();
      const bool same = found == found_.exchange(found, std::memory_order_relaxed);
      period_.store(!same ? shortest : period < longest ? 2 * period : longest, std::memory_order_relaxed);
      calls_.store(1, std::memory_order_relaxed);
      team_.store(unknown, std::memory_order_relaxed);
      one_.store(unknown, std::memory_order_relaxed);
      call = 0;
    }
    const float team = team_.load(std::memory_order_relaxed), one = one_.load(std::memory_order_relaxed);
    // Where one is far ahead after its first turn no more is to be learned.
    const bool is_clear = team > 1.25f * one || one > 1.25f * team;
    if (call < 2 * turn || (call < 4 * turn && !is_clear)) return {call / turn % 2 == 0, true};
    return {is_team(), false};
  }

  void took(bool team, double ns) {
    std::atomic<float>& best = team ? team_ : one_;
    if (ns < best.load(std::memory_order_relaxed))
      best.store(static_cast<float>(ns), std::memory_order_relaxed);
  }

 private:
  // Calls of one way, one after the other, since the first finds other threads asleep.
  static constexpr uint32_t turn = 3;
  // Calls from trial to trial: in the long run one in a hundred goes the slower way.
  static constexpr uint32_t shortest = 16, longest = 512;
  static constexpr float unknown = std::numeric_limits<float>::infinity();

  bool is_team() const {
    return team_.load(std::memory_order_relaxed) <= one_.load(std::memory_order_relaxed);
  }

  std::atomic<uint32_t> calls_{0};  // since the last trial began
  std::atomic<uint32_t> period_{shortest};
  std::atomic<bool> found_{true};  // by the trial before: a team
  // The shortest call of each way in nanoseconds.
  std::atomic<float> team_{unknown}, one_{unknown};
};

}  // namespace kernelet
