// The naive twin of training: values and gradients of a graph in double, one plain loop an operation.
#pragma once

#include <vector>

#include "graph/graph.h"
#include "kernels/table.h"

namespace kernelet {
namespace test {

// The loss of one image of a batch, and its gradient; `infinite` where it is as good as.
double naive_loss(Loss loss, const Shape& shape, double smoothing, const std::vector<double>& y,
                  const float* target, int batch, std::vector<double>& dy, bool& infinite);

struct NaiveTraining {
  explicit NaiveTraining(const Graph& graph);

  // Forward, loss, backward for a batch; targets [image][output]. Returns the loss as trainers define it.
  double run(const float* images, const float* targets, int batch, Loss loss, double smoothing);
  double forward(const float* images, const float* targets, int batch, Loss loss, double smoothing);

  const Graph& graph;
  std::vector<std::vector<double>> weights, biases;  // of every node; may be changed
  std::vector<std::vector<double>> d_weights, d_biases;
  std::vector<double> d_input;  // [image][input]
  struct Sums {
    double squares = 0, gradient_squares = 0, zeros = 0;
  };
  std::vector<Sums> sums;  // of every node, over the batch
  bool infinite = false;   // was any value or gradient, or as good as
};

}  // namespace test
}  // namespace kernelet
