// The loss of a part of a block, its gradient, and what was classified right.
#include <algorithm>
#include <limits>

#include "run.h"

namespace kernelet {
namespace {

// What the mean of a loss is over.
enum class Mean { positions, outputs, sum };

Mean mean_of(Loss loss) {
  switch (loss) {
#define KERNELET_LOSS(name, text, mean, threshold) \
  case Loss::name:                                 \
    return Mean::mean;
#include "kernels/train/losses.inc"
#undef KERNELET_LOSS
  }
  return Mean::sum;
}

// From which output on a single class counts as found.
float threshold_of(Loss loss) {
  switch (loss) {
#define KERNELET_LOSS(name, text, mean, threshold) \
  case Loss::name:                                 \
    return threshold;
#include "kernels/train/losses.inc"
#undef KERNELET_LOSS
  }
  return 0;
}

}  // namespace

void TrainRun::find_loss(const BlockRun& run, const float* output, float* arena) {
  const int lanes = k_.lanes;
  const int64_t n = t_.output_length_, positions = t_.positions_, classes = t_.classes();
  float* const target = arena + program_->target;
  std::fill_n(target, static_cast<size_t>(n * lanes), 0.0f);
  for (int lane = 0; lane < run.count; ++lane) {
    const int64_t sample = first_ + run.first_image + lane;
    if (call_.classes != nullptr) {
      for (int64_t p = 0; p < positions; ++p)
        target[(call_.classes[sample * positions + p] * positions + p) * lanes + lane] = 1.0f;
    } else {
      for (int64_t i = 0; i < n; ++i) target[i * lanes + lane] = call_.targets[sample * n + i];
    }
  }
  float scale[train_block_images] = {};
  std::fill_n(scale, run.count, static_cast<float>(loss_share()));
  LossArgs args = {t_.options_.loss, static_cast<int32_t>(classes), static_cast<int32_t>(positions),
                   t_.options_.label_smoothing};
  float losses[train_block_images];
  k_.train.loss(args, output, target, scale, losses, arena + program_->output_grad);
  // Of what is no probability it has no value, and PyTorch refuses it.
  for (int64_t i = 0; i < n && t_.options_.loss == Loss::binary_cross_entropy; ++i) {
    for (int lane = 0; lane < run.count; ++lane) {
      const float x = output[i * lanes + lane];
      if (!(x >= 0 && x <= 1)) losses[lane] = std::numeric_limits<float>::quiet_NaN();
    }
  }
  std::copy_n(losses, run.count, losses_.data() + run.first_image);
  for (int lane = 0; lane < run.count; ++lane) {
    for (int64_t p = 0; p < positions; ++p)
      correct_[static_cast<size_t>(run.block)] +=
          is_right(output + p * lanes + lane, target + p * lanes + lane, positions * lanes);
  }
}

double TrainRun::loss_share() const {
  const Mean mean = mean_of(t_.options_.loss);
  if (mean == Mean::sum) return 1;
  const int64_t terms = mean == Mean::positions ? t_.positions_ : t_.output_length_;
  return 1.0 / (static_cast<double>(batch_) * static_cast<double>(terms));
}

bool TrainRun::is_right(const float* output, const float* target, int64_t step) const {
  const int64_t classes = t_.classes();
  if (classes == 1) {
    return (*output > threshold_of(t_.options_.loss)) == (*target > 0.5f);
  }
  int64_t best = 0, wanted = 0;
  for (int64_t i = 1; i < classes; ++i) {
    if (output[i * step] > output[best * step]) best = i;
    if (target[i * step] > target[wanted * step]) wanted = i;
  }
  return best == wanted;
}

}  // namespace kernelet
