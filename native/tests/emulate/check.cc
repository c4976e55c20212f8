// Is the emulation of AVX-512 right? Each intrinsic against what Intel's manual says of one lane, on special
// values and random bits. Built as kernelet_emulation_check with -DKERNELET_EMULATE_AVX512=ON; where the
// compiler has AVX-512 switched on instead (-mavx512f), the same checks run on the real instructions.
#if !defined(__AVX512F__)
#include "avx512_on_avx2.h"
#else
#include <immintrin.h>
#endif

#include <sys/mman.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <random>

namespace {

int passed = 0;
int failed = 0;

uint32_t bits_of(float x) {
  uint32_t b;
  std::memcpy(&b, &x, 4);
  return b;
}
float float_of(uint32_t b) {
  float x;
  std::memcpy(&x, &b, 4);
  return x;
}
bool same(float a, float b) { return bits_of(a) == bits_of(b) || (std::isnan(a) && std::isnan(b)); }

const float infinity = std::numeric_limits<float>::infinity();
const float nan = std::numeric_limits<float>::quiet_NaN();
const float special[] = {0.f,        -0.f,       1.f,   -1.f,   0.5f,    1.5f,    2.5f,     -2.5f,
                         infinity,   -infinity,  nan,   1e-45f, -1e-45f, 3.4e38f, -3.4e38f, 1.17549435e-38f,
                         16777216.f, 8388608.5f, 126.f, -126.f, 0.1f,    1e10f};
constexpr int specials = sizeof special / sizeof *special;

struct Lanes {
  float x[16];
};

template <class Wide, class Lane>
void check(const char* name, bool exact_nan, Wide wide, Lane lane) {
  std::mt19937 random(1);
  long wrong = 0;
  for (int round = 0; round < 20000; round++) {
    Lanes a, b, c, got;
    for (int i = 0; i < 16; i++) {
      const bool any = round % 2 == 1;
      a.x[i] = any ? float_of(random()) : special[random() % specials];
      b.x[i] = any ? float_of(random()) : special[random() % specials];
      c.x[i] = any ? float_of(random()) : special[random() % specials];
    }
    wide(a.x, b.x, c.x, got.x);
    for (int i = 0; i < 16; i++) {
      const float want = lane(a.x[i], b.x[i], c.x[i]);
      if (exact_nan ? bits_of(got.x[i]) != bits_of(want) : !same(got.x[i], want)) wrong++;
    }
  }
  if (wrong == 0) passed++;
  else failed++, std::printf("FAIL %s: %ld lanes differ\n", name, wrong);
}

void expect(const char* name, bool ok) {
  if (ok) passed++;
  else failed++, std::printf("FAIL %s\n", name);
}

#define LOAD(p) _mm512_loadu_ps(p)
#define WIDE(expression)                                         \
  [](const float* a, const float* b, const float* c, float* r) { \
    (void)a, (void)b, (void)c;                                   \
    _mm512_storeu_ps(r, expression);                             \
  }
#define LANE(expression)                   \
  [](float a, float b, float c) -> float { \
    (void)a, (void)b, (void)c;             \
    return expression;                     \
  }

}  // namespace

int main() {
  check("add", false, WIDE(_mm512_add_ps(LOAD(a), LOAD(b))), LANE(a + b));
  check("sub", false, WIDE(_mm512_sub_ps(LOAD(a), LOAD(b))), LANE(a - b));
  check("mul", false, WIDE(_mm512_mul_ps(LOAD(a), LOAD(b))), LANE(a * b));
  check("div", false, WIDE(_mm512_div_ps(LOAD(a), LOAD(b))), LANE(a / b));
  check("sqrt", false, WIDE(_mm512_sqrt_ps(LOAD(a))), LANE(std::sqrt(a)));
  check("scalef", false,
        WIDE(_mm512_scalef_ps(
            LOAD(a), _mm512_min_ps(_mm512_max_ps(LOAD(b), _mm512_set1_ps(-300.f)), _mm512_set1_ps(300.f)))),
        LANE(static_cast<float>(
            a * std::exp2(std::floor(b > -300 ? b < 300 ? static_cast<double>(b) : 300 : -300)))));
  check("fmadd", false, WIDE(_mm512_fmadd_ps(LOAD(a), LOAD(b), LOAD(c))), LANE(std::fma(a, b, c)));
  check("fnmadd", false, WIDE(_mm512_fnmadd_ps(LOAD(a), LOAD(b), LOAD(c))), LANE(std::fma(-a, b, c)));
  check("fmsub", false, WIDE(_mm512_fmsub_ps(LOAD(a), LOAD(b), LOAD(c))), LANE(std::fma(a, b, -c)));
  check("max", true, WIDE(_mm512_max_ps(LOAD(a), LOAD(b))), LANE(a > b ? a : b));
  check("min", true, WIDE(_mm512_min_ps(LOAD(a), LOAD(b))), LANE(a < b ? a : b));
  check("blend by gt", true,
        WIDE(_mm512_mask_blend_ps(_mm512_cmp_ps_mask(LOAD(a), LOAD(b), _CMP_GT_OQ), LOAD(c), LOAD(a))),
        LANE(a > b ? a : c));
  check("blend by unordered", true,
        WIDE(_mm512_mask_blend_ps(_mm512_cmp_ps_mask(LOAD(a), LOAD(b), _CMP_UNORD_Q), LOAD(c), LOAD(a))),
        LANE(std::isnan(a) || std::isnan(b) ? a : c));
  check("blend by le", true,
        WIDE(_mm512_mask_blend_ps(_mm512_cmp_ps_mask(LOAD(a), LOAD(b), _CMP_LE_OQ), LOAD(c), LOAD(a))),
        LANE(a <= b ? a : c));
  check("round to nearest even", false,
        WIDE(_mm512_roundscale_ps(LOAD(a), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)),
        LANE(std::nearbyint(a)));
  check("round down", false, WIDE(_mm512_roundscale_ps(LOAD(a), _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC)),
        LANE(std::floor(a)));
  check("to int, to nearest even", true, WIDE(_mm512_castsi512_ps(_mm512_cvtps_epi32(LOAD(a)))),
        LANE(float_of(std::nearbyint(a) >= -2147483648.f && std::nearbyint(a) < 2147483648.f
                          ? static_cast<uint32_t>(static_cast<int32_t>(std::nearbyint(a)))
                          : 0x80000000u)));
  check("from int", true, WIDE(_mm512_cvtepi32_ps(_mm512_castps_si512(LOAD(a)))),
        LANE(static_cast<float>(static_cast<int32_t>(bits_of(a)))));
  check("add_epi32, slli", true,
        WIDE(_mm512_castsi512_ps(
            _mm512_slli_epi32(_mm512_add_epi32(_mm512_castps_si512(LOAD(a)), _mm512_set1_epi32(127)), 23))),
        LANE(float_of((bits_of(a) + 127u) << 23)));
  check("sub_epi32, srli", true,
        WIDE(_mm512_castsi512_ps(_mm512_srli_epi32(
            _mm512_sub_epi32(_mm512_castps_si512(LOAD(a)), _mm512_castps_si512(LOAD(b))), 9))),
        LANE(float_of((bits_of(a) - bits_of(b)) >> 9)));
  check("and, or, xor", true,
        WIDE(_mm512_castsi512_ps(_mm512_xor_si512(
            _mm512_or_si512(_mm512_and_si512(_mm512_castps_si512(LOAD(a)), _mm512_castps_si512(LOAD(b))),
                            _mm512_castps_si512(LOAD(c))),
            _mm512_castps_si512(LOAD(a))))),
        LANE(float_of(((bits_of(a) & bits_of(b)) | bits_of(c)) ^ bits_of(a))));
  check("set1, setzero", true, WIDE(_mm512_sub_ps(_mm512_set1_ps(1.5f), _mm512_setzero_ps())), LANE(1.5f));

  // Lanes that move: not lane-wise, so by hand. The indices' higher bits are ignored.
  {
    float a[16], b[16], got[16];
    for (int i = 0; i < 16; i++) a[i] = static_cast<float>(i), b[i] = static_cast<float>(16 + i);
    std::mt19937 random(2);
    bool permuted = true;
    for (int round = 0; round < 2000; round++) {
      int32_t index[16];
      for (int32_t& i : index) i = static_cast<int32_t>(random());
      const __m512i indices = _mm512_set_epi32(index[15], index[14], index[13], index[12], index[11],
                                               index[10], index[9], index[8], index[7], index[6], index[5],
                                               index[4], index[3], index[2], index[1], index[0]);
      _mm512_storeu_ps(got, _mm512_permutex2var_ps(LOAD(a), indices, LOAD(b)));
      for (int i = 0; i < 16; i++) permuted &= got[i] == static_cast<float>(index[i] & 31);
    }
    expect("set_epi32, permutex2var", permuted);
    bool bytes = true;
    for (int round = 0; round < 32; round++) {
      uint8_t from[16];
      for (int i = 0; i < 16; i++) from[i] = static_cast<uint8_t>(16 * round + i);
      const __m128i packed = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
      _mm512_storeu_ps(got, _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(packed)));
      for (int i = 0; i < 16; i++) bytes &= got[i] == static_cast<float>(from[i]);
    }
    expect("cvtepu8_epi32", bytes);
    _mm256_storeu_ps(got, _mm512_castps512_ps256(LOAD(a)));
    _mm256_storeu_ps(got + 8, _mm512_extractf32x8_ps(LOAD(a), 1));
    expect("castps512_ps256, extractf32x8", std::memcmp(a, got, sizeof a) == 0);
    const __m256 low = _mm512_castps512_ps256(LOAD(a));
    _mm512_storeu_ps(got, _mm512_insertf32x8(_mm512_insertf32x8(_mm512_setzero_ps(), low, 0), low, 1));
    expect("insertf32x8",
           std::memcmp(a, got, sizeof a / 2) == 0 && std::memcmp(a, got + 8, sizeof a / 2) == 0);
  }

  // Masked loads and stores at the end of a page behind which nothing may be touched, and behind a canary.
  const long page = sysconf(_SC_PAGESIZE);
  char* map = static_cast<char*>(mmap(nullptr, static_cast<size_t>(page) * 2, PROT_READ | PROT_WRITE,
                                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  if (map == MAP_FAILED || mprotect(map + page, static_cast<size_t>(page), PROT_NONE) != 0) return 2;
  float* end = reinterpret_cast<float*>(map + page);
  bool loads = true;
  bool stores = true;
  for (int n = 0; n <= 16; n++) {
    const __mmask16 first = static_cast<__mmask16>((1u << n) - 1u);
    for (int i = -32; i < 0; i++) end[i] = static_cast<float>(i);
    float got[16];
    _mm512_storeu_ps(got, _mm512_maskz_loadu_ps(first, end - n));
    for (int i = 0; i < 16; i++) loads &= got[i] == (i < n ? static_cast<float>(i - n) : 0.f);
    _mm512_mask_storeu_ps(end - n, first, _mm512_set1_ps(7.f));
    for (int i = -32; i < 0; i++) stores &= end[i] == (i >= -n ? 7.f : static_cast<float>(i));
  }
  expect("maskz_loadu stops at the page", loads);
  expect("mask_storeu stops at the page and leaves the rest", stores);

  std::printf("%d passed, %d failed\n", passed, failed);
  return failed == 0 ? 0 : 1;
}
