#define KERNELET_ISA probe_without_fma
#define KERNELET_VEC scalar
#include "kernels/activation.h"
#include "probe.h"

namespace kernelet {
namespace test {

void exp_without_fma(const float* src, float* dst, size_t n) {
  (void)&probe_without_fma::activate;
  for (size_t i = 0; i < n; ++i) dst[i] = probe_without_fma::exp(src[i]);
}

void log_without_fma(const float* src, float* dst, size_t n) {
  for (size_t i = 0; i < n; ++i) dst[i] = probe_without_fma::log(src[i]);
}

}  // namespace test
}  // namespace kernelet
