// Advanced SIMD, the floor of arm64: four lanes, 32 registers, fused multiply-add.
struct F32 {
  using reg = float32x4_t;
  static constexpr int lanes = 4;
  static constexpr int registers = 32;
  static constexpr uint32_t needs = cpu_neon;
  static constexpr bool has_fma = true;

  static reg zero() { return vdupq_n_f32(0.0f); }
  static reg splat(float x) { return vdupq_n_f32(x); }
  static reg load(const float* p) { return vld1q_f32(p); }
  static reg load_first(const float* p, int n) {
    if (n >= 4) return load(p);
    float all[4] = {n > 0 ? p[0] : 0.0f, n > 1 ? p[1] : 0.0f, n > 2 ? p[2] : 0.0f, 0.0f};
    return vld1q_f32(all);
  }
  static reg load_bytes(const uint8_t* p) {
    const uint32_t four[4] = {p[0], p[1], p[2], p[3]};
    return vcvtq_f32_u32(vld1q_u32(four));
  }
  static void store(float* p, reg x) { vst1q_f32(p, x); }
  static void store_first(float* p, reg x, int n) {
    float all[4];
    if (n >= 4) return store(p, x);
    vst1q_f32(all, x);
    for (int i = 0; i < n; ++i) p[i] = all[i];
  }
  // x, now in a register: a compiler may else read it from memory again for each use, and loads are what that waits for
#if defined(__GNUC__)
  static void keep(reg& x) { asm volatile("" : "+w"(x)); }
#else
  static void keep(reg&) {}
#endif
  static reg add(reg a, reg b) { return vaddq_f32(a, b); }
  static reg sub(reg a, reg b) { return vsubq_f32(a, b); }
  static reg mul(reg a, reg b) { return vmulq_f32(a, b); }
  static reg div(reg a, reg b) { return vdivq_f32(a, b); }
  static reg sqrt(reg a) { return vsqrtq_f32(a); }
  static reg muladd(reg a, reg b, reg c) { return vfmaq_f32(c, a, b); }
  // a > b ? a : b, so b where either is NaN or both are zeros; vmaxq would order them otherwise
  static reg max(reg a, reg b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
  // a < b ? a : b, so b where either is NaN or both are zeros
  static reg min(reg a, reg b) { return vbslq_f32(vcgtq_f32(b, a), a, b); }
  // a > b ? x : y
  static reg select_gt(reg a, reg b, reg x, reg y) { return vbslq_f32(vcgtq_f32(a, b), x, y); }
  // a is NaN ? x : y
  static reg select_nan(reg a, reg x, reg y) { return vbslq_f32(vceqq_f32(a, a), y, x); }
  // to the nearest integer, ties to even, for |x| < 2^22
  static reg round(reg x) { return vrndnq_f32(x); }
  // 2^n for integral n in [-126, 127]
  static reg pow2(reg n) {
    return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(vcvtnq_s32_f32(n), vdupq_n_s32(127)), 23));
  }
  // x 2^n, in one rounding, for integral n in [-125, 128] and x in [0.5, 2]
  static reg scale2(reg x, reg n) { return mul(add(x, x), pow2(sub(n, splat(1.0f)))); }
  // the same for n in [-152, 129], in two steps: one would leave the exponent range at either end
  static reg scale(reg x, reg n) {
    const reg half = round(mul(n, splat(0.5f)));
    return mul(mul(x, pow2(half)), pow2(sub(n, half)));
  }
  // elements 0, 2, 4, … and 1, 3, 5, … of a followed by b
  static reg even(reg a, reg b) { return vuzp1q_f32(a, b); }
  static reg odd(reg a, reg b) { return vuzp2q_f32(a, b); }
  // the larger of neighbours: (0, 1), (2, 3), … of a followed by b
  static reg pair_max(reg a, reg b) { return max(odd(a, b), even(a, b)); }
  static reg halves(reg low, reg high) { return vcombine_f32(vget_low_f32(low), vget_high_f32(high)); }
  KERNELET_INLINE static void prefetch(const char* p) { __builtin_prefetch(p); }
  KERNELET_INLINE static void prefetch_far(const char* p) { __builtin_prefetch(p, 0, 2); }
  // high first: where both are one place, low stays
  static void store_halves(float* low, float* high, reg x) {
    vst1_f32(high, vget_high_f32(x));
    vst1_f32(low, vget_low_f32(x));
  }
};
