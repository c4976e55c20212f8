// exp and log of kernels/elementary.h by themselves (the table only has what is built on them), once in each
// class of equal bits: without fused multiply-add as scalar code, with it as AVX2 or NEON.
#pragma once

#include <stddef.h>

namespace kernelet {
namespace test {

using Probe = void (*)(const float* src, float* dst, size_t n);

void exp_without_fma(const float* src, float* dst, size_t n);
void log_without_fma(const float* src, float* dst, size_t n);
void exp_with_fma(const float* src, float* dst, size_t n);
void log_with_fma(const float* src, float* dst, size_t n);

}  // namespace test
}  // namespace kernelet
