// The AVX-512 intrinsics that native/kernels/vec/avx512.h uses, each as two AVX2 halves.
//
// Forced in front of the avx512 tier by -DKERNELET_EMULATE_AVX512=ON, so that a machine without AVX-512 runs
// that tier's source, tile sizes and tails in the native tests. Every one of these operations is lane-wise and
// defined alike for ymm and zmm (one rounding in vfmadd, the operand order of vmaxps, round to nearest even in
// vcvtps2dq), so the results are the AVX-512 ones to the bit; masked loads and stores touch the selected lanes
// only, so a page behind the tail stays untouched here too. What is not here does not compile: add it, and a
// line to emulate/check.cc.
// Not shown by such a run: the compiler's own AVX-512 code, alignment faults and speed.
#pragma once

#if !defined(__AVX2__) || !defined(__FMA__)
#error "emulating AVX-512 takes -mavx2 -mfma"
#endif
#if defined(__AVX512F__)
#error "this build has AVX-512: there is nothing to emulate"
#endif

#include <immintrin.h>
#include <stdint.h>

struct kernelet_m512 {
  __m256 lo, hi;
};
struct kernelet_m512i {
  __m256i lo, hi;
};
typedef uint16_t kernelet_mmask16;

// An 8-bit lane mask as AVX2 wants it: all ones or all zeros in each 32-bit lane.
static inline __m256i kernelet_lanes8(unsigned k) {
  const __m256i bit = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
  return _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32(static_cast<int>(k & 255u)), bit), bit);
}

#define KERNELET_UNARY(name, op) \
  static inline kernelet_m512 kernelet_mm512_##name(kernelet_m512 a) { return {op(a.lo), op(a.hi)}; }
#define KERNELET_BINARY(name)                                                           \
  static inline kernelet_m512 kernelet_mm512_##name(kernelet_m512 a, kernelet_m512 b) { \
    return {_mm256_##name(a.lo, b.lo), _mm256_##name(a.hi, b.hi)};                      \
  }
#define KERNELET_TERNARY(name)                                                                           \
  static inline kernelet_m512 kernelet_mm512_##name(kernelet_m512 a, kernelet_m512 b, kernelet_m512 c) { \
    return {_mm256_##name(a.lo, b.lo, c.lo), _mm256_##name(a.hi, b.hi, c.hi)};                           \
  }
#define KERNELET_BINARY_INT(name, op)                                                      \
  static inline kernelet_m512i kernelet_mm512_##name(kernelet_m512i a, kernelet_m512i b) { \
    return {op(a.lo, b.lo), op(a.hi, b.hi)};                                               \
  }

KERNELET_BINARY(add_ps)
KERNELET_BINARY(sub_ps)
KERNELET_BINARY(mul_ps)
KERNELET_BINARY(div_ps)
KERNELET_BINARY(max_ps)
KERNELET_BINARY(min_ps)
KERNELET_TERNARY(fmadd_ps)
KERNELET_TERNARY(fnmadd_ps)
KERNELET_TERNARY(fmsub_ps)
KERNELET_UNARY(sqrt_ps, _mm256_sqrt_ps)
KERNELET_BINARY_INT(add_epi32, _mm256_add_epi32)
KERNELET_BINARY_INT(sub_epi32, _mm256_sub_epi32)
KERNELET_BINARY_INT(and_si512, _mm256_and_si256)
KERNELET_BINARY_INT(or_si512, _mm256_or_si256)
KERNELET_BINARY_INT(xor_si512, _mm256_xor_si256)

static inline kernelet_m512 kernelet_mm512_setzero_ps() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
static inline kernelet_m512 kernelet_mm512_set1_ps(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
static inline kernelet_m512i kernelet_mm512_set1_epi32(int x) {
  return {_mm256_set1_epi32(x), _mm256_set1_epi32(x)};
}
static inline kernelet_m512i kernelet_mm512_slli_epi32(kernelet_m512i a, unsigned n) {
  return {_mm256_slli_epi32(a.lo, static_cast<int>(n)), _mm256_slli_epi32(a.hi, static_cast<int>(n))};
}
static inline kernelet_m512i kernelet_mm512_srli_epi32(kernelet_m512i a, unsigned n) {
  return {_mm256_srli_epi32(a.lo, static_cast<int>(n)), _mm256_srli_epi32(a.hi, static_cast<int>(n))};
}
// a 2^floor(b), rounded once, for finite b.
static inline float kernelet_scaled(float a, float b) {
  const float n = b < -400.0f ? -400.0f : b > 400.0f ? 400.0f : __builtin_floorf(b);
  return b == b ? __builtin_ldexpf(a, static_cast<int>(n)) : b;
}
static inline kernelet_m512 kernelet_mm512_scalef_ps(kernelet_m512 a, kernelet_m512 b) {
  float x[16], n[16];
  _mm256_storeu_ps(x, a.lo);
  _mm256_storeu_ps(x + 8, a.hi);
  _mm256_storeu_ps(n, b.lo);
  _mm256_storeu_ps(n + 8, b.hi);
  for (int i = 0; i < 16; ++i) x[i] = kernelet_scaled(x[i], n[i]);
  return {_mm256_loadu_ps(x), _mm256_loadu_ps(x + 8)};
}
static inline kernelet_m512i kernelet_mm512_cvtps_epi32(kernelet_m512 a) {
  return {_mm256_cvtps_epi32(a.lo), _mm256_cvtps_epi32(a.hi)};
}
static inline kernelet_m512 kernelet_mm512_cvtepi32_ps(kernelet_m512i a) {
  return {_mm256_cvtepi32_ps(a.lo), _mm256_cvtepi32_ps(a.hi)};
}
static inline kernelet_m512i kernelet_mm512_cvtepu8_epi32(__m128i a) {
  return {_mm256_cvtepu8_epi32(a), _mm256_cvtepu8_epi32(_mm_srli_si128(a, 8))};
}
static inline kernelet_m512i kernelet_mm512_castps_si512(kernelet_m512 a) {
  return {_mm256_castps_si256(a.lo), _mm256_castps_si256(a.hi)};
}
static inline kernelet_m512 kernelet_mm512_castsi512_ps(kernelet_m512i a) {
  return {_mm256_castsi256_ps(a.lo), _mm256_castsi256_ps(a.hi)};
}

static inline kernelet_m512 kernelet_mm512_loadu_ps(const void* p) {
  const float* from = static_cast<const float*>(p);
  return {_mm256_loadu_ps(from), _mm256_loadu_ps(from + 8)};
}
static inline void kernelet_mm512_storeu_ps(void* p, kernelet_m512 a) {
  float* to = static_cast<float*>(p);
  _mm256_storeu_ps(to, a.lo);
  _mm256_storeu_ps(to + 8, a.hi);
}
// The address of a half none of whose lanes is selected may lie outside the array: it is not even formed.
static inline kernelet_m512 kernelet_mm512_maskz_loadu_ps(kernelet_mmask16 k, const void* p) {
  const float* from = static_cast<const float*>(p);
  kernelet_m512 r = kernelet_mm512_setzero_ps();
  if (k & 0x00ffu) r.lo = _mm256_maskload_ps(from, kernelet_lanes8(k));
  if (k & 0xff00u) r.hi = _mm256_maskload_ps(from + 8, kernelet_lanes8(k >> 8u));
  return r;
}
static inline void kernelet_mm512_mask_storeu_ps(void* p, kernelet_mmask16 k, kernelet_m512 a) {
  float* to = static_cast<float*>(p);
  if (k & 0x00ffu) _mm256_maskstore_ps(to, kernelet_lanes8(k), a.lo);
  if (k & 0xff00u) _mm256_maskstore_ps(to + 8, kernelet_lanes8(k >> 8u), a.hi);
}
// k ? b : a
static inline kernelet_m512 kernelet_mm512_mask_blend_ps(kernelet_mmask16 k, kernelet_m512 a,
                                                         kernelet_m512 b) {
  return {_mm256_blendv_ps(a.lo, b.lo, _mm256_castsi256_ps(kernelet_lanes8(k))),
          _mm256_blendv_ps(a.hi, b.hi, _mm256_castsi256_ps(kernelet_lanes8(k >> 8u)))};
}
static inline kernelet_mmask16 kernelet_mask16(__m256 lo, __m256 hi) {
  return static_cast<kernelet_mmask16>(static_cast<unsigned>(_mm256_movemask_ps(lo)) |
                                       static_cast<unsigned>(_mm256_movemask_ps(hi)) << 8u);
}

static inline __m256 kernelet_mm512_castps512_ps256(kernelet_m512 a) { return a.lo; }
static inline kernelet_m512i kernelet_mm512_set_epi32(int e15, int e14, int e13, int e12, int e11, int e10,
                                                      int e9, int e8, int e7, int e6, int e5, int e4, int e3,
                                                      int e2, int e1, int e0) {
  return {_mm256_set_epi32(e7, e6, e5, e4, e3, e2, e1, e0),
          _mm256_set_epi32(e15, e14, e13, e12, e11, e10, e9, e8)};
}
// Eight lanes out of the 32 of a and b: bits 0 to 2 of an index say which of a half, bits 3 and 4 which half.
static inline __m256 kernelet_permute8(kernelet_m512 a, __m256i index, kernelet_m512 b) {
  const __m256 upper = _mm256_castsi256_ps(_mm256_slli_epi32(index, 28));
  const __m256 second = _mm256_castsi256_ps(_mm256_slli_epi32(index, 27));
  const __m256 from_a =
      _mm256_blendv_ps(_mm256_permutevar8x32_ps(a.lo, index), _mm256_permutevar8x32_ps(a.hi, index), upper);
  const __m256 from_b =
      _mm256_blendv_ps(_mm256_permutevar8x32_ps(b.lo, index), _mm256_permutevar8x32_ps(b.hi, index), upper);
  return _mm256_blendv_ps(from_a, from_b, second);
}
static inline kernelet_m512 kernelet_mm512_permutex2var_ps(kernelet_m512 a, kernelet_m512i index,
                                                           kernelet_m512 b) {
  return {kernelet_permute8(a, index.lo, b), kernelet_permute8(a, index.hi, b)};
}

// What takes a constant operand has to stay a macro.
#undef _mm512_extractf32x8_ps
#define _mm512_extractf32x8_ps(a, half) ((half) == 0 ? (a).lo : (a).hi)
#undef _mm512_insertf32x8
#define _mm512_insertf32x8(a, b, half) ((half) == 0 ? kernelet_m512{(b), (a).hi} : kernelet_m512{(a).lo, (b)})
#undef _mm512_cmp_ps_mask
#define _mm512_cmp_ps_mask(a, b, op) \
  kernelet_mask16(_mm256_cmp_ps((a).lo, (b).lo, (op)), _mm256_cmp_ps((a).hi, (b).hi, (op)))
#undef _mm512_roundscale_ps
#define _mm512_roundscale_ps(a, mode) \
  (kernelet_m512{_mm256_round_ps((a).lo, (mode)), _mm256_round_ps((a).hi, (mode))})
#undef _mm512_slli_epi32
#undef _mm512_srli_epi32

#define __m512 kernelet_m512
#define __m512i kernelet_m512i
#define __mmask16 kernelet_mmask16
#define _mm512_add_ps kernelet_mm512_add_ps
#define _mm512_sub_ps kernelet_mm512_sub_ps
#define _mm512_mul_ps kernelet_mm512_mul_ps
#define _mm512_div_ps kernelet_mm512_div_ps
#define _mm512_max_ps kernelet_mm512_max_ps
#define _mm512_min_ps kernelet_mm512_min_ps
#define _mm512_scalef_ps kernelet_mm512_scalef_ps
#define _mm512_sqrt_ps kernelet_mm512_sqrt_ps
#define _mm512_fmadd_ps kernelet_mm512_fmadd_ps
#define _mm512_fnmadd_ps kernelet_mm512_fnmadd_ps
#define _mm512_fmsub_ps kernelet_mm512_fmsub_ps
#define _mm512_setzero_ps kernelet_mm512_setzero_ps
#define _mm512_set1_ps kernelet_mm512_set1_ps
#define _mm512_loadu_ps kernelet_mm512_loadu_ps
#define _mm512_storeu_ps kernelet_mm512_storeu_ps
#define _mm512_load_ps kernelet_mm512_loadu_ps
#define _mm512_store_ps kernelet_mm512_storeu_ps
#define _mm512_maskz_loadu_ps kernelet_mm512_maskz_loadu_ps
#define _mm512_mask_storeu_ps kernelet_mm512_mask_storeu_ps
#define _mm512_mask_blend_ps kernelet_mm512_mask_blend_ps
#define _mm512_set1_epi32 kernelet_mm512_set1_epi32
#define _mm512_add_epi32 kernelet_mm512_add_epi32
#define _mm512_sub_epi32 kernelet_mm512_sub_epi32
#define _mm512_and_si512 kernelet_mm512_and_si512
#define _mm512_or_si512 kernelet_mm512_or_si512
#define _mm512_xor_si512 kernelet_mm512_xor_si512
#define _mm512_slli_epi32 kernelet_mm512_slli_epi32
#define _mm512_srli_epi32 kernelet_mm512_srli_epi32
#define _mm512_cvtps_epi32 kernelet_mm512_cvtps_epi32
#define _mm512_cvtepi32_ps kernelet_mm512_cvtepi32_ps
#define _mm512_castps512_ps256 kernelet_mm512_castps512_ps256
#define _mm512_set_epi32 kernelet_mm512_set_epi32
#define _mm512_permutex2var_ps kernelet_mm512_permutex2var_ps
#define _mm512_cvtepu8_epi32 kernelet_mm512_cvtepu8_epi32
#define _mm512_castps_si512 kernelet_mm512_castps_si512
#define _mm512_castsi512_ps kernelet_mm512_castsi512_ps

#undef KERNELET_UNARY
#undef KERNELET_BINARY
#undef KERNELET_TERNARY
#undef KERNELET_BINARY_INT
