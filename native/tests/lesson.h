// A net, its parameters and a batch, for tests of training.
#pragma once

#include <string>
#include <vector>

#include "data.h"
#include "net.h"
#include "train/trainer.h"

namespace kernelet {
namespace test {

constexpr Loss all_losses[] = {
#define KERNELET_LOSS(name, text, mean, threshold) Loss::name,
#include "kernels/train/losses.inc"
#undef KERNELET_LOSS
};
constexpr int optimizer_count = 0
#define KERNELET_OPTIMIZER(name, text, first, second) +1
#include "kernels/train/optimizers.inc"
#undef KERNELET_OPTIMIZER
    ;

struct Lesson {
  Net net;
  TrainerOptions options;
  std::vector<std::vector<float>> start;  // parameters
  std::vector<float> images, targets;
  std::vector<int32_t> classes;  // crossEntropy, if not empty
  std::vector<uint32_t> samples;
  int batch;

  Lesson(Random& random, Net n, Loss loss, int images_in_all, int batch_) : net(std::move(n)), batch(batch_) {
    options.loss = loss;
    for (const Node& node : net.graph.nodes) {
      if (node.op == Op::constant) continue;
      if (node.weight.data != nullptr) add(node.name + ".weight", node.weight);
      if (node.bias.data != nullptr) add(node.name + ".bias", node.bias);
    }
    images = random_floats(random, net.input_length() * static_cast<size_t>(images_in_all));
    targets = random_floats(random, net.output_length() * static_cast<size_t>(images_in_all));
    if (loss != Loss::dot && loss != Loss::mse) {
      for (float& t : targets) t = 0.5f + 0.5f * t;
    }
    for (int i = 0; i < images_in_all; ++i) samples.push_back(static_cast<uint32_t>(i));
  }

  void add(const std::string& name, const Floats& floats) {
    options.parameters.push_back({name, floats, false, 1});
    start.emplace_back(floats.data, floats.data + floats.length);
  }

  // Class indices in place of the targets, which become their one-hot form.
  void choose_classes(Random& random) {
    const Shape& shape = net.shape(net.graph.output);
    const int n = static_cast<int>(shape.dims[0]), positions = static_cast<int>(shape.elements() / n);
    std::fill(targets.begin(), targets.end(), 0.0f);
    classes.clear();
    for (size_t image = 0; image < samples.size(); ++image) {
      for (int p = 0; p < positions; ++p) {
        const int c = random.range(0, n - 1);
        classes.push_back(c);
        targets[(image * static_cast<size_t>(n) + static_cast<size_t>(c)) * static_cast<size_t>(positions) +
                static_cast<size_t>(p)] = 1.0f;
      }
    }
  }

  TrainCall call(double learning_rate = 0.01) const {
    TrainCall c;
    c.images = images.data();
    if (classes.empty()) c.targets = targets.data();
    else c.classes = classes.data();
    c.samples = samples.data();
    c.count = static_cast<int64_t>(samples.size());
    c.batch = batch;
    c.learning_rates.assign(static_cast<size_t>((c.count + batch - 1) / batch), learning_rate);
    return c;
  }

  std::unique_ptr<Trainer> trainer(const char* isa, int threads = 1, bool fuse = true) const {
    TrainerOptions o = options;
    o.isa = isa;
    o.threads = threads;
    o.fuse = fuse;
    std::unique_ptr<Trainer> t = Trainer::make(net.graph, o);
    for (size_t i = 0; i < start.size(); ++i) t->load(i, start[i].data());
    return t;
  }
};

// Off by a part of the largest value here, or by less of the largest anywhere.
void check_close(const float* got, const std::vector<double>& want, double anywhere, const char* what,
                 double tolerance = 5e-5);
// A random net that the twin can train.
Net trainable_net(Random& random, int nodes);
// Down and up again, with a skip: transposed convolutions and both ways to resize.
Net upsampling_net(Random& random);
// Attention as transformers have it, over a few tokens.
Net attention_net(Random& random);
// Recurrent layers over some steps.
Net sequence_net(Random& random);
// Of that name: LeNet-5, such a net ("up…"), or a random net with a random optimizer.
Lesson varied_lesson(const std::string& name);
// Of all parameters, one after another.
std::vector<float> all_weights(const Trainer& t);

}  // namespace test
}  // namespace kernelet
