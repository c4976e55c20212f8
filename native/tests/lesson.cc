#include "lesson.h"

#include <algorithm>
#include <cmath>

#include "check.h"

namespace kernelet {
namespace test {

std::vector<float> all_weights(const Trainer& t) {
  std::vector<float> all;
  for (size_t i = 0; i < t.parameters(); ++i) {
    std::vector<float> one(t.parameter_length(i), 0.0f);
    t.store(i, one.data());
    all.insert(all.end(), one.begin(), one.end());
  }
  return all;
}

void check_close(const float* got, const std::vector<double>& want, double anywhere, const char* what,
                 double tolerance) {
  double largest = 0.01 * anywhere, error = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    largest = std::max(largest, std::fabs(want[i]));
    error = std::max(error, std::fabs(got[i] - want[i]));
    if (!std::isfinite(got[i])) error = INFINITY;
  }
  check(error <= tolerance * largest, "%s: off by %g of %g", what, error, largest);
}

namespace {

bool twin_knows(const Net& net) {
  for (const Node& node : net.graph.nodes) {
    switch (node.op) {
      case Op::input:
      case Op::constant:
      case Op::conv2d:
      case Op::conv_transpose2d:
      case Op::upsample_nearest2d:
      case Op::upsample_bilinear2d:
      case Op::max_pool2d:
      case Op::avg_pool2d:
      case Op::linear:
      case Op::relu:
      case Op::tanh:
      case Op::sigmoid:
      case Op::softmax:
      case Op::log_softmax:
      case Op::flatten:
      case Op::layer_norm:
      case Op::group_norm:
      case Op::rms_norm:
      case Op::concat: break;
      case Op::add:
        if (net.shape(node.inputs[0]) != net.shape(node.inputs[1])) return false;
        break;
      default: return false;
    }
  }
  return true;
}

}  // namespace

Net trainable_net(Random& random, int nodes) {
  for (;;) {
    Net net = random_net(random, nodes);
    if (twin_knows(net)) return net;
  }
}

Net upsampling_net(Random& random) {
  const int groups = random.range(1, 2), c = groups * random.range(1, 3);
  const int h = random.range(3, 6), w = random.range(3, 9);
  Net net(random, shape_of({c, h, w}));
  Window up(random.range(2, 4), random.range(1, 3), random.range(0, 1), random.range(1, 2));
  int x = net.conv_transpose(0, 2 * groups, up, groups, random.chance(70), random.range(0, 2));
  if (random.chance(70)) x = net.unary(Op::relu, x);
  const Op op = random.chance(50) ? Op::upsample_nearest2d : Op::upsample_bilinear2d;
  const Coordinates coordinates = static_cast<Coordinates>(random.range(0, 4));
  const int oh = random.range(1, 6), ow = random.range(1, 6);
  x = net.resize(op, x, oh, ow, coordinates, static_cast<Rounding>(random.range(0, 3)));
  const int skip = net.resize(random.chance(50) ? Op::upsample_nearest2d : Op::upsample_bilinear2d, 0, oh, ow,
                              Coordinates::half_pixel, Rounding::prefer_floor);
  x = net.concat({x, skip}, 0);
  net.conv_transpose(x, random.range(1, 3), Window(3, 2, 1), 1, true, 1);
  return net;
}

Net attention_net(Random& random) {
  const int heads = random.range(1, 3), tokens = random.range(2, 6), features = heads * random.range(1, 4);
  Net net(random, shape_of({tokens, random.range(2, 6)}));
  const auto split = [&](const std::vector<int>& axes) {
    const int x = net.linear(0, features, random.chance(50));
    return net.permute(net.flatten(x, shape_of({tokens, heads, features / heads})), axes);
  };
  const int queries = split({1, 0, 2}), keys = split({1, 2, 0});
  const int weights = net.softmax(Op::softmax, net.matmul(queries, keys), 2);
  int values = split({1, 0, 2});
  // one matrix of values for all heads
  if (random.chance(30)) values = net.linear(0, features / heads, true);
  int x = net.permute(net.matmul(weights, values), {1, 0, 2});
  x = net.linear(net.flatten(x, shape_of({tokens, features})), random.range(1, 5));
  // one matrix for a stack of them
  if (random.chance(30))
    net.matmul(net.matmul(weights, x), net.constant(shape_of({net.shape(x).dims[1], 3})));
  return net;
}

Net sequence_net(Random& random) {
  Net net(random, shape_of({random.range(1, 5), random.range(1, 5)}));
  constexpr int ops[] = {static_cast<int>(Op::lstm), static_cast<int>(Op::lstm), static_cast<int>(Op::gru),
                         static_cast<int>(Op::rnn_tanh), static_cast<int>(Op::rnn_relu)};
  int x = 0;
  for (int layers = random.range(1, 2); layers > 0; --layers) {
    const Op op = static_cast<Op>(random.pick(ops));
    const int hidden = random.range(1, 6), gates = op == Op::lstm ? 4 : op == Op::gru ? 3 : 1;
    x = net.linear(x, gates * hidden, random.chance(50));
    const bool bias = random.chance(70), states = random.chance(40), cells = random.chance(40);
    x = net.recurrent(op, x, bias, states, cells);
  }
  net.linear(x, random.range(1, 4));
  return net;
}

Lesson varied_lesson(const std::string& name) {
  Random random(name);
  const bool lenet = name == "lenet5", up = name.compare(0, 2, "up") == 0,
             attention = name.compare(0, 9, "attention") == 0, sequence = name.compare(0, 8, "sequence") == 0;
  Net net = lenet       ? Net(random, shape_of({1, 28, 28}))
            : up        ? upsampling_net(random)
            : attention ? attention_net(random)
            : sequence  ? sequence_net(random)
                        : trainable_net(random, random.range(3, 9));
  if (lenet) lenet5(net);
  Lesson lesson(random, std::move(net), lenet ? Loss::cross_entropy : Loss::mse, 131,
                lenet ? 50 : random.range(1, 70));
  TrainerOptions& o = lesson.options;
  if (lenet) lesson.choose_classes(random);
  o.optimizer = static_cast<Optimizer>(random.range(0, optimizer_count - 1));
  o.weight_decay = 0.01;
  if (o.optimizer == Optimizer::sgd) {
    o.momentum = 0.9;
    o.nesterov = random.chance(50);
  }
  if (random.chance(50)) o.clip_norm = 0.1;
  if (random.chance(50)) o.clip_value = 0.01;
  o.ema_decay = 0.9;
  return lesson;
}

}  // namespace test
}  // namespace kernelet
