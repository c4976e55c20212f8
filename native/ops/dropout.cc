// dropout: in training, elements set to 0 with probability p, the others scaled by 1 / (1 - p); in plans a view.
#include "definition.h"

namespace kernelet {
namespace {

Shape shape(const Node& node, const InputShapes& inputs) {
  if (!(node.p >= 0.0f && node.p <= 1.0f)) {
    fail("ERR_ARGUMENT", {node.name, ": expected p from 0 to 1 but received ", node.p});
  }
  return *inputs[0];
}

// Backward draws the same numbers again.
class DropoutTraining : public TrainStep {
 public:
  explicit DropoutTraining(const TrainSpec& spec)
      : k_(spec.kernels),
        n_(static_cast<size_t>(spec.output().elements())),
        p_(spec.first().p),
        node_((*spec.nodes)[0]) {}
  void forward(BlockRun& run, int) override { k_->train.dropout(args(run), n_, run.src(0), run.dst()); }
  void backward(BlockRun& run, int) override { k_->train.dropout(args(run), n_, run.grad, run.src_grad(0)); }

 private:
  // SplitMix64 over seed, step and node.
  DropoutArgs args(const BlockRun& run) const {
    uint64_t z = run.seed;
    for (const uint64_t word : {run.step, static_cast<uint64_t>(node_)}) {
      z = (z ^ word) + 0x9e3779b97f4a7c15u;
      z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
      z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
      z ^= z >> 31;
    }
    return {p_, static_cast<uint32_t>(z), static_cast<uint32_t>(run.first_image)};
  }

  const KernelTable* k_;
  size_t n_;
  float p_;
  int node_;
};

}  // namespace

const OpDefinition ops::dropout = {
    1, probability_attribute, shape, nullptr, make_train_step<DropoutTraining>, nullptr, View::in_plans};

}  // namespace kernelet
