// One float at a time: the living specification of the other tiers, and the fallback everywhere.
// muladd rounds twice here; the tier belongs to the class {scalar, sse} of equal bits.
#define KERNELET_ONE_SIZE 1  // a tier for comparison, or for old machines: small rather than fast
struct F32 {
  using reg = float;
  static constexpr int lanes = 1;
  static constexpr int registers = 16;
  static constexpr uint32_t needs = 0;
  static constexpr bool has_fma = false;

  static reg zero() { return 0.0f; }
  static reg splat(float x) { return x; }
  static reg load(const float* p) { return *p; }
  static reg load_first(const float* p, int n) { return n > 0 ? *p : 0.0f; }
  static reg load_bytes(const uint8_t* p) { return static_cast<float>(*p); }
  static void store(float* p, reg x) { *p = x; }
  static void store_first(float* p, reg x, int n) {
    if (n > 0) *p = x;
  }
  static void keep(reg&) {}
  static reg add(reg a, reg b) { return a + b; }
  static reg sub(reg a, reg b) { return a - b; }
  static reg mul(reg a, reg b) { return a * b; }
  static reg div(reg a, reg b) { return a / b; }
  static reg sqrt(reg a) { return __builtin_sqrtf(a); }
  static reg muladd(reg a, reg b, reg c) { return a * b + c; }
  // a > b ? a : b, so b where either is NaN or both are zeros
  static reg max(reg a, reg b) { return a > b ? a : b; }
  // a < b ? a : b, so b where either is NaN or both are zeros
  static reg min(reg a, reg b) { return a < b ? a : b; }
  // a > b ? x : y
  static reg select_gt(reg a, reg b, reg x, reg y) { return a > b ? x : y; }
  // a is NaN ? x : y
  static reg select_nan(reg a, reg x, reg y) { return a != a ? x : y; }
  // to the nearest integer, ties to even, for |x| < 2^22
  static reg round(reg x) {
    const reg magic = splat(12582912.0f);  // 1.5 * 2^23
    return sub(add(x, magic), magic);
  }
  // 2^n for integral n in [-126, 127]
  static reg pow2(reg n) {
    const int bits = n == n ? (static_cast<int>(n) + 127) * (1 << 23) : 0;  // an int of NaN is undefined
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
  }
  // x 2^n, in one rounding, for integral n in [-125, 128] and x in [0.5, 2]
  static reg scale2(reg x, reg n) { return mul(add(x, x), pow2(sub(n, 1.0f))); }
  // the same for n in [-152, 129], in two steps: one would leave the exponent range at either end
  static reg scale(reg x, reg n) {
    const reg half = round(mul(n, splat(0.5f)));
    return mul(mul(x, pow2(half)), pow2(sub(n, half)));
  }
  // elements 0, 2, 4, … and 1, 3, 5, … of a followed by b
  static reg even(reg a, reg) { return a; }
  static reg odd(reg, reg b) { return b; }
  static reg pair_max(reg a, reg b) { return max(b, a); }
  static reg halves(reg low, reg) { return low; }
  KERNELET_INLINE static void prefetch(const char*) {}
  KERNELET_INLINE static void prefetch_far(const char*) {}
  static void store_halves(float* low, float*, reg x) { *low = x; }  // a half of one lane is none: unused
};
