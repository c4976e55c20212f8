// matmul: a [..., rows, inner] times b [..., inner, columns] -> [..., rows, columns], both values of the graph; what
// comes before the matrices broadcasts.
#include <algorithm>

#include "binary.h"
#include "definition.h"
#include "window.h"

namespace kernelet {
namespace {

Shape shape(const Node& node, const InputShapes& inputs) {
  const Shape &a = *inputs[0], &b = *inputs[1];
  if (a.rank < 2 || b.rank < 2 || a.dims[a.rank - 1] != b.dims[b.rank - 2])
    bad_shape(node, {"matrices whose inner dimensions are the same"}, {a.text(), " and ", b.text()});
  Shape out = a;
  if (!stretch(out, b, 3))
    bad_shape(node, {"shapes that broadcast before the matrices"}, {a.text(), " and ", b.text()});
  out.dims[out.rank - 2] = a.dims[a.rank - 2];
  out.dims[out.rank - 1] = b.dims[b.rank - 1];
  out.check(node.name);
  return out;
}

// The products of a stack of matrices.
struct Products {
  MatmulArgs args = MatmulArgs();
  int rank = 0;  // of the stack
  size_t dims[Shape::max_rank] = {}, a[Shape::max_rank] = {}, b[Shape::max_rank] = {};
  size_t count = 1, result = 0;  // of matrices; floats of a product

  explicit Products(const StepSpec& spec) {
    const Shape &left = spec.input(0), &right = spec.input(1), &out = spec.output();
    const size_t width = spec.width();
    args.rows = int_of(out.dims[out.rank - 2]);
    args.inner = int_of(left.dims[left.rank - 1]);
    args.columns = int_of(out.dims[out.rank - 1]);
    rank = out.rank - 2;
    const auto strides = [&](const Shape& shape, size_t(&to)[Shape::max_rank]) {
      size_t next =
          static_cast<size_t>(shape.dims[shape.rank - 1]) * static_cast<size_t>(shape.dims[shape.rank - 2]);
      bool repeats = false;
      for (int d = rank - 1; d >= 0; --d) {
        const int i = d - out.rank + shape.rank;
        const int64_t dim = i < 0 ? 1 : shape.dims[i];
        to[d] = dim == 1 ? 0 : next * width;
        repeats = repeats || dim != out.dims[d];
        next *= static_cast<size_t>(dim);
      }
      return repeats;
    };
    const bool repeats_a = strides(left, a);
    strides(right, b);
    for (int d = 0; d < rank; ++d) {
      dims[d] = static_cast<size_t>(out.dims[d]);
      count *= dims[d];
    }
    // one matrix for a whole stack: it is a matrix itself
    if (!repeats_a && std::all_of(b, b + rank, [](size_t stride) { return stride == 0; })) {
      args.rows = int_of(static_cast<int64_t>(count) * args.rows);
      rank = 0;
      count = 1;
    }
    args.a_inner = args.b_column = static_cast<ptrdiff_t>(width);
    args.a_row = args.inner * args.a_inner;
    args.b_inner = args.columns * args.b_column;
    result = static_cast<size_t>(args.rows) * static_cast<size_t>(args.columns) * width;
  }

  // body(where the matrix of a begins, of b, of the product)
  template <class Body>
  void each(Body body) const {
    size_t index[Shape::max_rank] = {}, at_a = 0, at_b = 0;
    for (size_t i = 0; i < count; ++i) {
      body(at_a, at_b, i * result);
      for (int d = rank - 1; d >= 0; --d) {
        at_a += a[d];
        at_b += b[d];
        if (++index[d] < dims[d]) break;
        at_a -= a[d] * dims[d];
        at_b -= b[d] * dims[d];
        index[d] = 0;
      }
    }
  }
};

class MatmulStep : public Step {
 public:
  explicit MatmulStep(const StepSpec& spec)
      : k_(spec.kernels), products_(spec), batched_(spec.layout == Layout::batched) {}
  void run(StepRun& run) const override {
    const MatmulArgs& s = products_.args;
    const float *const a = run.src(0), *const b = run.src(1);
    float* const dst = run.dst();
    products_.each([&](size_t at_a, size_t at_b, size_t to) {
      if (batched_) k_->batched_matmul(s, a + at_a, b + at_b, dst + to);
      else k_->matmul(s, a + at_a, b + at_b, dst + to, run.scratch);
    });
  }
  size_t scratch_floats() const override { return batched_ ? 0 : k_->matmul_scratch(products_.args); }

 private:
  const KernelTable* k_;
  Products products_;
  bool batched_;
};

void plan(const StepSpec& spec, PlannedStep& planned) {
  const Products products(spec);
  const MatmulArgs& s = products.args;
  planned.step.reset(new MatmulStep(spec));
  planned.algorithm = spec.layout == Layout::batched ? "lanes" : "gemm";
  planned.problem = number("m", s.rows) + number("k", s.inner) + number("n", s.columns) +
                    (products.count > 1 ? number("mb", static_cast<int64_t>(products.count)) : "");
  planned.macs = static_cast<int64_t>(products.count) * s.rows * s.inner * s.columns;
}

// da = dc bᵀ, db = aᵀ dc; of a matrix that is repeated the sum over its repetitions, in order.
class MatmulTraining : public TrainStep {
 public:
  explicit MatmulTraining(const TrainSpec& spec)
      : TrainStep(std::unique_ptr<Step>(new MatmulStep(spec))), k_(spec.kernels), products_(spec) {
    for (size_t i = 0; i < 2; ++i) lengths_[i] = spec.floats_of(spec.input(i));
    reads_src = spec.wants_backward;
    const MatmulArgs& s = products_.args;
    to_a_.rows = s.rows;
    to_a_.inner = s.columns;
    to_a_.columns = s.inner;
    to_a_.a_row = s.b_inner;  // the gradient lies as b does, row after row
    to_a_.a_inner = s.b_column;
    to_a_.b_inner = s.b_column;
    to_a_.b_column = s.b_inner;
    to_b_.rows = s.inner;
    to_b_.inner = s.rows;
    to_b_.columns = s.columns;
    to_b_.a_row = s.a_inner;
    to_b_.a_inner = s.a_row;
    to_b_.b_inner = s.b_inner;
    to_b_.b_column = s.b_column;
    sizes_[0] = static_cast<size_t>(s.a_row) * static_cast<size_t>(s.rows);
    sizes_[1] = static_cast<size_t>(s.b_inner) * static_cast<size_t>(s.inner);
    if (spec.wants_backward) scratch_floats = std::max(sizes_[0], sizes_[1]);
  }

  void backward(BlockRun& run, int) override {
    float *const da = run.src_grad(0), *const db = run.src_grad(1);
    // a product that is not repeated is written once
    const bool sums[2] = {lengths_[0] != products_.count * sizes_[0],
                          lengths_[1] != products_.count * sizes_[1]};
    if (da != nullptr && sums[0]) std::fill_n(da, lengths_[0], 0.0f);
    if (db != nullptr && sums[1]) std::fill_n(db, lengths_[1], 0.0f);
    products_.each([&](size_t at_a, size_t at_b, size_t at) {
      const float* const grad = run.grad + at;
      if (da != nullptr) share(run, to_a_, grad, run.src(1) + at_b, sums[0], sizes_[0], da + at_a);
      if (db != nullptr) share(run, to_b_, run.src(0) + at_a, grad, sums[1], sizes_[1], db + at_b);
    });
  }

 private:
  void share(BlockRun& run, const MatmulArgs& s, const float* a, const float* b, bool sum, size_t n,
             float* to) const {
    k_->batched_matmul(s, a, b, sum ? run.scratch : to);
    if (sum) k_->add(n, to, run.scratch, to);
  }

  const KernelTable* k_;
  Products products_;
  MatmulArgs to_a_ = MatmulArgs(), to_b_ = MatmulArgs();
  size_t lengths_[2], sizes_[2];
};

}  // namespace

const OpDefinition ops::matmul = {2, no_attributes, shape, plan, make_train_step<MatmulTraining>};

}  // namespace kernelet
