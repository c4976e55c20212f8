// Convolutions whose sums are cut into pieces (`piece` in kernels/table.h).
#pragma once

#include "kernels/table.h"

namespace kernelet {

// Input channels of a piece of sums over `channels` with so many taps each; 0: they are one chain.
int32_t piece_of(int64_t channels, int64_t taps);

// Over planes (width 1), or over images in lanes: a run of the kernel for each piece.
size_t scratch_in_pieces(const ConvAlgorithm& algorithm, const ConvArgs& a, size_t width);
void run_in_pieces(const KernelTable& kernels, const ConvAlgorithm& algorithm, const ConvArgs& a,
                   size_t width, const float* src, float* dst, float* scratch);

}  // namespace kernelet
