// Variations of training images, from JavaScript: NativeAugment in lib/backend/backend.ts.
#pragma once

#include <napi.h>

#include <memory>

#include "base/shape.h"
#include "train/augment.h"
#include "train/trainer.h"

namespace kernelet {
namespace bindings {

// For a trainer whose images have this shape; throws ERR_SHAPE unless it is [channels, height, width].
std::shared_ptr<const ImagePreparation> augment_preparation_of(const Napi::Value& options,
                                                               const Shape& shape);

// Arguments: images, shape [channels, height, width], options, seed, epoch, first index, threads. A
// Float32Array of the images' length.
Napi::Value augment(const Napi::CallbackInfo& info);

}  // namespace bindings
}  // namespace kernelet
