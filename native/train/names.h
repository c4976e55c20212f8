// The facade's names of what a trainer can be asked for, in the order of the enumerators.
#pragma once

namespace kernelet {

constexpr const char* loss_names[] = {
#define KERNELET_LOSS(name, text, mean, threshold) text,
#include "kernels/train/losses.inc"
#undef KERNELET_LOSS
};

constexpr const char* optimizer_names[] = {
#define KERNELET_OPTIMIZER(name, text, first, second) text,
#include "kernels/train/optimizers.inc"
#undef KERNELET_OPTIMIZER
};

}  // namespace kernelet
