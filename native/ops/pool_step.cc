#include "pool_step.h"

#include "definition.h"
#include "window.h"

namespace kernelet {
namespace {

class PoolStep : public Step {
 public:
  PoolStep(const StepSpec& spec, Pool pool, bool adaptive)
      : kernels_(spec.layout == Layout::planes ? &spec.kernels->pool : &spec.kernels->batched_pool),
        args_(pool_args_of(spec.first(), spec.input())),
        pool_(pool),
        adaptive_(adaptive) {
    args_.c = int_of(spec.planes_of(args_.c));
    in_plane_ = spec.floats_of(spec.input()) / static_cast<size_t>(args_.c);
    out_plane_ = spec.floats_of(spec.output()) / static_cast<size_t>(args_.c);
  }
  void run(StepRun& run) const override { run_part(run, 0, 0, 1); }
  int phases() const override { return 1; }
  void run_part(StepRun& run, int, int part, int parts) const override {
    const size_t planes = static_cast<size_t>(args_.c);
    const size_t begin = part_begin(planes, part, parts), end = part_begin(planes, part + 1, parts);
    if (begin == end) return;
    PoolArgs some = args_;
    some.c = static_cast<int32_t>(end - begin);
    const float* const src = run.src(0) + begin * in_plane_;
    float* const dst = run.dst() + begin * out_plane_;
    if (adaptive_) kernels_->adaptive(some, pool_, src, dst);
    else (pool_ == Pool::max ? kernels_->max : kernels_->average)(some, src, dst);
  }

 private:
  const PoolAlgorithm* kernels_;
  PoolArgs args_;
  Pool pool_;
  bool adaptive_;
  size_t in_plane_, out_plane_;  // floats
};

}  // namespace

std::unique_ptr<Step> pool_step(const StepSpec& spec, Pool pool, bool adaptive) {
  return std::unique_ptr<Step>(new PoolStep(spec, pool, adaptive));
}

}  // namespace kernelet
