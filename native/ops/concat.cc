// concat: values one after another along an axis.
#include <cstring>

#include "definition.h"
#include "window.h"

namespace kernelet {
namespace {

Shape shape(const Node& node, const InputShapes& inputs) {
  Shape out = *inputs[0];
  check_axis(node, out);
  for (size_t i = 1; i < inputs.size(); ++i) {
    const Shape& next = *inputs[i];
    bool fits = next.rank == out.rank;
    for (int d = 0; fits && d < out.rank; ++d) fits = d == node.axis || next.dims[d] == out.dims[d];
    if (!fits) bad_shape(node, {"inputs alike but for dimension ", node.axis}, {next.text()});
    out.dims[node.axis] += next.dims[node.axis];
    out.check(node.name);
  }
  return out;
}

// dst is `outer` rows, each the inputs' rows of these lengths one after another.
struct Rows {
  size_t outer = 1;
  std::vector<size_t> lengths;

  explicit Rows(const StepSpec& spec) {
    const Node& node = spec.first();
    for (int i = 0; i < node.axis; ++i) outer *= static_cast<size_t>(node.shape.dims[i]);
    for (size_t i = 0; i < node.inputs.size(); ++i) lengths.push_back(spec.floats_of(spec.input(i)) / outer);
  }
};

class ConcatStep : public Step {
 public:
  explicit ConcatStep(const StepSpec& spec) : rows_(spec) {}
  void run(StepRun& run) const override {
    float* to = run.dst();
    for (size_t row = 0; row < rows_.outer; ++row) {
      for (size_t i = 0; i < rows_.lengths.size(); ++i) {
        // what was written in its place already, as the pass over memory has it, is not copied
        const float* const from = run.src(i) + row * rows_.lengths[i];
        if (from != to) std::memcpy(to, from, rows_.lengths[i] * sizeof(float));
        to += rows_.lengths[i];
      }
    }
  }

 private:
  Rows rows_;
};

void plan(const StepSpec& spec, PlannedStep& planned) {
  planned.step.reset(new ConcatStep(spec));
  planned.algorithm = "copy";
  planned.problem = spec.output().text() + number("axis", spec.first().axis);
}

// Whole blocks of channels one after another.
bool blocked(const StepSpec& spec) {
  const Node& node = spec.first();
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    if (spec.input(i).dims[0] % spec.kernels->lanes != 0) return false;
  }
  return node.axis == 0;
}

class ConcatTraining : public TrainStep {
 public:
  explicit ConcatTraining(const TrainSpec& spec)
      : TrainStep(std::unique_ptr<Step>(new ConcatStep(spec))), rows_(spec) {}
  void backward(BlockRun& run, int) override {
    const float* from = run.grad;
    for (size_t row = 0; row < rows_.outer; ++row) {
      for (size_t i = 0; i < rows_.lengths.size(); ++i) {
        if (run.src_grad(i) != nullptr)
          std::memcpy(run.src_grad(i) + row * rows_.lengths[i], from, rows_.lengths[i] * sizeof(float));
        from += rows_.lengths[i];
      }
    }
  }

 private:
  Rows rows_;
};

}  // namespace

const OpDefinition ops::concat = {
    OpDefinition::any, axis_attribute, shape,  plan, make_train_step<ConcatTraining>,
    nullptr,           View::never,    blocked};

}  // namespace kernelet
