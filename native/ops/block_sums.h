// Sums over the images of a batch, block by block: in a block a binary tree over its images, which kernels begin in their
// lanes (kernels/train/sums.h), then the blocks in their order.
#pragma once

#include <algorithm>
#include <cstring>

#include "train_step.h"

namespace kernelet {

class BlockSums {
 public:
  void open(const KernelTable& kernels, size_t floats) {
    k_ = &kernels;
    floats_ = floats;
    levels_ = 0;
    for (int n = train_block_images / kernels.lanes; n > 1; n /= 2) ++levels_;
  }

  void reserve(int batch, int threads) {
    const size_t blocks = static_cast<size_t>((batch + train_block_images - 1) / train_block_images);
    if (sums_.size() < blocks * floats_) sums_ = AlignedFloats(blocks * floats_);
    const size_t slots = static_cast<size_t>(threads) * static_cast<size_t>(levels_) * floats_;
    if (slots_.size() < slots) slots_ = AlignedFloats(slots);
  }

  // Where a part's own sums go, before `add_part`.
  //
  // A pairwise tree over the parts of a block, in the order in which SIMD lanes are reduced: 0 and 1, 2 and 3, then
  // those two. Part p waits at level trailing_ones(p); the last part completes the block's sum.
  float* slot(const BlockRun& run) const { return level(run, trailing_ones(run.part)); }
  void add_part(const BlockRun& run) const {
    float* const sum = slot(run);
    for (int i = 0; i < trailing_ones(run.part); ++i) k_->add(floats_, level(run, i), sum, sum);
  }
  // A part without images.
  void absent(const BlockRun& run) const {
    std::fill_n(slot(run), floats_, 0.0f);
    add_part(run);
  }

  // n of the sums, of all blocks.
  void total(int batch, size_t from, size_t n, float* to) const {
    const int blocks = (batch + train_block_images - 1) / train_block_images;
    std::memcpy(to, sums_.data() + from, n * sizeof(float));
    for (int b = 1; b < blocks; ++b)
      k_->add(n, to, sums_.data() + static_cast<size_t>(b) * floats_ + from, to);
  }

 private:
  float* level(const BlockRun& run, int level) const {
    if (level >= levels_) return sums_.data() + static_cast<size_t>(run.block) * floats_;
    return slots_.data() +
           (static_cast<size_t>(run.thread) * static_cast<size_t>(levels_) + static_cast<size_t>(level)) *
               floats_;
  }
  static int trailing_ones(int n) {
    int count = 0;
    for (; n & 1; n >>= 1) ++count;
    return count;
  }

  const KernelTable* k_ = nullptr;
  size_t floats_ = 0;
  int levels_ = 0;
  AlignedFloats sums_, slots_;  // of every block; of parts of blocks
};

}  // namespace kernelet
