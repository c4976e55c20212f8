// Whether an image is computed sooner by a team of threads or by one alone.
//
// What it costs to bring threads together, and to pass values from one core's cache to another's, differs from machine to
// machine, on a virtual one from hour to hour: no constant knows it. Both ways give the same bits, so the first calls of
// a plan are timed in turns, some of one kind and some of the other, and again every few hundred.
#pragma once

#include <algorithm>
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
    if (call >= period_.load(std::memory_order_relaxed)) {
      calls_.store(1, std::memory_order_relaxed);
      call = 0;
    }
    if (call == 0) {
      for (std::atomic<double>& best : best_) best.store(unknown, std::memory_order_relaxed);
    }
    // Where one is far ahead after its first turn no more is to be learned.
    const bool open = call < 2 * turn || (call < 4 * turn && !is_clear());
    if (!open) return {is_team(), false};
    return {call / turn % 2 == 0, true};
  }

  void took(bool team, double ns) {
    std::atomic<double>& best = best_[team ? 0 : 1];
    best.store(std::min(best.load(std::memory_order_relaxed), ns), std::memory_order_relaxed);
    const bool is_short = std::min(of_team(), of_one()) < 1e6;
    period_.store(is_short ? 1024 : 256, std::memory_order_relaxed);
  }

 private:
  // Calls of one way, one after the other, since the first finds other threads asleep.
  static constexpr uint32_t turn = 3;
  static constexpr double unknown = std::numeric_limits<double>::infinity();

  double of_team() const { return best_[0].load(std::memory_order_relaxed); }
  double of_one() const { return best_[1].load(std::memory_order_relaxed); }
  bool is_team() const { return of_team() <= of_one(); }
  bool is_clear() const { return std::max(of_team(), of_one()) > 1.25 * std::min(of_team(), of_one()); }

  // Since the last trial began; and until the next one: the slower way is to cost a hundredth of the time at most, and of
  // short calls less than one in a hundred.
  std::atomic<uint32_t> calls_{0}, period_{1024};
  std::atomic<double> best_[2] = {{unknown}, {unknown}};
};

}  // namespace kernelet
