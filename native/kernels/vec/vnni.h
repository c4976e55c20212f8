// AVX-512 VNNI: a lane is four bytes (int8x4), or the 32-bit integer that their products with another four are
// summed in. The float kernels run on them as they are; what they do to values and sums is replaced here, and
// everything else moves bits.
namespace floats {
#include "avx512.h"
}
struct F32 : floats::F32 {
  static __m512i bits(reg x) { return _mm512_castps_si512(x); }
  static reg add(reg a, reg b) { return _mm512_castsi512_ps(_mm512_add_epi32(bits(a), bits(b))); }
  static reg max(reg a, reg b) { return _mm512_castsi512_ps(_mm512_max_epi32(bits(a), bits(b))); }
  static reg pair_max(reg a, reg b) { return max(odd(a, b), even(a, b)); }
  static reg select_nan(reg, reg, reg y) { return y; }
  // x of unsigned bytes, w of signed ones: c + x0 w0 + x1 w1 + x2 w2 + x3 w3
  static reg muladd(reg x, reg w, reg c) {
#if defined(_MSC_VER)
    return _mm512_castsi512_ps(_mm512_dpbusd_epi32(bits(c), bits(x), bits(w)));
#else
    // In words: GCC keeps a copy of every sum on the stack around the intrinsic's casts, and the rest of the file
    // needs no flag of its own.
    __asm__("vpdpbusd %2, %1, %0" : "+v"(c) : "v"(x), "v"(w));
    return c;
#endif
  }
  // The least integer: all that a maximum with it lets through is everything.
  static reg lowest() { return _mm512_castsi512_ps(_mm512_set1_epi32(INT32_MIN)); }
};
