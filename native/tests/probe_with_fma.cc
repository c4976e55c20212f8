// Only C headers in here: on x86-64 this file is compiled for AVX2, and shares no inline function with the rest.
#define KERNELET_ISA probe_with_fma
#if defined(__aarch64__) || defined(_M_ARM64)
#define KERNELET_VEC neon
#else
#define KERNELET_VEC avx2
#if defined(__clang__)
#include <immintrin.h>
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#elif defined(__GNUC__)
#pragma GCC target("avx2,fma")
#endif
#endif
#include "kernels/activation.h"
#include "probe.h"

namespace kernelet {
namespace test {

void exp_with_fma(const float* src, float* dst, size_t n) {
  (void)&probe_with_fma::activate;
  constexpr int lanes = probe_with_fma::lanes;
  for (size_t i = 0; i < n; i += lanes) {
    const int count = n - i < lanes ? static_cast<int>(n - i) : lanes;
    using F32 = probe_with_fma::F32;
    F32::store_first(dst + i, probe_with_fma::exp(F32::load_first(src + i, count)), count);
  }
}

void log_with_fma(const float* src, float* dst, size_t n) {
  constexpr int lanes = probe_with_fma::lanes;
  for (size_t i = 0; i < n; i += lanes) {
    const int count = n - i < lanes ? static_cast<int>(n - i) : lanes;
    using F32 = probe_with_fma::F32;
    F32::store_first(dst + i, probe_with_fma::log(F32::load_first(src + i, count)), count);
  }
}

}  // namespace test
}  // namespace kernelet

#if defined(__clang__) && !defined(__aarch64__)
#pragma clang attribute pop
#endif
