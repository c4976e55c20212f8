// Variations of training images, from JavaScript: NativeAugment in lib/native.ts.
#pragma once

#include <napi.h>

#include "../core/augment.h"

namespace kernelet {
namespace bindings {

AugmentOptions augment_options_of(const Napi::Value& value);

// Arguments: images, shape [channels, height, width], options, seed, epoch, first index, threads. A
// Float32Array of the images' length.
Napi::Value augment(const Napi::CallbackInfo& info);

}  // namespace bindings
}  // namespace kernelet
