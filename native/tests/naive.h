// The naive twins: what every kernel means, written plainly, one loop a dimension. Sums are made twice: in
// double, with the sum of magnitudes that bounds a float sum's error, and in floats in the order that the
// contract prescribes, which a kernel has to give to the bit.
#pragma once

#include <functional>
#include <vector>

#include "graph/graph.h"
#include "kernels/table.h"

namespace kernelet {
namespace test {

// One output: a single chain; of a linear layer or a matrix product of `terms`, or of a convolution, whose long sums are
// cut into pieces.
struct Dot {
  double sum = 0, magnitude = 0;  // sum of a * b, sum of |a * b|
  float accumulated = 0;
  int taps = 0;

  explicit Dot(size_t terms = 0);
  static Dot of_conv(int piece);  // products; 0: one chain
  void tap(float a, float b, bool fma);
  void add_bias(float bias);
  // n products and n sums, each rounded to nearest, and the bias: at most n + 2 roundings of
  // relative size 2^-24 reach any one product (Higham's gamma, first order; the second is below 1 % here); of a
  // sum in pieces those of one piece, and one for each piece.
  // A missed or swapped tap is off by about magnitude / n, that is 2^24 / n^2 bounds.
  double bound() const;

 private:
  int piece_ = 0;              // 0: one chain
  bool bias_last_ = false;     // else it is added to the first piece
  std::vector<float> pieces_;  // that are whole
};

// All outputs [oc][oh][ow], the pool not yet done; no activation. weight [oc][ic / groups][kh][kw]. A bias of
// -0 counts as +0: plans pack it so.
std::vector<Dot> naive_conv(const ConvArgs& s, bool fma, const float* src, const float* weight,
                            const float* bias);
// Of its way back: weight [ic][oc / groups][kh][kw]; only the taps that reach an output.
std::vector<Dot> naive_conv_transpose(const ConvArgs& s, bool fma, const float* src, const float* weight,
                                      const float* bias);
// [rows][out]; weight [out][in]
std::vector<Dot> naive_linear(const LinearArgs& s, bool fma, const float* src, const float* weight,
                              const float* bias);
// Calls tap(element of out, of a, of b) for every product of matmul, those of an element in their order.
void each_matmul_product(const Shape& a, const Shape& b, const Shape& out,
                         const std::function<void(size_t, size_t, size_t)>& tap);
std::vector<Dot> naive_matmul(const Shape& a, const Shape& b, const Shape& out, bool fma, const float* left,
                              const float* right);
// lstm, gru … over [steps][gates · hidden]; null states are zero. The node's own shape says what is wanted.
std::vector<float> naive_recurrent(const KernelTable& t, const Node& node, int64_t steps, const float* x,
                                   const float* h0, const float* c0);
// The same in double, of what is trained; empty: none.
std::vector<double> naive_recurrent(const Node& node, int64_t steps, const std::vector<double>& x,
                                    const std::vector<double>& w, const std::vector<double>& b,
                                    const std::vector<double>& h0, const std::vector<double>& c0);
// Calls move(element of the output, of the input) for every element that permute moves.
void each_move(const Node& permute, const Shape& in, const std::function<void(size_t, size_t)>& move);
std::vector<float> accumulated(const std::vector<Dot>& dots);

// PyTorch's: the first of equals stays, a NaN sticks.
void naive_max_pool(const PoolArgs& s, const float* src, float* dst);
// PyTorch's: the sum of what lies in the plane, over the part of the window that lies in the padded plane.
template <class Real>
void naive_avg_pool(const PoolArgs& s, const float* src, Real* dst);
void naive_adaptive(const PoolArgs& s, bool average, const float* src, float* dst);

// Where outputs of an axis lie in the input: a pixel, and the share of the next one.
struct Place1d {
  int at, next;
  float share;
};
// Of one axis of an image of the node's input, in floats.
std::vector<Place1d> naive_places(const Node& node, int axis, int in, int out);
// dst [c][oh][ow]
void naive_resize(const Node& node, const Shape& in, bool fma, const float* src, float* dst);

// layer_norm, group_norm, rms_norm
void naive_row_norm(const Node& node, bool fma, const float* src, float* dst);
// The same in double, before scale and shift, and its way back; factors: 1 / deviation of each row.
struct NaiveRows {
  size_t count, n, plane;
  bool centred;
  double epsilon;
  explicit NaiveRows(const Node& node);
  std::vector<double> normed(const std::vector<double>& x, std::vector<double>& factors) const;
  std::vector<double> gradient(const std::vector<double>& y, const std::vector<double>& factors,
                               const std::vector<double>& dy) const;
  // Of element i of an image.
  size_t scale(size_t i) const { return plane > 0 ? i / plane : i % n; }
};

double naive_activation(const Unary& f, double x);
float naive_relu(float x);  // PyTorch's: NaN and -0 stay
// What has an exponential in it is the tier's own `activate`, which has a test of its own.
void naive_activate(const KernelTable& t, const Unary& f, std::vector<float>& values);
// An activation with parameters of the usual sort.
Unary unary(Activation f);
constexpr int activation_count = 1  // with none
#define KERNELET_ACTIVATION(name, text, slope) +1
#include "kernels/activations.inc"
#undef KERNELET_ACTIVATION
    ;
// dst [outer][n][inner], and for each value the largest error that the kernel's roundings can add up to
void naive_softmax(const SoftmaxArgs& s, const float* src, double* dst, double* bound);

// |got - want| in units of the last place of a float as large as want.
double ulps(float got, double want);

// conv2d, activation, 2x2 pool, activation, one after another.
std::vector<float> naive_epilogue(const KernelTable& t, const ConvArgs& s, const std::vector<Dot>& dots);

// Every node's value for one image, node by node, in floats: the bits any plan of the graph has to give.
std::vector<std::vector<float>> naive_values(const KernelTable& t, const Graph& graph, const float* input);

// Of operations of their kinds, false for others. An element of a choice from its operands.
bool naive_exact(const Node& node, const std::vector<float>& src, std::vector<float>& dst);
bool naive_choice(const Node& node, const std::vector<float>& operands, float& result);
bool naive_fold(const Node& node, const Shape& in, const std::vector<float>& src, std::vector<float>& dst);

ConvArgs conv_args(const Node& node, const Shape& in);
PoolArgs pool_args(const Node& node, const Shape& in);

}  // namespace test
}  // namespace kernelet
