// What no kernel can beat: muladds that touch no memory, and reads that compute almost nothing. Only
// benchmarks call them (kernels/roof.cc), to have a roof to draw.
#pragma once

#include "vec.h"

// Makes the compiler believe that a register changed: it can neither fold, nor hoist, nor vectorize.
// (Not an emulated register, which is a pair.)
#if defined(KERNELET_EMULATE_AVX512) && defined(KERNELET_ISA_AVX512)
#define KERNELET_OPAQUE(x) ((void)0)
#elif defined(__GNUC__) && defined(__x86_64__)
#define KERNELET_OPAQUE(x) __asm__ volatile("" : "+v"(x))
#elif defined(__GNUC__) && defined(__aarch64__)
#define KERNELET_OPAQUE(x) __asm__ volatile("" : "+w"(x))
#else
#define KERNELET_OPAQUE(x) ((void)0)
#endif

namespace kernelet {
namespace KERNELET_ISA {
namespace {
namespace peak {

// Chains that do not wait for each other: two registers are left for the factors.
constexpr int chains = F32::registers >= 32 ? 24 : 12;

// `rounds` muladds on every chain; returns the floating-point operations that makes.
KERNELET_NOINLINE int64_t muladds(int64_t rounds) {
  reg a = F32::splat(0.5f), b = F32::splat(1.0f);
  KERNELET_OPAQUE(a);
  KERNELET_OPAQUE(b);
  reg x[chains];
  KERNELET_UNROLL
  for (int i = 0; i < chains; ++i) x[i] = F32::splat(static_cast<float>(i));
  for (int64_t round = 0; round < rounds; ++round) {
    KERNELET_UNROLL
    for (int i = 0; i < chains; ++i) {
      // Fused: the chain runs through the sum, as in every kernel. Otherwise the product of two constants
      // would leave the loop, so it runs through both; the values tend to 2.
      x[i] = F32::has_fma ? F32::muladd(a, b, x[i]) : F32::muladd(x[i], a, b);
      KERNELET_OPAQUE(x[i]);
    }
  }
  float last[lanes];
  reg sum = F32::zero();
  KERNELET_UNROLL
  for (int i = 0; i < chains; ++i) sum = F32::add(sum, x[i]);
  F32::store(last, sum);
  volatile float sink = last[0];
  (void)sink;
  return rounds * chains * lanes * 2;
}

// Reads n floats once, whole rounds of eight registers of them; returns how many.
KERNELET_NOINLINE size_t read(size_t n, const float* src) {
  constexpr int streams = 8;
  reg x[streams];
  KERNELET_UNROLL
  for (int i = 0; i < streams; ++i) x[i] = F32::zero();
  size_t at = 0;
  for (; at + streams * lanes <= n; at += streams * lanes) {
    KERNELET_UNROLL
    for (int i = 0; i < streams; ++i) {
      x[i] = F32::add(x[i], F32::load(src + at + static_cast<size_t>(i) * lanes));
      KERNELET_OPAQUE(x[i]);
    }
  }
  float last[lanes];
  KERNELET_UNROLL
  for (int i = 1; i < streams; ++i) x[0] = F32::add(x[0], x[i]);
  F32::store(last, x[0]);
  volatile float sink = last[0];
  (void)sink;
  return at;
}

}  // namespace peak
}  // namespace
}  // namespace KERNELET_ISA
}  // namespace kernelet
