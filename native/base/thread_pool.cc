#include "thread_pool.h"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <system_error>
#include <thread>

#if defined(_WIN32)
#include <condition_variable>
#include <mutex>
#else
#include <pthread.h>
#endif

#include "cpu.h"
#include "error.h"
#include "library.h"
#include "spin.h"

namespace kernelet {
namespace {

// pthread's own monitor where there is one: std::condition_variable::wait binds the binary to a recent
// libstdc++, and is made on it anyway.
class Monitor {
 public:
#if defined(_WIN32)
  void lock() { mutex_.lock(); }
  void unlock() { mutex_.unlock(); }
  void wait() { changed_.wait(mutex_); }
  void notify() { changed_.notify_all(); }

 private:
  std::mutex mutex_;
  std::condition_variable_any changed_;
#else
  void lock() { pthread_mutex_lock(&mutex_); }
  void unlock() { pthread_mutex_unlock(&mutex_); }
  void wait() { pthread_cond_wait(&changed_, &mutex_); }
  void notify() { pthread_cond_broadcast(&changed_); }

 private:
  pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;
  pthread_cond_t changed_ = PTHREAD_COND_INITIALIZER;
#endif
};

using Clock = std::chrono::steady_clock;

// How long a thread that has just worked stays awake for more: as long as waking it would take. Calls in a row then
// find it ready, and it sleeps between others.
constexpr std::chrono::microseconds awake{50};

template <class Condition>
bool spin_until(const Condition& condition) {
  const Clock::time_point end = Clock::now() + awake;
  do {
    for (int i = 0; i < 16; ++i) {
      if (condition()) return true;
      relax_cpu();
    }
  } while (Clock::now() < end);
  return false;
}

struct Job {
  void (*work)(void*, int);
  void* context;
  int parts;
  int helpers_wanted;
  std::atomic<int> helpers{0};  // inside run_parts; changed under the pool's monitor
  std::atomic<int> next{0};
  Job* following = nullptr;

  void run_parts() {
    for (int part = next++; part < parts; part = next++) work(context, part);
  }
};

class ThreadPool {
 public:
  // Never destroyed: its threads may be blocked in it while the process exits.
  static ThreadPool& instance() {
    static ThreadPool* const pool = new ThreadPool;
    return *pool;
  }

  void run(Job& job) {
    monitor_.lock();
    ensure_threads(job.helpers_wanted);
    job.following = first_;
    first_ = &job;
    ++posted_;
    monitor_.notify();
    monitor_.unlock();

    job.run_parts();

    monitor_.lock();
    for (Job** link = &first_; *link != nullptr; link = &(*link)->following) {
      if (*link == &job) {
        *link = job.following;
        break;
      }
    }
    if (job.helpers > 0 && spins_) {
      monitor_.unlock();
      spin_until([&] { return job.helpers == 0; });
      monitor_.lock();
    }
    while (job.helpers > 0) monitor_.wait();
    monitor_.unlock();
  }

 private:
  ThreadPool() { stay_loaded(); }

  void ensure_threads(int helpers) {
    while (threads_ < helpers) {
      try {
        std::thread([this] { help(); }).detach();
      } catch (const std::system_error&) {
        return;  // the caller does the work of the threads it could not get
      }
      ++threads_;
      spins_ = threads_ < usable_cpus();  // nobody else wants the CPU of one that waits
    }
  }

  Job* wanting_help() {
    for (Job* job = first_; job != nullptr; job = job->following) {
      if (job->helpers_wanted > 0 && job->next.load() < job->parts) return job;
    }
    return nullptr;
  }

  // For a job to be posted, or whatever else the monitor tells of.
  void wait(bool has_worked) {
    if (has_worked && spins_) {
      const unsigned seen = posted_;
      monitor_.unlock();
      const bool posted = spin_until([&] { return posted_ != seen; });
      monitor_.lock();
      if (posted || posted_ != seen) return;
    }
    monitor_.wait();
  }

  void help() {
    bool has_worked = false;
    monitor_.lock();
    for (;;) {
      Job* const job = wanting_help();
      if (job == nullptr) {
        wait(has_worked);
        has_worked = false;
        continue;
      }
      has_worked = true;
      --job->helpers_wanted;
      ++job->helpers;
      monitor_.unlock();
      job->run_parts();
      monitor_.lock();
      if (--job->helpers == 0) monitor_.notify();
    }
  }

  Monitor monitor_;  // one condition for helpers and callers: each looks for itself what changed
  Job* first_ = nullptr;
  std::atomic<unsigned> posted_{0};  // jobs so far; changed under the monitor
  int threads_ = 0;
  bool spins_ = false;
};

std::atomic<int> chosen_default{-1};

int count_cpus() {
  const int affinity = cpu_affinity();
  const double quota = cpu_quota();
  const int granted = quota < affinity ? static_cast<int>(quota) : affinity;
  return granted > 1 ? granted : 1;
}

}  // namespace

void parallel_for(int threads, int parts, void (*work)(void*, int), void* context) {
  if (threads > parts) threads = parts;
  if (threads <= 1) {
    for (int part = 0; part < parts; ++part) work(context, part);
    return;
  }
  Job job;
  job.work = work;
  job.context = context;
  job.parts = parts;
  job.helpers_wanted = threads - 1;
  ThreadPool::instance().run(job);
}

int default_threads() {
  const int chosen = chosen_default.load();
  if (chosen >= 0) return chosen;
  const char* text = std::getenv("KERNELET_THREADS");
  if (text == nullptr || *text == '\0') return 0;
  char* end = nullptr;
  const long count = std::strtol(text, &end, 10);
  if (*end != '\0' || count < 1 || count > max_threads) {
    fail("ERR_ARGUMENT",
         {"KERNELET_THREADS: expected a count from 1 to ", max_threads, " but received '", text, "'"});
  }
  return static_cast<int>(count);
}

void set_default_threads(int threads) { chosen_default.store(threads); }

int usable_cpus() {
  // read again every second: it takes longer than a small batch, and a quota may change
  static std::atomic<int64_t> read_at{0};
  static std::atomic<int> known{0};
  const int64_t now =
      std::chrono::duration_cast<std::chrono::seconds>(Clock::now().time_since_epoch()).count();
  if (known.load() > 0 && read_at.load() == now) return known.load();
  known.store(count_cpus());
  read_at.store(now);
  return known.load();
}

int threads_for(int asked, int64_t macs) {
  // A core does this in some seventy microseconds; waking another takes fifty, and a few where it is still awake.
  constexpr int64_t worth_waking = 4'000'000;
  int threads = asked > 0 ? asked : default_threads();
  if (threads == 0) threads = macs < worth_waking ? 1 : usable_cpus();
  return threads;
}

}  // namespace kernelet
