// prod, argMax, argMin: along one axis, which is 1 then; cumSum: sums up to each element; sort: the elements in order, or as
// many of the first as the node's own shape says. The middle of [outer][n][inner], element by element.
#include <cstring>
#include <utility>

#include "definition.h"
#include "window.h"

namespace kernelet {
namespace {

Shape shape(const Node& node, const InputShapes& inputs) {
  check_axis(node, *inputs[0]);
  Shape out = *inputs[0];
  int64_t& length = out.dims[node.axis];
  if (node.op == Op::sort) {
    if (length > (int64_t{1} << 24))
      fail("ERR_SHAPE", {node.name, ": it sorts up to 2^24 elements but there are ", length});
    if (node.shape.rank == out.rank && node.shape.dims[node.axis] > 0 && node.shape.dims[node.axis] < length)
      length = node.shape.dims[node.axis];
  } else if (node.op != Op::cum_sum) {
    length = 1;
  }
  return out;
}

struct Fold {
  Op op;
  // argMax, argMin: of equals the last; cumSum: without the element itself, from the end; sort: the largest first, places
  bool alpha, beta;
  size_t outer = 1, n, inner, kept;  // kept: elements of a row of the output

  explicit Fold(const StepSpec& spec)
      : op(spec.first().op), alpha(spec.first().alpha != 0), beta(spec.first().beta != 0) {
    const Shape& in = spec.input();
    const int axis = spec.first().axis;
    inner = spec.width();
    n = static_cast<size_t>(in.dims[axis]);
    kept = static_cast<size_t>(spec.output().dims[axis]);
    for (int d = 0; d < in.rank; ++d)
      if (d != axis) (d < axis ? outer : inner) *= static_cast<size_t>(in.dims[d]);
  }

  // row(first element of an input row, of the output, how many columns are left), `columns` at a time
  template <class Row>
  void each(size_t columns, const Row& row) const {
    for (size_t o = 0; o < outer; ++o) {
      for (size_t i = 0; i < inner; i += columns) row(o * n * inner + i, o * kept * inner + i, inner - i);
    }
  }
  void product(const float* x, float* y) const {
    float product = 1;
    for (size_t i = 0; i < n; ++i) product = product * x[i * inner];
    *y = product;
  }
  // Of a NaN the first, as in PyTorch.
  void place(const float* x, float* y) const {
    size_t best = 0;
    for (size_t i = 1; i < n; ++i) {
      const float at = x[i * inner], of_best = x[best * inner];
      if (of_best != of_best) break;
      const bool beyond = op == Op::arg_max ? at > of_best : at < of_best;
      if (beyond || at != at || (alpha && at == of_best)) best = i;
    }
    *y = static_cast<float>(best);
  }
  static constexpr size_t beside = 64;
  // The same of so many columns beside each other.
  void places(const float* x, float* y) const {
    const float sign = op == Op::arg_max ? 1.0f : -1.0f;
    float best[beside], of_best[beside];
    for (size_t j = 0; j < beside; ++j) {
      of_best[j] = sign * x[j];
      best[j] = 0;
    }
    for (size_t i = 1; i < n; ++i) {
      const float place = static_cast<float>(i);
      const float* const row = x + i * inner;
      for (size_t j = 0; j < beside; ++j) {
        const float at = sign * row[j], old = of_best[j];
        const bool beyond = alpha ? !(at < old) : !(at <= old);  // also where either is NaN
        const bool taken = (old == old) & beyond;
        of_best[j] = taken ? at : old;
        best[j] = taken ? place : best[j];
      }
    }
    memcpy(y, best, sizeof best);
  }
  void sums(const float* x, float* y, bool exclusive, bool backwards) const {
    float sum = 0;
    for (size_t i = 0; i < n; ++i) {
      const size_t at = (backwards ? n - 1 - i : i) * inner;
      const float next = sum + x[at];
      y[at] = exclusive ? sum : next;
      sum = next;
    }
  }
  // Of two places the one that comes first: by their values, a NaN counting as the largest, of equals by themselves.
  bool before(const float* x, float a, float b) const {
    const float one = x[static_cast<size_t>(a) * inner], other = x[static_cast<size_t>(b) * inner];
    const bool is_nan = one != one, other_nan = other != other;
    if (is_nan != other_nan) return is_nan == alpha;
    if (one < other) return !alpha;
    if (one > other) return alpha;
    return a < b;
  }
  // A heap of the first places in y itself, the last of them on top, then, where they are wanted, what lies there.
  void sort(const float* x, float* y) const {
    const auto sink = [&](size_t at, size_t size) {
      const float place = y[at * inner];
      for (size_t child; (child = 2 * at + 1) < size; at = child) {
        if (child + 1 < size && before(x, y[child * inner], y[(child + 1) * inner])) ++child;
        if (!before(x, place, y[child * inner])) break;
        y[at * inner] = y[child * inner];
      }
      y[at * inner] = place;
    };
    for (size_t i = 0; i < kept; ++i) y[i * inner] = static_cast<float>(i);
    for (size_t i = kept / 2; i-- > 0;) sink(i, kept);
    for (size_t i = kept; i < n; ++i) {
      // most are beyond the last: one comparison
      const float one = x[i * inner], last = x[static_cast<size_t>(y[0]) * inner];
      if (alpha ? one <= last : one >= last) continue;
      if (!before(x, static_cast<float>(i), y[0])) continue;
      y[0] = static_cast<float>(i);
      sink(0, kept);
    }
    for (size_t size = kept; size-- > 1;) {
      std::swap(y[0], y[size * inner]);
      sink(0, size);
    }
    for (size_t i = 0; !beta && i < kept; ++i) y[i * inner] = x[static_cast<size_t>(y[i * inner]) * inner];
  }
};

class FoldStep : public Step {
 public:
  explicit FoldStep(const StepSpec& spec) : fold_(spec) {}
  void run(StepRun& run) const override {
    const float* const src = run.src(0);
    float* const dst = run.dst();
    const bool places = fold_.op == Op::arg_max || fold_.op == Op::arg_min;
    fold_.each(places ? Fold::beside : 1, [&](size_t from, size_t to, size_t left) {
      if (fold_.op == Op::prod) fold_.product(src + from, dst + to);
      else if (fold_.op == Op::cum_sum) fold_.sums(src + from, dst + to, fold_.alpha, fold_.beta);
      else if (fold_.op == Op::sort) fold_.sort(src + from, dst + to);
      else if (left >= Fold::beside) fold_.places(src + from, dst + to);
      else
        for (size_t i = 0; i < left; ++i) fold_.place(src + from + i, dst + to + i);
    });
  }

 private:
  Fold fold_;
};

void plan(const StepSpec& spec, PlannedStep& planned) {
  planned.step.reset(new FoldStep(spec));
  planned.problem = spec.input().text() + number("axis", spec.first().axis);
}

}  // namespace

const OpDefinition ops::fold = {1, axis_attribute | parameter_attributes, shape, plan};

}  // namespace kernelet
