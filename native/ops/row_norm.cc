// layerNorm, rmsNorm: each row of an image, the dimensions from `axis` on, normalised by itself, with a scale and a shift
// for each of its elements. groupNorm: each of `groups` groups of channels, with a scale and a shift a channel. And the
// activation behind them.
#include <algorithm>

#include "definition.h"
#include "image_sums.h"
#include "window.h"

namespace kernelet {
namespace {

size_t row_length(const Node& node, const Shape& shape) {
  int64_t n = 1;
  for (int d = node.axis; d < shape.rank; ++d) n *= shape.dims[d];
  return static_cast<size_t>(n);
}

// Scales, and shifts.
size_t scales_of(const Node& node, const Shape& shape) {
  return node.op == Op::group_norm ? static_cast<size_t>(shape.dims[0]) : row_length(node, shape);
}

Shape shape(const Node& node, const InputShapes& inputs) {
  const Shape& in = *inputs[0];
  if (node.op == Op::group_norm) {
    if (node.groups < 1 || in.dims[0] % node.groups != 0)
      bad_shape(node, {"channels in ", node.groups, " groups"}, {in.dims[0]});
  } else {
    check_axis(node, in);
  }
  const int64_t scales = static_cast<int64_t>(scales_of(node, in));
  if (node.weight.data != nullptr) check_length(node, "weight", node.weight, scales);
  if (node.bias.data != nullptr) check_length(node, "bias", node.bias, scales);
  return in;
}

RowNormArgs args_of(const StepSpec& spec) {
  const Node& node = spec.first();
  const Shape& shape = spec.output();
  const size_t elements = static_cast<size_t>(shape.elements());
  RowNormArgs s = RowNormArgs();
  s.width = int_of(static_cast<int64_t>(spec.layout == Layout::planes ? 1 : spec.kernels->lanes));
  s.epsilon = node.epsilon;
  s.centred = node.op != Op::rms_norm;
  if (spec.layout == Layout::blocked) {
    // a channel in each lane, which is a row
    s.rows = int_of(spec.planes_of(shape.dims[0]));
    s.n = s.inner = elements / static_cast<size_t>(shape.dims[0]);
    s.scales = static_cast<size_t>(spec.kernels->lanes);
  } else if (node.op == Op::group_norm) {
    s.rows = node.groups;
    s.n = elements / static_cast<size_t>(node.groups);
    s.inner = elements / static_cast<size_t>(shape.dims[0]);
    s.scales = s.n / s.inner;
  } else {
    s.n = row_length(node, shape);
    s.rows = int_of(static_cast<int64_t>(elements / s.n));
    s.inner = 1;
  }
  BinaryArgs& a = s.affine;
  a.f = Binary::affine;
  a.after = fused_activation(spec);
  const size_t width = static_cast<size_t>(s.width), run = s.inner * width;
  const bool by_lane = spec.layout == Layout::blocked, single = run == 1;
  a.rank = single ? 1 : 2;
  const int last = a.rank - 1;
  a.dims[0] = by_lane || single ? s.n : s.n / s.inner;
  a.dims[last] = by_lane ? width : single ? s.n : run;
  a.a[0] = a.dims[last];
  a.a[last] = 1;
  a.b[0] = by_lane ? 0 : 1;
  a.b[last] = by_lane || single ? 1 : 0;
  return s;
}

void pack(const Node& node, const Floats& from, float otherwise, float* to) {
  if (from.data != nullptr) std::copy_n(from.data, from.length, to);
  else std::fill_n(to, scales_of(node, node.shape), otherwise);
}
void pack_scale(const Node& node, float* to) { pack(node, node.weight, 1.0f, to); }
void pack_shift(const Node& node, float* to) { pack(node, node.bias, 0.0f, to); }

class RowNormStep : public Step {
 public:
  explicit RowNormStep(const StepSpec& spec) : row_norm_(spec.kernels->row_norm), args_(args_of(spec)) {}
  void run(StepRun& run) const override { row_norm_(args_, run.src(0), run.src(1), run.src(2), run.dst()); }
  int phases() const override { return 1; }
  void run_part(StepRun& run, int, int part, int parts) const override {
    RowNormArgs some = args_;
    const size_t rows = static_cast<size_t>(args_.rows), begin = part_begin(rows, part, parts);
    some.rows = int_of(static_cast<int64_t>(part_begin(rows, part + 1, parts) - begin));
    const size_t at = begin * args_.n * static_cast<size_t>(args_.width), scale = begin * args_.scales;
    row_norm_(some, run.src(0) + at, run.src(1) + scale, run.src(2) + scale, run.dst() + at);
  }

 private:
  decltype(KernelTable::row_norm) row_norm_;
  RowNormArgs args_;
};

void plan(const StepSpec& spec, PlannedStep& planned) {
  planned.step.reset(new RowNormStep(spec));
  const size_t floats = spec.operand_floats(scales_of(spec.first(), spec.output()));
  planned.operands.push_back({&spec.first(), floats, pack_scale});
  planned.operands.push_back({&spec.first(), floats, pack_shift});
  const RowNormArgs s = args_of(spec);
  planned.problem = number("r", spec.layout == Layout::blocked ? spec.output().dims[0] : s.rows) +
                    number("n", static_cast<int64_t>(s.n));
}

// Where every channel is a row, a lane can be one.
bool blocked(const StepSpec& spec) {
  return spec.first().op == Op::group_norm && spec.first().groups == spec.output().dims[0];
}

class RowNormTraining : public TrainStep {
 public:
  explicit RowNormTraining(const TrainSpec& spec)
      : k_(spec.kernels),
        args_(args_of(spec)),
        scale_(scales_of(spec.first(), spec.output()), 1.0f),
        shift_(scale_.size(), 0.0f) {
    weight = spec.weight;
    bias = spec.bias;
    rows = int_of(static_cast<int64_t>(scale_.size()));
    row_length = 1;
    parts = {0, rows};
    reads_src = spec.wants_backward;
    trained_ = weight.trained || bias.trained;
    if (trained_) scratch_floats = 2 * scale_.size() * static_cast<size_t>(k_->lanes);
  }
  void forward(BlockRun& run, int) override {
    k_->row_norm(args_, run.src(0), scale_.data(), shift_.data(), run.dst());
  }
  void backward(BlockRun& run, int) override {
    const size_t lanes = static_cast<size_t>(k_->lanes);
    float *const dw = trained_ ? run.scratch : nullptr, *const db =
                                                            dw + (trained_ ? scale_.size() * lanes : 0);
    k_->train.row_norm_dx(args_, run.src(0), run.grad, scale_.data(), run.src_grad(0), dw, db);
    for (int i = 0; trained_ && i < rows; ++i) {
      of_scale_.put(run, i, dw + static_cast<size_t>(i) * lanes);
      of_shift_.put(run, i, db + static_cast<size_t>(i) * lanes);
    }
  }
  void reserve(int batch, int) override {
    if (!trained_) return;
    of_scale_.reserve(batch, rows);
    of_shift_.reserve(batch, rows);
  }
  void pack_weight(const float* w, int) override { scale_.assign(w, w + rows); }
  void pack_bias(const float* b) override { shift_.assign(b, b + rows); }
  void weight_gradient(int batch, int begin, int end, float* dw) override {
    for (int i = begin; i < end; ++i) dw[i - begin] = static_cast<float>(of_scale_.total(batch, i));
  }
  void bias_gradient(int batch, float* db) override {
    for (int i = 0; i < rows; ++i) db[i] = static_cast<float>(of_shift_.total(batch, i));
  }

 private:
  const KernelTable* k_;
  RowNormArgs args_;
  std::vector<float> scale_, shift_;
  bool trained_ = false;
  ImageSums of_scale_, of_shift_;
};

}  // namespace

const OpDefinition ops::row_norm = {
    1,
    axis_attribute | groups_attribute | epsilon_attribute | weight_attribute | bias_attribute,
    shape,
    plan,
    make_train_step<RowNormTraining>,
    fuses_activation,
    View::never,
    blocked};

}  // namespace kernelet
