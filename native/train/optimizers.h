// What a trainer knows of its optimizer; the formulas are kernels, kernels/train/update.h.
#pragma once

#include "trainer.h"

namespace kernelet {

// What the two buffers hold beside each weight; State::none where there is no such buffer.
struct OptimizerStates {
  Trainer::State first, second;
};
OptimizerStates states_of(Optimizer optimizer);

// Everything about step number `step`, from 1, but the learning rate. norm: of the gradients; has_first: the first
// buffer holds something.
UpdateArgs update_args_of(const TrainerOptions& options, uint64_t step, double norm, bool has_first);
void set_learning_rate(UpdateArgs& args, const TrainerOptions& options, uint64_t step, double learning_rate);

}  // namespace kernelet
