// linear: src [rows][in] -> dst [rows][out], and the activation behind it.
#include "linear.h"

#include "check.h"
#include "definition.h"
#include "window.h"

namespace kernelet {
namespace {

Shape shape(const Node& node, const InputShapes& inputs) {
  const Shape& in = *inputs[0];
  Shape out = in;
  out.dims[out.rank - 1] = node.shape.rank == in.rank ? node.shape.dims[in.rank - 1] : 0;
  out.check(node.name);
  const int64_t features = in.dims[in.rank - 1];
  if (features > Shape::max_elements / out.dims[out.rank - 1])
    bad_shape(node, {"fewer features"}, {in.text()});
  check_length(node, "weight", node.weight, out.dims[out.rank - 1] * features);
  if (node.bias.data != nullptr) check_length(node, "bias", node.bias, out.dims[out.rank - 1]);
  return out;
}

bool fuses(const Graph&, const std::vector<int>& nodes, const Node& next, const FusionRules& rules) {
  if (nodes.size() > 1 || !is_activation(next)) return false;
  if (rules.training) return has_slope_by_output(activation_of(next.op));  // all that backward keeps
  return !rules.int8 || next.op == Op::relu;
}

LinearArgs args_of(const StepSpec& spec) {
  const Shape &in = spec.input(), &out = spec.output();
  LinearArgs a = LinearArgs();
  a.in = int_of(in.dims[in.rank - 1]);
  a.out = int_of(out.dims[out.rank - 1]);
  a.rows = int_of(in.elements() / a.in);
  a.activation = fused_activation(spec);
  return a;
}

void plan(const StepSpec& spec, PlannedStep& planned) {
  LinearStep* const step = new LinearStep;
  planned.step.reset(step);
  const LinearArgs& a = step->args = args_of(spec);
  planned.problem = number("ic", a.in) + number("oc", a.out) + (a.rows > 1 ? number("mb", a.rows) : "");
  planned.macs = int64_t{a.rows} * a.in * a.out;
  planned.has_bias = spec.first().bias.data != nullptr;
}

class LinearTraining : public MatrixTraining {
 public:
  explicit LinearTraining(const TrainSpec& spec) : MatrixTraining(spec, args_of(spec)) {
    LinearStep* const linear = new LinearStep;
    step_.reset(linear);
    linear->algorithm = &k_->batched_linear;
    linear->args = args_;
    reads_src = spec.wants_backward && weight.trained;
    reads_dst = spec.wants_backward && args_.activation.f != Activation::none;
  }

  void backward(BlockRun& run, int) override {
    const Activation f = args_.activation.f;
    float* grad = run.grad;
    if (weight.trained || bias.trained) {
      grad = gradient_of(run);
      k_->train.activate_dx(f, dst_floats_, run.dst(), run.grad, grad);
    } else if (f != Activation::none) {
      k_->train.activate_dx(f, dst_floats_, run.dst(), run.grad, grad);
    }
    if (run.src_grad(0) != nullptr)
      k_->train.linear_dx(args_, run.parameters + weight.offset, grad, run.src_grad(0));
    if (weight.trained) keep_rows(run, run.src(0));
  }
};

}  // namespace

MatrixTraining::MatrixTraining(const TrainSpec& spec, const LinearArgs& args)
    : k_(spec.kernels),
      args_(args),
      dst_floats_(static_cast<size_t>(args.rows) * static_cast<size_t>(args.out) * spec.width()) {
  weight = spec.weight;
  bias = spec.bias;
  rows = args.out;
  row_length = args.in;
  add_row_parts(parts, 0, rows, k_->batched_linear.tile_rows);
  parts.push_back(rows);
  packed_ = zeros(k_->batched_linear.weights_size(args));
  packed_bias_ = zeros(k_->batched_linear.bias_size(args));
  args_.weights = packed_.data();
  args_.bias = packed_bias_.data();
}

float* MatrixTraining::gradient_of(const BlockRun& run) const {
  // by lanes, not by blocks: the part's place among all parts of the batch
  return grads_.data() + static_cast<size_t>(run.first_image / k_->lanes) * dst_floats_;
}

void MatrixTraining::keep_rows(const BlockRun& run, const float* src) {
  k_->train.linear_panels(gradient_args(run.batch), run.first_image, run.count, src, panels_.data());
}

void MatrixTraining::reserve(int batch, int) {
  if (!weight.trained && !bias.trained) return;
  const size_t blocks = static_cast<size_t>((batch + k_->lanes - 1) / k_->lanes);
  if (grads_.size() < blocks * dst_floats_) grads_ = AlignedFloats(blocks * dst_floats_);
  const size_t panels = weight.trained ? k_->train.linear_panel_size(gradient_args(batch)) : 0;
  if (panels_.size() < panels) panels_ = AlignedFloats(panels);
}

void MatrixTraining::pack_weight(const float* w, int part) {
  const int begin = parts[static_cast<size_t>(part)];
  const size_t at = static_cast<size_t>(begin) * static_cast<size_t>(row_length);
  k_->train.pack_rows(parts[static_cast<size_t>(part) + 1] - begin, static_cast<int32_t>(row_length), w + at,
                      packed_.data() + at);
}

void MatrixTraining::pack_bias(const float* b) {
  copy_bias(b, static_cast<size_t>(rows), packed_bias_.data());
}

void MatrixTraining::weight_gradient(int batch, int begin, int end, float* dw) {
  k_->train.linear_dw(gradient_args(batch), begin, end, dw, nullptr);
}

void MatrixTraining::bias_gradient(int batch, float* db) {
  k_->train.linear_dw(gradient_args(batch), 0, rows, nullptr, db);
}

LinearGradArgs MatrixTraining::gradient_args(int batch) const {
  return {batch, args_.rows, args_.in, args_.out, panels_.data(), grads_.data()};
}

void LinearStep::run(StepRun& run) const {
  run_kernel(run, [&](const float* src, float* dst, float* scratch) {
    if (fused_into_conv && !run.unfused) algorithm->finish(args, scratch + sums, dst);
    else algorithm->run(args, src, dst);
  });
}

void LinearStep::run_part(StepRun& run, int, int part, int parts) const {
  algorithm->run_part(args, run.src(0), run.dst(), part, parts);
}

bool LinearStep::shares_weights() const {
  constexpr size_t second_level_cache = (size_t{256} << 10) / sizeof(float);
  return args.rows == 1 && algorithm->run_images != nullptr && phases() > 0 &&
         weights_size() > second_level_cache;
}

void LinearStep::run_images(const StepRun& run, int images, size_t tail_stride, size_t output_stride) const {
  if (!shares_weights()) return Step::run_images(run, images, tail_stride, output_stride);
  const size_t to = run.destination.kind == Location::tail ? tail_stride : output_stride;
  algorithm->run_images(args, images, run.src(0), tail_stride, run.dst(), to);
}

void LinearStep::pack(const float* from, float* weights) const { algorithm->pack(args, from, weights); }

size_t LinearStep::piece(size_t begin) const {
  return algorithm->piece == nullptr ? outputs() : static_cast<size_t>(algorithm->piece(args, int_of(begin)));
}

void LinearStep::pack_piece(size_t begin, size_t end, const float* from, float* weights) const {
  LinearArgs part = args;
  part.out = int_of(end - begin);
  part.parts = 1;  // the panels are cut already
  algorithm->pack(part, from, weights + begin * static_cast<size_t>(args.in));
}

void LinearStep::place(const float* weights, const float* bias) {
  args.weights = weights;
  args.bias = bias;
}

const OpDefinition ops::linear = {1,    weight_attribute | bias_attribute, shape,
                                  plan, make_train_step<LinearTraining>,   fuses};

}  // namespace kernelet
