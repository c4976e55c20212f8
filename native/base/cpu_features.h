// Instruction sets that a CPU has and its operating system saves, as bits. Plain C++, for kernels too: it is compiled
// under every tier's flags.
#pragma once

#include <stdint.h>

namespace kernelet {

enum CpuFeature : uint32_t {
  cpu_sse2 = 1u << 0,
  cpu_avx2_fma = 1u << 1,
  cpu_avx512 = 1u << 2,       // F, VL, DQ, BW
  cpu_avx512_vnni = 1u << 3,  // four bytes a lane
  cpu_neon = 1u << 4,
};

}  // namespace kernelet
