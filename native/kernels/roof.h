// The roof over every kernel, measured on this machine: floating-point operations and bytes a nanosecond.
#pragma once

#include <cstddef>

#include "table.h"

namespace kernelet {

// GFLOP/s of muladds that touch no memory, on `threads` threads together; the best of several bursts.
double measure_muladds(const KernelTable& kernels, int threads);

// GB/s of reading `bytes` again and again on this thread: of the cache they fit in, or of main memory.
double measure_reads(const KernelTable& kernels, size_t bytes);

}  // namespace kernelet
