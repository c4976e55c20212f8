// What this machine offers: instruction sets the CPU has and the operating system saves, and how many CPUs
// this process may use.
#pragma once

#include <string>

#include "cpu_features.h"

namespace kernelet {

uint32_t cpu_features();  // of CpuFeature
std::string cpu_name();
// The share of the AVX-512 muladd peak that registers of 256 bits reach: 1 where the units are that wide.
double narrow_share();
// CPUs in this process's affinity mask.
int cpu_affinity();
// CPUs' worth of time the cgroup grants, infinity where there is no limit.
double cpu_quota();

}  // namespace kernelet
