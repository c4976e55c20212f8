// SSE2, the floor of x86-64: four lanes, 16 registers, no fused multiply-add.
#define KERNELET_ONE_SIZE 1  // a tier for comparison, or for old machines: small rather than fast
struct F32 {
  using reg = __m128;
  static constexpr int lanes = 4;
  static constexpr int registers = 16;
  static constexpr uint32_t needs = cpu_sse2;
  static constexpr bool has_fma = false;

  static reg zero() { return _mm_setzero_ps(); }
  static reg splat(float x) { return _mm_set1_ps(x); }
  static reg load(const float* p) { return _mm_loadu_ps(p); }
  static reg load_first(const float* p, int n) {
    if (n >= 4) return load(p);
    return _mm_setr_ps(n > 0 ? p[0] : 0.0f, n > 1 ? p[1] : 0.0f, n > 2 ? p[2] : 0.0f, 0.0f);
  }
  static reg load_bytes(const uint8_t* p) {
    int four;
    memcpy(&four, p, sizeof four);
    const __m128i zero = _mm_setzero_si128();
    const __m128i words = _mm_unpacklo_epi8(_mm_cvtsi32_si128(four), zero);
    return _mm_cvtepi32_ps(_mm_unpacklo_epi16(words, zero));
  }
  static void store(float* p, reg x) { _mm_storeu_ps(p, x); }
  static void store_first(float* p, reg x, int n) {
    alignas(16) float all[4];
    if (n >= 4) return store(p, x);
    _mm_store_ps(all, x);
    for (int i = 0; i < n; ++i) p[i] = all[i];
  }
  static void keep(reg&) {}
  static reg add(reg a, reg b) { return _mm_add_ps(a, b); }
  static reg sub(reg a, reg b) { return _mm_sub_ps(a, b); }
  static reg mul(reg a, reg b) { return _mm_mul_ps(a, b); }
  static reg div(reg a, reg b) { return _mm_div_ps(a, b); }
  static reg sqrt(reg a) { return _mm_sqrt_ps(a); }
  static reg muladd(reg a, reg b, reg c) { return _mm_add_ps(_mm_mul_ps(a, b), c); }
  // a > b ? a : b, so b where either is NaN or both are zeros: what maxps does
  static reg max(reg a, reg b) { return _mm_max_ps(a, b); }
  // a < b ? a : b, so b where either is NaN or both are zeros
  static reg min(reg a, reg b) { return _mm_min_ps(a, b); }
  // a > b ? x : y
  static reg select_gt(reg a, reg b, reg x, reg y) { return blend(_mm_cmpgt_ps(a, b), x, y); }
  // a is NaN ? x : y
  static reg select_nan(reg a, reg x, reg y) { return blend(_mm_cmpunord_ps(a, a), x, y); }
  // to the nearest integer, ties to even, for |x| < 2^22
  static reg round(reg x) {
    const reg magic = splat(12582912.0f);  // 1.5 * 2^23
    return sub(add(x, magic), magic);
  }
  // 2^n for integral n in [-126, 127]
  static reg pow2(reg n) {
    return _mm_castsi128_ps(_mm_slli_epi32(_mm_add_epi32(_mm_cvtps_epi32(n), _mm_set1_epi32(127)), 23));
  }
  // x 2^n, in one rounding, for integral n in [-125, 128] and x in [0.5, 2]
  static reg scale2(reg x, reg n) { return mul(add(x, x), pow2(sub(n, splat(1.0f)))); }
  // the same for n in [-152, 129], in two steps: one would leave the exponent range at either end
  static reg scale(reg x, reg n) {
    const reg half = round(mul(n, splat(0.5f)));
    return mul(mul(x, pow2(half)), pow2(sub(n, half)));
  }
  // elements 0, 2, 4, … and 1, 3, 5, … of a followed by b
  static reg even(reg a, reg b) { return _mm_shuffle_ps(a, b, 0x88); }
  static reg odd(reg a, reg b) { return _mm_shuffle_ps(a, b, 0xdd); }
  // the larger of neighbours: (0, 1), (2, 3), … of a followed by b
  static reg pair_max(reg a, reg b) { return max(odd(a, b), even(a, b)); }
  static reg halves(reg low, reg high) { return _mm_shuffle_ps(low, high, 0xe4); }
  KERNELET_INLINE static void prefetch(const char* p) { _mm_prefetch(p, _MM_HINT_T0); }
  KERNELET_INLINE static void prefetch_far(const char* p) { _mm_prefetch(p, _MM_HINT_T1); }
  // high first: where both are one place, low stays
  static void store_halves(float* low, float* high, reg x) {
    _mm_storeh_pi(reinterpret_cast<__m64*>(high), x);
    _mm_storel_pi(reinterpret_cast<__m64*>(low), x);
  }

  static reg blend(reg mask, reg x, reg y) { return _mm_or_ps(_mm_and_ps(mask, x), _mm_andnot_ps(mask, y)); }
};
