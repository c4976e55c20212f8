// What a batch norm by its running statistics is, for the steps that take it in: x * scale + shift, rounded once.
#pragma once

#include "step.h"

namespace kernelet {

// Two operands of a step, scale and shift of each channel, `floats` (at least the channels) each.
void add_scale_and_shift(const Node& node, PlannedStep& planned, size_t floats);

}  // namespace kernelet
