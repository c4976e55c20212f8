#include "cpu.h"

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <initializer_list>
#include <limits>
#include <thread>

#if defined(__x86_64__) || defined(_M_X64)
#define KERNELET_X64 1
#if defined(_MSC_VER)
#include <intrin.h>
#else
#include <cpuid.h>
#endif
#endif
#if defined(__linux__)
#include <sched.h>
#endif

namespace kernelet {
namespace {

#if defined(KERNELET_X64)
struct Registers {
  uint32_t eax, ebx, ecx, edx;
};

Registers cpuid(uint32_t leaf, uint32_t subleaf) {
  Registers r = {0, 0, 0, 0};
#if defined(_MSC_VER)
  int all[4];
  __cpuidex(all, static_cast<int>(leaf), static_cast<int>(subleaf));
  memcpy(&r, all, sizeof r);
#else
  static const uint32_t last = __get_cpuid_max(0, nullptr);
  if (leaf <= last || leaf >= 0x80000000u) __cpuid_count(leaf, subleaf, r.eax, r.ebx, r.ecx, r.edx);
#endif
  return r;
}

// XCR0: the register files the operating system saves on a context switch. Only legal with OSXSAVE.
uint64_t xcr0() {
#if defined(_MSC_VER)
  return _xgetbv(0);
#else
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (static_cast<uint64_t>(high) << 32) | low;
#endif
}

bool has(uint32_t word, std::initializer_list<int> bits) {
  for (int bit : bits) {
    if (!(word >> bit & 1)) return false;
  }
  return true;
}
#endif

#if defined(__linux__)
// The smallest quota on the way from this process's cgroup up to the root (cgroup v2: "max 100000" or
// "150000 100000"; v1: two files).
double read_quota(const char* path) {
  double quota = std::numeric_limits<double>::infinity();
  if (FILE* f = std::fopen(path, "r")) {
    long long limit, period;
    if (std::fscanf(f, "%lld %lld", &limit, &period) == 2 && limit > 0 && period > 0) {
      quota = static_cast<double>(limit) / static_cast<double>(period);
    }
    std::fclose(f);
  }
  return quota;
}

long long read_number(const char* path) {
  long long value = -1;
  if (FILE* f = std::fopen(path, "r")) {
    if (std::fscanf(f, "%lld", &value) != 1) value = -1;
    std::fclose(f);
  }
  return value;
}
#endif

}  // namespace

// What CPUs say is asked once: under a virtual machine each question takes microseconds, as many as a step of a plan.
static uint32_t ask_features() {
#if defined(KERNELET_X64)
  uint32_t features = cpu_sse2;  // part of x86-64
  const Registers basic = cpuid(1, 0), extended = cpuid(7, 0);
  constexpr int fma = 12, osxsave = 27, avx = 28;
  if (!has(basic.ecx, {osxsave, avx})) return features;
  constexpr uint64_t ymm_state = 0x6, zmm_state = 0xe6;
  const uint64_t saved = xcr0();
  constexpr int avx2 = 5, avx512f = 16, avx512dq = 17, avx512bw = 30, avx512vl = 31, vnni = 11;
  if ((saved & ymm_state) != ymm_state || !has(basic.ecx, {fma}) || !has(extended.ebx, {avx2}))
    return features;
  features |= cpu_avx2_fma;
  if ((saved & zmm_state) != zmm_state || !has(extended.ebx, {avx512f, avx512dq, avx512bw, avx512vl}))
    return features;
  features |= cpu_avx512;
  if (has(extended.ecx, {vnni})) features |= cpu_avx512_vnni;
  return features;
#elif defined(__aarch64__) || defined(_M_ARM64)
  return cpu_neon;  // part of AArch64
#else
  return 0;
#endif
}

uint32_t cpu_features() {
  static const uint32_t features = ask_features();
  return features;
}

std::string cpu_name() {
#if defined(KERNELET_X64)
  char name[49] = {};
  if (cpuid(0x80000000u, 0).eax >= 0x80000004u) {
    for (uint32_t i = 0; i < 3; ++i) {
      const Registers r = cpuid(0x80000002u + i, 0);
      memcpy(name + 16 * i, &r, 16);
    }
  }
  std::string text(name);
  const size_t begin = text.find_first_not_of(' '), end = text.find_last_not_of(' ');
  return begin == std::string::npos ? "x86-64" : text.substr(begin, end - begin + 1);
#else
  return "arm64";
#endif
}

static double ask_narrow_share() {
#if defined(KERNELET_X64)
  const Registers vendor = cpuid(0, 0), version = cpuid(1, 0);
  constexpr uint32_t amd = 0x68747541;  // "Auth…"
  const uint32_t family = (version.eax >> 8 & 0xf) + (version.eax >> 20 & 0xff);
  constexpr uint32_t zen3_and_4 = 0x19;
  if (vendor.ebx == amd && family == zen3_and_4) return 1.0;
#endif
  return 0.5;
}

double narrow_share() {
  static const double share = ask_narrow_share();
  return share;
}

int cpu_affinity() {
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
#endif
  const unsigned n = std::thread::hardware_concurrency();
  return n > 0 ? static_cast<int>(n) : 1;
}

double cpu_quota() {
  double quota = std::numeric_limits<double>::infinity();
#if defined(__linux__)
  if (FILE* f = std::fopen("/proc/self/cgroup", "r")) {
    char line[512];
    while (std::fgets(line, sizeof line, f) != nullptr) {
      if (std::strncmp(line, "0::", 3) != 0) continue;
      std::string path(line + 3);
      while (!path.empty() && (path.back() == '\n' || path.back() == '/')) path.pop_back();
      for (;;) {
        const double here = read_quota(("/sys/fs/cgroup" + path + "/cpu.max").c_str());
        if (here < quota) quota = here;
        if (path.empty()) break;
        path.resize(path.rfind('/') == std::string::npos ? 0 : path.rfind('/'));
      }
    }
    std::fclose(f);
  }
  const long long limit = read_number("/sys/fs/cgroup/cpu/cpu.cfs_quota_us");
  const long long period = read_number("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
  if (limit > 0 && period > 0) {
    const double v1 = static_cast<double>(limit) / static_cast<double>(period);
    if (v1 < quota) quota = v1;
  }
#endif
  return quota;
}

}  // namespace kernelet
