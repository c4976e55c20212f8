#include "thread_pool.h"

#include <atomic>
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

struct Job {
  void (*work)(void*, int);
  void* context;
  int parts;
  int helpers_wanted;
  int helpers = 0;  // inside run_parts, guarded by the pool's monitor
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
    while (job.helpers > 0) monitor_.wait();
    monitor_.unlock();
  }

 private:
  void ensure_threads(int helpers) {
    while (threads_ < helpers) {
      try {
        std::thread([this] { help(); }).detach();
      } catch (const std::system_error&) {
        return;  // the caller does the work of the threads it could not get
      }
      ++threads_;
    }
  }

  Job* wanting_help() {
    for (Job* job = first_; job != nullptr; job = job->following) {
      if (job->helpers_wanted > 0 && job->next.load() < job->parts) return job;
    }
    return nullptr;
  }

  void help() {
    monitor_.lock();
    for (;;) {
      Job* const job = wanting_help();
      if (job == nullptr) {
        monitor_.wait();
        continue;
      }
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
  int threads_ = 0;
};

std::atomic<int> chosen_default{-1};

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
  const int affinity = cpu_affinity();
  const double quota = cpu_quota();
  const int granted = quota < affinity ? static_cast<int>(quota) : affinity;
  return granted > 1 ? granted : 1;
}

}  // namespace kernelet
