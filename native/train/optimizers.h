// What a trainer knows of its optimizer; the formulas are kernels, kernels/train/update.h.
#pragma once

#include "trainer.h"

namespace kernelet {

// What the two buffers hold beside each weight; State::none where there is no such buffer.
struct OptimizerStates {
  Trainer::State first, second;
};
OptimizerStates states_of(Optimizer optimizer);

// What an update does but for what depends on the parameter. norm: of the gradients; has_first: the first buffer holds
// something.
UpdateArgs update_args_of(const TrainerOptions& options, double norm, bool has_first);
// The same for a parameter; `step` steps were taken before.
UpdateArgs update_args_of(const UpdateArgs& all, const TrainerOptions& options,
                          const TrainedParameter& parameter, uint64_t step, double learning_rate);

}  // namespace kernelet
