// AVX2 and FMA: eight lanes, 16 registers; 32 where AVX-512 is there too (narrow.cc).
alignas(64) const int avx2_first_mask[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};

struct F32 {
  using reg = __m256;
  static constexpr int lanes = 8;
#if defined(KERNELET_NARROW)
  static constexpr int registers = 32;
#else
  static constexpr int registers = 16;
#endif
  static constexpr uint32_t needs = cpu_avx2_fma;
  static constexpr bool has_fma = true;

  static reg zero() { return _mm256_setzero_ps(); }
  static reg splat(float x) { return _mm256_set1_ps(x); }
  static reg load(const float* p) { return _mm256_loadu_ps(p); }
  static reg load_first(const float* p, int n) { return _mm256_maskload_ps(p, first(n)); }
  static reg load_bytes(const uint8_t* p) {
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
  }
  static void store(float* p, reg x) { _mm256_storeu_ps(p, x); }
  static void store_first(float* p, reg x, int n) { _mm256_maskstore_ps(p, first(n), x); }
  // x, now in a register: a compiler may else read it from memory again for each use, and loads are what that waits for
#if defined(__GNUC__)
  static void keep(reg& x) { asm volatile("" : "+x"(x)); }
#else
  static void keep(reg&) {}
#endif
  static reg add(reg a, reg b) { return _mm256_add_ps(a, b); }
  static reg sub(reg a, reg b) { return _mm256_sub_ps(a, b); }
  static reg mul(reg a, reg b) { return _mm256_mul_ps(a, b); }
  static reg div(reg a, reg b) { return _mm256_div_ps(a, b); }
  static reg sqrt(reg a) { return _mm256_sqrt_ps(a); }
  static reg muladd(reg a, reg b, reg c) { return _mm256_fmadd_ps(a, b, c); }
  // a > b ? a : b, so b where either is NaN or both are zeros: what vmaxps does
  static reg max(reg a, reg b) { return _mm256_max_ps(a, b); }
  // a < b ? a : b, so b where either is NaN or both are zeros
  static reg min(reg a, reg b) { return _mm256_min_ps(a, b); }
  // a > b ? x : y
  static reg select_gt(reg a, reg b, reg x, reg y) {
    return _mm256_blendv_ps(y, x, _mm256_cmp_ps(a, b, _CMP_GT_OQ));
  }
  // a is NaN ? x : y
  static reg select_nan(reg a, reg x, reg y) {
    return _mm256_blendv_ps(y, x, _mm256_cmp_ps(a, a, _CMP_UNORD_Q));
  }
  // to the nearest integer, ties to even, for |x| < 2^22
  static reg round(reg x) { return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  // 2^n for integral n in [-126, 127]
  static reg pow2(reg n) {
    const __m256i biased = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
    return _mm256_castsi256_ps(_mm256_slli_epi32(biased, 23));
  }
  // x 2^n, in one rounding, for integral n in [-125, 128] and x in [0.5, 2]
  static reg scale2(reg x, reg n) { return mul(add(x, x), pow2(sub(n, splat(1.0f)))); }
  // the same for n in [-152, 129], in two steps: one would leave the exponent range at either end
  static reg scale(reg x, reg n) {
    const reg half = round(mul(n, splat(0.5f)));
    return mul(mul(x, pow2(half)), pow2(sub(n, half)));
  }
  // elements 0, 2, 4, … and 1, 3, 5, … of a followed by b
  static reg even(reg a, reg b) { return in_order(_mm256_shuffle_ps(a, b, 0x88)); }
  static reg odd(reg a, reg b) { return in_order(_mm256_shuffle_ps(a, b, 0xdd)); }
  // the larger of neighbours: (0, 1), (2, 3), … of a followed by b
  static reg pair_max(reg a, reg b) {
    return in_order(max(_mm256_shuffle_ps(a, b, 0xdd), _mm256_shuffle_ps(a, b, 0x88)));
  }
  static reg halves(reg low, reg high) { return _mm256_blend_ps(low, high, 0xf0); }
  KERNELET_INLINE static void prefetch(const char* p) { _mm_prefetch(p, _MM_HINT_T0); }
  KERNELET_INLINE static void prefetch_far(const char* p) { _mm_prefetch(p, _MM_HINT_T1); }
  // high first: where both are one place, low stays
  static void store_halves(float* low, float* high, reg x) {
    _mm_storeu_ps(high, _mm256_extractf128_ps(x, 1));
    _mm_storeu_ps(low, _mm256_castps256_ps128(x));
  }

  // n in [0, 8] leading lanes
  static __m256i first(int n) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(avx2_first_mask + 8 - n));
  }
  // shuffles work within halves of 128 bits: puts their four pairs of elements back in order
  static reg in_order(reg x) { return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(x), 0xd8)); }
};
