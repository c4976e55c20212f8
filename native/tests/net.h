// Graphs made for tests: a builder with seeded weights, and random ones. Shapes are worked out here by a
// definition of their own, so that the core's validation has something to be checked against.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "data.h"
#include "graph/graph.h"
#include "plan/plan.h"

namespace kernelet {
namespace test {

// What PlanOptions::algorithm may say: every test over plans goes through all of them.
constexpr const char* algorithms[] = {"auto",    "im2col", "direct", "direct-pixels", "direct-channels",
                                      "blocked", "lanes"};
// These may take Winograd: near the others, the same as themselves. (fastest: Winograd for an image alone, but
// the batched kernels for a block of them.)
constexpr const char* other_bits[] = {"winograd", "fastest"};

struct Window {
  int kernel[2] = {1, 1}, stride[2] = {1, 1}, dilation[2] = {1, 1}, padding[4] = {0, 0, 0, 0};

  Window() = default;
  Window(int k, int s = 1, int p = 0, int d = 1)
      : kernel{k, k}, stride{s, s}, dilation{d, d}, padding{p, p, p, p} {}
};

Shape shape_of(const std::vector<int64_t>& dims);
// Counts the windows one by one; 0 where none fits.
int naive_outputs(int in, int before, int after, int kernel, int stride, int dilation, bool ceil_mode);

// Each method appends a node and returns its index, or -1 where the window does not fit.
class Net {
 public:
  Net(Random& random, const Shape& input);

  Graph graph;  // its output is the node appended last

  int conv(int from, int oc, const Window& w, int groups = 1, bool bias = true);
  int conv_transpose(int from, int oc, const Window& w, int groups = 1, bool bias = true,
                     int output_padding = 0);
  int resize(Op op, int from, int oh, int ow, Coordinates coordinates, Rounding rounding = Rounding::floor);
  int pool(Op op, int from, const Window& w, bool ceil_mode = false, bool count_include_pad = true);
  int linear(int from, int out, bool bias = true);
  int unary(Op op, int from);  // any activation, with parameters of the usual sort
  int softmax(Op op, int from, int axis);
  int flatten(int from, const Shape& to);
  int flatten(int from);
  int constant(const Shape& shape);
  int add(int a, int b) { return binary(Op::add, a, b); }
  int binary(Op op, int a, int b);  // -1 where the shapes do not broadcast
  int matmul(int a, int b);         // -1 where the shapes do not fit
  // Of an input [steps][gates hidden], or -1; with constants for the state before the first step; with lstm's cells.
  int recurrent(Op op, int from, bool bias, bool states, bool cells);
  int prelu(int from, bool per_channel);
  int batch_norm(int from, bool affine = true);
  int layer_norm(int from, int axis, bool affine = true, bool rms = false);
  int group_norm(int from, int groups, bool affine = true);
  int where(int condition, int a, int b);  // -1 where the shapes do not broadcast
  int fold(Op op, int from, int axis, bool alpha = false, bool beta = false, int kept = 0);
  int adaptive(Op op, int from, int oh, int ow);
  int reshape(int from, const Shape& to);
  int permute(int from, const std::vector<int>& axes);
  int slice(int from, const std::vector<int64_t>& starts, const std::vector<int64_t>& steps,
            const std::vector<int64_t>& counts);
  int pad(int from, const std::vector<int64_t>& before, const std::vector<int64_t>& dims, float value);
  int concat(const std::vector<int>& from, int axis);

  const Shape& shape(int node) const { return graph.nodes[static_cast<size_t>(node)].shape; }
  size_t input_length() const { return static_cast<size_t>(shape(0).elements()); }
  size_t output_length() const { return static_cast<size_t>(shape(graph.output).elements()); }
  std::string text() const;

  // Weights a graph points to, with a guard page behind them.
  Floats floats(size_t count);

 private:
  int append(Node node);

  Random& random_;
  std::vector<Guarded> storage_;
};

// LeNet-5 as PyTorch's tutorial has it: 281,640 multiply-adds.
int lenet5(Net& net);

// A DAG of about `nodes` nodes, a few thousand floats at most a value. Wild: attributes at the edges of what
// is allowed, windows larger than the plane, strides beyond it, padding as large as it may be.
Net random_net(Random& random, int nodes, bool wild = false);

// Every pair of convolutions that can go depth first does, in strips of a few rows.
PlanOptions in_small_strips(PlanOptions options);
// "blocked", so that threads share each step, however small.
PlanOptions in_blocks(const char* isa, int threads);
// "blocked": in small strips.
std::unique_ptr<const Plan> make_plan(const Graph& graph, const char* isa, bool fuse = true, int threads = 1,
                                      const char* algorithm = "auto");
// Runs into guarded buffers, checks that every output was written and nothing else, returns the outputs.
std::vector<float> run_guarded(const Plan& plan, const std::vector<float>& input, int64_t batch, Place place);

}  // namespace test
}  // namespace kernelet
