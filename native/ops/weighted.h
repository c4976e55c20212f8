// Steps with packed weights, convolutions and linear layers: what the passes over a plan do to both alike.
#pragma once

#include "step.h"

namespace kernelet {

// What an int8 step does around its sums: floats -> bytes before them (null where bytes lie there already), and
// sums -> bytes or floats behind them. Offsets in the step's scratch.
struct Requantization {
  Rescale before = nullptr, after = nullptr;
  RescaleArgs in, out;
  size_t bytes = 0, sums = 0, scratch = 0;
  bool sums_in_place = false;  // in dst
};

class WeightedStep : public Step {
 public:
  std::unique_ptr<Requantization> requantization;  // int8 steps only

  WeightedStep* as_weighted() override { return this; }

  // Floats of the packed weights, of the bias, of the kernel's scratch.
  virtual size_t weights_size() const = 0;
  virtual size_t bias_size() const = 0;
  virtual size_t scratch_size() const = 0;
  virtual size_t outputs() const = 0;  // values of the bias that mean something
  virtual void pack(const float* from, float* weights) const = 0;
  // Weights of some outputs, which lie behind each other before and after: the end of the piece that begins with output
  // `begin`, and the packing of such a piece.
  virtual size_t piece(size_t) const { return outputs(); }
  virtual void pack_piece(size_t, size_t, const float* from, float* weights) const { pack(from, weights); }
  // Where the packed weights and the bias lie for the runs.
  virtual void place(const float* weights, const float* bias) = 0;
  // At most so many threads share a run.
  virtual void share(int /*parts*/) {}

 protected:
  // kernel(src, dst, scratch), between floats and bytes where the step is of int8.
  template <class Kernel>
  void run_kernel(const StepRun& run, const Kernel& kernel) const {
    const Requantization* const r = requantization.get();
    if (r == nullptr) return kernel(run.src(0), run.dst(), run.scratch);
    const float* src = run.src(0);
    if (r->before != nullptr) {
      r->before(r->in, src, run.scratch + r->bytes);
      src = run.scratch + r->bytes;
    }
    float* const sums = r->sums_in_place ? run.dst() : run.scratch + r->sums;
    kernel(src, sums, run.scratch + r->scratch);
    r->after(r->out, sums, run.dst());
  }
};

// ---- training: weights packed again after every step

// n rows of weights, cut as the kernels of the batched layout have them (kernels/conv/common.h): the first row of each
// part appended.
void add_row_parts(std::vector<int>& parts, int begin, int n, int most);
// Adding +0 takes the sign off a bias of -0: a zero sum then never depends on the order of a maximum.
void copy_bias(const float* bias, size_t n, float* to);
AlignedFloats zeros(size_t n);

}  // namespace kernelet
