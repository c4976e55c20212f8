#include "roof.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "base/aligned.h"
#include "base/thread_pool.h"

namespace kernelet {
namespace {

constexpr int bursts = 60, long_bursts = 9;
constexpr double burst_ns = 5e5;

template <typename Body>
double ns_of(Body&& body) {
  const auto start = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start).count();
}

// The best work / ns of `count` bursts: short ones, some of which nothing else on the CPU comes between.
// burst(repeats) does the work and returns how much it was.
template <typename Burst>
double best_rate(Burst&& burst, int count = bursts, double length = burst_ns) {
  double work = 0;
  const auto shortest = [&](int64_t repeats) {
    double least = 1e18;
    for (int i = 0; i < 3; ++i) least = std::min(least, ns_of([&] { work = burst(repeats); }));
    return std::max(least, 1.0);
  };
  int64_t repeats = 1;
  double ns = shortest(repeats);
  while (ns < length / 8 && repeats < (int64_t{1} << 40)) ns = shortest(repeats *= 4);
  repeats = std::max<int64_t>(1, static_cast<int64_t>(static_cast<double>(repeats) * length / ns));
  if (repeats == 1) count = std::min(count, long_bursts);
  double best = 0;
  for (int i = 0; i < count; ++i) {
    ns = ns_of([&] { work = burst(repeats); });
    best = std::max(best, work / std::max(ns, 1.0));
  }
  return best;
}

}  // namespace

double measure_muladds(const KernelTable& kernels, int threads) {
  struct Call {
    const KernelTable& kernels;
    int64_t rounds;
    std::vector<int64_t> done;
  } call{kernels, 0, std::vector<int64_t>(static_cast<size_t>(threads))};
  const auto burst = [&](int64_t repeats) {
    call.rounds = 64 * repeats;
    parallel_for(
        threads, threads,
        [](void* context, int part) {
          Call& c = *static_cast<Call*>(context);
          c.done[static_cast<size_t>(part)] = c.kernels.muladds(c.rounds);
        },
        &call);
    double flops = 0;
    for (int64_t done : call.done) flops += static_cast<double>(done);
    return flops;
  };
  // Long bursts, so that the system finds a CPU for each thread: at first it may keep two on one.
  return threads > 1 ? best_rate(burst, long_bursts, 3e7) : best_rate(burst);
}

double measure_reads(const KernelTable& kernels, size_t bytes) {
  const AlignedFloats data(bytes / sizeof(float));
  std::fill(data.data(), data.data() + data.size(), 1.0f);
  return best_rate([&](int64_t repeats) {
    double floats = 0;
    for (int64_t i = 0; i < repeats; ++i)
      floats += static_cast<double>(kernels.read(data.size(), data.data()));
    return floats * sizeof(float);
  });
}

}  // namespace kernelet
