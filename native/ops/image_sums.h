// Sums over the images of a batch that depend neither on the threads nor on the lanes: each image's by itself, then
// added up in double in the order of the images.
#pragma once

#include "train_step.h"

namespace kernelet {

class ImageSums {
 public:
  void reserve(int images, int channels) {
    channels_ = channels;
    const size_t floats = static_cast<size_t>(images) * static_cast<size_t>(channels);
    if (floats_.size() < floats) floats_ = AlignedFloats(floats);
  }
  // of the images of a part, [lanes]
  void put(const BlockRun& run, int channel, const float* values) {
    for (int lane = 0; lane < run.count; ++lane) at(run.first_image + lane, channel) = values[lane];
  }
  float& at(int image, int channel) {
    return floats_
        .data()[static_cast<size_t>(image) * static_cast<size_t>(channels_) + static_cast<size_t>(channel)];
  }
  double total(int images, int channel) {
    double sum = 0;
    for (int image = 0; image < images; ++image) sum += at(image, channel);
    return sum;
  }

 private:
  AlignedFloats floats_;  // [image][channel]
  int channels_ = 0;
};

// Of channels: dimension 0 of an image.
struct Channels {
  int count;
  size_t inner;  // elements of one
  explicit Channels(const Shape& shape)
      : count(static_cast<int>(shape.dims[0])),
        inner(static_cast<size_t>(shape.elements() / shape.dims[0])) {}
};

}  // namespace kernelet
