// The step of any pool: plane by plane, so several threads share it by planes.
#pragma once

#include "step.h"

namespace kernelet {

// adaptive: of windows that cover the plane, each of its own size
std::unique_ptr<Step> pool_step(const StepSpec& spec, Pool pool, bool adaptive);

}  // namespace kernelet
