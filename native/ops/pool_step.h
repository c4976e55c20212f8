// The step of any pool: plane by plane, so several threads share it by planes.
#pragma once

#include "step.h"

namespace kernelet {

class PoolStep : public Step {
 public:
  // adaptive: of windows that cover the plane, each of its own size
  PoolStep(const StepSpec& spec, Pool pool, bool adaptive);
  void run(StepRun& run) const override { run_part(run, 0, 0, 1); }
  int phases() const override { return 1; }
  void run_part(StepRun& run, int phase, int part, int parts) const override;

 private:
  const PoolAlgorithm* kernels_;
  PoolArgs args_;
  Pool pool_;
  bool adaptive_;
  size_t in_plane_, out_plane_;  // floats
};

}  // namespace kernelet
