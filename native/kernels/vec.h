// The vector wrapper of the tier being compiled: F32, a zero-size tag with about twenty operations.
// KERNELET_ISA is the tier's name and its namespace, and its file in vec/ unless KERNELET_VEC names another.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/cpu_features.h"

#if defined(__x86_64__) || defined(_M_X64)
#if !defined(KERNELET_EMULATE_AVX512) || !defined(KERNELET_ISA_AVX512)
#include <immintrin.h>
#endif
#elif defined(__aarch64__) || defined(_M_ARM64)
#include <arm_neon.h>
#endif

#define KERNELET_TEXT_OF(x) #x
#define KERNELET_TEXT(x) KERNELET_TEXT_OF(x)

#if defined(_MSC_VER)
#define KERNELET_INLINE __forceinline
#define KERNELET_NOINLINE __declspec(noinline)
#define KERNELET_COLD
#define KERNELET_SMALL __declspec(noinline)
#define KERNELET_UNROLL
#else
#define KERNELET_INLINE inline __attribute__((always_inline))
#define KERNELET_NOINLINE __attribute__((noinline))
// COLD: rarely run, so small rather than fast. SMALL: run often, but what takes its time is not in it. (GCC moves what
// calls a cold function out of the way, too.)
#if defined(__clang__)
#define KERNELET_COLD __attribute__((cold, minsize))
#define KERNELET_SMALL __attribute__((noinline, minsize))
#define KERNELET_UNROLL _Pragma("clang loop unroll(full)")
#else
#define KERNELET_COLD __attribute__((cold))
#define KERNELET_SMALL __attribute__((noinline))
#define KERNELET_UNROLL _Pragma("GCC unroll 32")
#endif
#endif

namespace kernelet {
namespace KERNELET_ISA {
namespace {

#if !defined(KERNELET_VEC)
#define KERNELET_VEC KERNELET_ISA
#endif
// clang-format off
#include KERNELET_TEXT(vec/KERNELET_VEC.h)
// clang-format on

using reg = F32::reg;
constexpr int lanes = F32::lanes;

#if defined(KERNELET_ONE_SIZE)  // one kernel where other tiers have one a size
constexpr bool one_size = true;
#define KERNELET_LARGE KERNELET_NOINLINE  // where a call is smaller
#else
constexpr bool one_size = false;
#define KERNELET_LARGE KERNELET_INLINE
#endif

// Direct convolutions over planes. Without fused multiply-add a tier is for old machines: im2col serves there, and blocks.
constexpr bool has_direct = F32::has_fma;

// The running maximum of PyTorch's pooling: the first of equals stays, a NaN sticks.
KERNELET_INLINE reg running_max(reg best, reg x) { return F32::select_nan(x, x, F32::max(x, best)); }

// row[i] lane j <-> row[j] lane i. By perfect unshuffles: splitting neighbouring pairs of registers into even
// and odd elements rotates the bits of an element's index by one, and log2(lanes) rotations swap row and column.
KERNELET_INLINE void transpose(reg (&row)[lanes]) {
  KERNELET_UNROLL
  for (int step = 1; step < lanes; step *= 2) {
    reg next[lanes];
    KERNELET_UNROLL
    for (int pair = 0; pair < lanes / 2; ++pair) {
      next[pair] = F32::even(row[2 * pair], row[2 * pair + 1]);
      next[lanes / 2 + pair] = F32::odd(row[2 * pair], row[2 * pair + 1]);
    }
    KERNELET_UNROLL
    for (int j = 0; j < lanes; ++j) row[j] = next[j];
  }
}

// a0 a1 … and b0 b1 … -> a0 b0 a1 b1 …, the first half in a: the unshuffle that undoes itself after one more round.
KERNELET_INLINE void alternate(reg& a, reg& b) {
  KERNELET_UNROLL
  for (int step = 1; step < lanes; step *= 2) {
    const reg even = F32::even(a, b);
    b = F32::odd(a, b);
    a = even;
  }
}

KERNELET_INLINE reg relu(reg x) { return F32::max(F32::zero(), x); }

}  // namespace
}  // namespace KERNELET_ISA
}  // namespace kernelet
