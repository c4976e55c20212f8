// AVX-512 F/VL/DQ/BW: sixteen lanes, 32 registers, masks for every tail.
struct F32 {
  using reg = __m512;
  static constexpr int lanes = 16;
  static constexpr int registers = 32;
#if defined(KERNELET_EMULATE_AVX512)
  static constexpr uint32_t needs = cpu_avx2_fma;  // a test build: this source over emulated instructions
#else
  static constexpr uint32_t needs = cpu_avx512;
#endif
  static constexpr bool has_fma = true;

  static reg zero() { return _mm512_setzero_ps(); }
  static reg splat(float x) { return _mm512_set1_ps(x); }
  static reg load(const float* p) { return _mm512_loadu_ps(p); }
  static reg load_first(const float* p, int n) { return _mm512_maskz_loadu_ps(first(n), p); }
  static reg load_bytes(const uint8_t* p) {
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
  }
  static void store(float* p, reg x) { _mm512_storeu_ps(p, x); }
  static void store_first(float* p, reg x, int n) { _mm512_mask_storeu_ps(p, first(n), x); }
  // x, now in a register: a compiler may else read it from memory again for each use, and loads are what that waits for
#if defined(__GNUC__) && !defined(KERNELET_EMULATE_AVX512)
  static void keep(reg& x) { asm volatile("" : "+v"(x)); }
#else
  static void keep(reg&) {}
#endif
  static reg add(reg a, reg b) { return _mm512_add_ps(a, b); }
  static reg sub(reg a, reg b) { return _mm512_sub_ps(a, b); }
  static reg mul(reg a, reg b) { return _mm512_mul_ps(a, b); }
  static reg div(reg a, reg b) { return _mm512_div_ps(a, b); }
  static reg sqrt(reg a) { return _mm512_sqrt_ps(a); }
  static reg muladd(reg a, reg b, reg c) { return _mm512_fmadd_ps(a, b, c); }
  // a > b ? a : b, so b where either is NaN or both are zeros: what vmaxps does
  static reg max(reg a, reg b) { return _mm512_max_ps(a, b); }
  // a < b ? a : b, so b where either is NaN or both are zeros
  static reg min(reg a, reg b) { return _mm512_min_ps(a, b); }
  // a > b ? x : y
  static reg select_gt(reg a, reg b, reg x, reg y) {
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_GT_OQ), y, x);
  }
  // a is NaN ? x : y
  static reg select_nan(reg a, reg x, reg y) {
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q), y, x);
  }
  // to the nearest integer, ties to even, for |x| < 2^22
  static reg round(reg x) { return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  // 2^n for integral n in [-126, 127]
  static reg pow2(reg n) {
    const __m512i biased = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127));
    return _mm512_castsi512_ps(_mm512_slli_epi32(biased, 23));
  }
  // x 2^n, in one rounding, for integral n in [-125, 128] and x in [0.5, 2]
  static reg scale2(reg x, reg n) { return _mm512_scalef_ps(x, n); }
  // the same for n in [-152, 129]
  static reg scale(reg x, reg n) { return _mm512_scalef_ps(x, n); }
  // elements 0, 2, 4, … and 1, 3, 5, … of a followed by b
  static reg even(reg a, reg b) { return _mm512_permutex2var_ps(a, every_other(0), b); }
  static reg odd(reg a, reg b) { return _mm512_permutex2var_ps(a, every_other(1), b); }
  // the larger of neighbours: (0, 1), (2, 3), … of a followed by b
  static reg pair_max(reg a, reg b) { return max(odd(a, b), even(a, b)); }
  static reg halves(reg low, reg high) { return _mm512_mask_blend_ps(0xff00, low, high); }
  KERNELET_INLINE static void prefetch(const char* p) { _mm_prefetch(p, _MM_HINT_T0); }
  KERNELET_INLINE static void prefetch_far(const char* p) { _mm_prefetch(p, _MM_HINT_T1); }
  // high first: where both are one place, low stays
  static void store_halves(float* low, float* high, reg x) {
    _mm256_storeu_ps(high, _mm512_extractf32x8_ps(x, 1));
    _mm256_storeu_ps(low, _mm512_castps512_ps256(x));
  }

  // eight lanes
  using half = __m256;
  static half low(reg x) { return _mm512_castps512_ps256(x); }
  // zeros above
  static reg widen(half x) { return _mm512_insertf32x8(_mm512_setzero_ps(), x, 0); }
  static half load_half(const float* p) { return _mm256_loadu_ps(p); }
  static half splat_half(float x) { return _mm256_set1_ps(x); }
  static half muladd_half(half a, half b, half c) { return _mm256_fmadd_ps(a, b, c); }

  // n in [0, 16] leading lanes
  static __mmask16 first(int n) { return static_cast<__mmask16>((1u << n) - 1u); }
  static __m512i every_other(int first) {
    const __m512i twice = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
    return _mm512_add_epi32(twice, _mm512_set1_epi32(first));
  }
};
