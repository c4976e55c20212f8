// The cost model: how long a convolution by each of its kernels should take, and a reorder. Costs are multiply-adds at a
// core's peak that would take as long; only their ratios count.
#pragma once

#include "kernels/table.h"

namespace kernelet {

// Multiply-adds, those that meet the padding too.
double multiply_adds(const ConvArgs& a);

// The kernels over planes have numbers from 1 on (Choice::algorithm): im2col, which fits every shape, then the direct ones.
constexpr int32_t planes_kernels = 5;
// Null where a tier has none.
const ConvAlgorithm* planes_kernel(int32_t number, const KernelTable& k);
// The share of the peak that it should reach.
double efficiency_of(int32_t number, const ConvArgs& a, const KernelTable& k);

// Of the best of them.
double cost_over_planes(const ConvArgs& a, const KernelTable& k);

// Into blocks of channels, by the direct sum, from blocks or, where the input is not grouped, from planes.
double cost_in_blocks(const ConvArgs& a, const KernelTable& k, bool from_blocks);

// Of an image, by the kernel that computes several side by side.
double cost_in_lanes(const ConvArgs& a);

// Of `channels` planes of `pixels`.
double cost_of_reorder(int64_t channels, int64_t pixels, const KernelTable& k, bool to_blocks);

// Whether a convolution that writes blocks had better read planes as they lie than have them reordered first.
bool better_from_planes(const ConvArgs& a, const KernelTable& k);

// By Winograd over blocks: how many times as fast as the direct sum.
double winograd_gain(const ConvArgs& a, const KernelTable& k);

// Outputs over what the lanes of ceil(outputs / lanes) registers could hold.
inline double filled(int64_t outputs, int64_t lanes) {
  return static_cast<double>(outputs) / static_cast<double>((outputs + lanes - 1) / lanes * lanes);
}

}  // namespace kernelet
