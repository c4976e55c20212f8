// Threads that block while there is nothing to do, but for the first moments after work. One pool a process: plans
// and worker_threads share it, so their sum never exceeds what the machine has.
#pragma once

#include <cstdint>

namespace kernelet {

// Calls work(context, part) for every part in [0, parts), on this thread and up to `threads` - 1 others;
// returns when all parts are done. `work` must not throw.
void parallel_for(int threads, int parts, void (*work)(void* context, int part), void* context);

// What a plan gets that does not say: set by set_default_threads, else by KERNELET_THREADS, else 0 = chosen
// by the amount of work. Throws ERR_ARGUMENT where KERNELET_THREADS is not a count from 1 to max_threads.
int default_threads();
void set_default_threads(int threads);
// CPUs this process may use: affinity cut by the cgroup quota, at least 1. Looked up once a second.
int usable_cpus();

constexpr int max_threads = 256;

// Threads for a call of so much work: as many as were asked for, or 1 where waking others takes longer than the work.
int threads_for(int asked, int64_t macs);

}  // namespace kernelet
