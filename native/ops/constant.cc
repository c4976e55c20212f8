// input and constant: values that are there. A constant may be trained.
#include "definition.h"
#include "image_sums.h"

namespace kernelet {
namespace {

Shape input_shape(const Node& node, const InputShapes&) { return node.shape; }

Shape constant_shape(const Node& node, const InputShapes&) {
  check_length(node, "weight", node.weight, node.shape.elements());
  return node.shape;
}

// The same for every image.
class ConstantTraining : public TrainStep {
 public:
  explicit ConstantTraining(const TrainSpec& spec)
      : k_(spec.kernels), values_(static_cast<size_t>(spec.output().elements())) {
    weight = spec.weight;
    rows = static_cast<int>(values_.size());
    row_length = 1;
    parts = {0, rows};
  }
  void forward(BlockRun& run, int) override {
    float* to = run.dst();
    for (float value : values_) {
      for (int lane = 0; lane < k_->lanes; ++lane) *to++ = value;
    }
  }
  void backward(BlockRun& run, int) override {
    for (int i = 0; i < rows; ++i)
      sums_.put(run, i, run.grad + static_cast<size_t>(i) * static_cast<size_t>(k_->lanes));
  }
  void reserve(int batch, int) override { sums_.reserve(batch, rows); }
  void pack_weight(const float* w, int) override { values_.assign(w, w + rows); }
  void weight_gradient(int batch, int begin, int end, float* dw) override {
    for (int i = begin; i < end; ++i) dw[i - begin] = static_cast<float>(sums_.total(batch, i));
  }

 private:
  const KernelTable* k_;
  std::vector<float> values_;
  ImageSums sums_;
};

}  // namespace

const OpDefinition ops::input = {0, no_attributes, input_shape};
const OpDefinition ops::constant = {0, weight_attribute, constant_shape, nullptr,
                                    make_train_step<ConstantTraining>};

}  // namespace kernelet
