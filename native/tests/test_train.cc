// Trainers against the twin in double, the twin against finite differences; the same bits whatever the threads, the
// fusion and the tier.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <thread>

#include "check.h"
#include "data.h"
#include "kernels/isa.h"
#include "lesson.h"
#include "naive.h"
#include "naive_train.h"
#include "net.h"

namespace kernelet {
namespace test {
namespace {

// Some rounds have nets of a kind that random ones seldom are.
std::string kind_of(int round) {
  return round % 4 == 3 ? "up" : round % 8 == 5 ? "attention" : round % 8 == 1 ? "sequence" : "net";
}
Net net_of(int round, Random& random, int most) {
  const std::string kind = kind_of(round);
  if (kind == "up") return upsampling_net(random);
  if (kind == "sequence") return sequence_net(random);
  return kind == "attention" ? attention_net(random) : trainable_net(random, random.range(1, most));
}

// The nodes before the output make it a probability where the loss needs one.
void finish(Net& net, Loss loss) {
  if (loss == Loss::binary_cross_entropy) net.unary(Op::sigmoid, net.graph.output);
}

void check_gradients(const KernelTable& t, const Lesson& lesson, double smoothing) {
  NaiveTraining twin(lesson.net.graph);
  const int batch = static_cast<int>(lesson.samples.size());
  const double want =
      twin.run(lesson.images.data(), lesson.targets.data(), batch, lesson.options.loss, smoothing);
  // sums of products of gradients, softmax's and products' of two values, are small beside what they are made of; a norm
  // multiplies what a float has too little of by 1 / deviation, at most 1 / sqrt(1e-5)
  double tolerance = 2e-4;
  for (const Node& node : lesson.net.graph.nodes) {
    if (node.op == Op::layer_norm || node.op == Op::group_norm || node.op == Op::rms_norm) tolerance = 2e-3;
  }
  for (const bool fuse : {true, false}) {
    const std::unique_ptr<Trainer> trainer = lesson.trainer(t.isa, 1, fuse);
    TrainCall call = lesson.call();
    call.update = false;
    const TrainReport report = trainer->run(call);
    if (twin.infinite) continue;  // a maximum of nothing
    if (!check(report.losses.size() == 1, "a step is taken: %s", report.where.c_str())) return;
    check(std::fabs(report.losses[0] - want) <= 2e-5 * std::max(1.0, std::fabs(want)),
          "loss %.9g, expected %.9g", report.losses[0], want);
    double anywhere = 0;
    for (const auto* gradients : {&twin.d_weights, &twin.d_biases}) {
      for (const std::vector<double>& one : *gradients) {
        for (double g : one) anywhere = std::max(anywhere, std::fabs(g));
      }
    }
    size_t parameter = 0;
    for (size_t i = 0; i < lesson.net.graph.nodes.size(); ++i) {
      const Node& node = lesson.net.graph.nodes[i];
      if (node.op == Op::constant) continue;
      for (const std::vector<double>* gradient : {&twin.d_weights[i], &twin.d_biases[i]}) {
        if (gradient->empty()) continue;
        const float* const got = trainer->read(Trainer::State::gradient, parameter++);
        if (got != nullptr) check_close(got, *gradient, anywhere, node.name.c_str(), tolerance);
      }
    }
    check_close(trainer->input_gradient().data(), twin.d_input, anywhere, "input", tolerance);
    check(
        all_weights(*trainer) ==
            [&] {
              std::vector<float> all;
              for (size_t i = 0; i < lesson.start.size(); ++i) {
                if (trainer->is_trained(i))
                  all.insert(all.end(), lesson.start[i].begin(), lesson.start[i].end());
                else all.insert(all.end(), lesson.start[i].size(), 0.0f);
              }
              return all;
            }(),
        "weights stay where nothing is updated");
  }
}

}  // namespace

PER_TIER(train_gradients) {
  if (begin("lenet5")) {
    Random random("lenet5");
    Net net(random, shape_of({1, 28, 28}));
    lenet5(net);
    Lesson lesson(random, std::move(net), Loss::cross_entropy, 19, 19);
    lesson.options.input_gradient = true;
    lesson.choose_classes(random);
    check_gradients(t, lesson, 0);
  }
  if (begin("long-sums")) {  // in pieces, with a maximum behind them; of groups, with a stride
    Random random("long-sums");
    Net net(random, shape_of({88, 6, 6}));
    int x = net.pool(Op::max_pool2d, net.unary(Op::relu, net.conv(0, 98, Window(3, 1, 1))), Window(2, 2));
    x = net.unary(Op::tanh, net.conv(x, 6, Window(5, 2, 2), 2));
    net.linear(net.flatten(x), 5);
    Lesson lesson(random, std::move(net), Loss::cross_entropy, t.lanes + 3, t.lanes + 3);
    lesson.options.input_gradient = true;
    lesson.choose_classes(random);
    check_gradients(t, lesson, 0);
  }
  if (begin("long-sums-forward-only")) {  // nothing but the pieces needs scratch
    Random random("long-sums-forward-only");
    Net net(random, shape_of({90, 10, 10}));
    net.pool(Op::avg_pool2d, net.conv(0, 20, Window(3)), Window(4, 4));
    Lesson lesson(random, std::move(net), Loss::mse, 2, 2);
    for (TrainedParameter& parameter : lesson.options.parameters) parameter.frozen = parameter.name[0] == 'c';
    NaiveTraining twin(lesson.net.graph);
    const double want = twin.run(lesson.images.data(), lesson.targets.data(), 2, Loss::mse, 0);
    TrainCall call = lesson.call();
    const double loss = lesson.trainer(t.isa)->run(call).losses.at(0);
    check(std::fabs(loss - want) <= 2e-5 * want, "loss %.9g, expected %.9g", loss, want);
  }
  for (int round = 0; round < (slow ? 16 : 80); ++round) {
    const std::string name = kind_of(round) + std::to_string(round);
    if (!begin(name)) continue;
    Random random(name);
    const Loss loss = all_losses[round % 5];
    Net net = net_of(round, random, 9);
    finish(net, loss);
    const int batch = random.range(1, 20);
    Lesson lesson(random, std::move(net), loss, batch, batch);
    lesson.options.input_gradient = true;
    double smoothing = 0;
    if (loss == Loss::cross_entropy) {
      if (random.chance(50)) lesson.choose_classes(random);
      if (random.chance(50)) smoothing = lesson.options.label_smoothing = 0.125f;
    }
    check_gradients(t, lesson, smoothing);
  }
}

// Of the twin itself, in double: central differences of its loss.
ONCE(train_twin) {
  for (int round = 0; round < 40; ++round) {
    const std::string name = kind_of(round) + std::to_string(round);
    if (!begin(name)) continue;
    Random random(name);
    const Loss loss = all_losses[round % 5];
    Net net = net_of(round, random, 7);
    finish(net, loss);
    const Lesson lesson(random, std::move(net), loss, 2, 2);
    NaiveTraining twin(lesson.net.graph);
    twin.run(lesson.images.data(), lesson.targets.data(), 2, loss, 0.25);
    if (twin.infinite) continue;
    const auto value = [&] {
      return twin.forward(lesson.images.data(), lesson.targets.data(), 2, loss, 0.25);
    };
    for (size_t i = 0; i < twin.weights.size(); ++i) {
      for (auto [values, gradient] : {std::make_pair(&twin.weights[i], &twin.d_weights[i]),
                                      std::make_pair(&twin.biases[i], &twin.d_biases[i])}) {
        if (lesson.net.graph.nodes[i].op == Op::constant || values->empty()) continue;
        for (int tries = 0; tries < 3; ++tries) {
          double& x = (*values)[random.next() % values->size()];
          const double wanted = (*gradient)[static_cast<size_t>(&x - values->data())], was = x, h = 1e-5;
          x = was + h;
          const double above = value();
          x = was - h;
          const double below = value();
          x = was;
          const double found = (above - below) / (2 * h);
          check(std::fabs(found - wanted) <= 1e-5 * std::max(1.0, std::fabs(wanted)),
                "%s: %g, by differences %g", lesson.net.graph.nodes[i].name.c_str(), wanted, found);
        }
      }
    }
  }
}

namespace {

std::vector<float> everything(Trainer& t, const Lesson& lesson) {
  const TrainReport report = t.run(lesson.call());
  std::vector<float> all = all_weights(t);
  for (double x : report.losses) all.push_back(static_cast<float>(x));
  for (double x : report.gradient_norms) all.push_back(static_cast<float>(x));
  for (size_t i = 0; i < t.parameters(); ++i) {
    const float* const ema = t.read(Trainer::State::ema, i);
    if (ema != nullptr) all.insert(all.end(), ema, ema + t.parameter_length(i));
  }
  return all;
}

}  // namespace

PER_TIER(train_threads) {
  for (int round = 0; round < (slow ? 4 : 16); ++round) {
    const std::string name = round == 0 ? "lenet5" : kind_of(round) + std::to_string(round);
    if (!begin(name)) continue;
    const Lesson lesson = varied_lesson(name);
    const std::vector<float> want = everything(*lesson.trainer(t.isa), lesson);
    for (int threads : {2, 3, 8}) {
      const std::vector<float> got = everything(*lesson.trainer(t.isa, threads), lesson);
      check(difference(got.data(), want.data(), want.size(), true) == want.size(),
            "%d threads give the same bits", threads);
    }
    const std::vector<float> got = everything(*lesson.trainer(t.isa, 1, false), lesson);
    check(difference(got.data(), want.data(), want.size(), true) == want.size(),
          "unfused gives the same bits");
    check(aligned_canaries_alive(), "nothing is written beyond its end");
  }
  check(aligned_blocks_alive() == 0, "everything is freed");
}

// Trainers on several threads at once, each with a team of its own, and one more that is interrupted from elsewhere.
PER_TIER(train_concurrent) {
  if (!begin("lenet5")) return;
  const Lesson lesson = varied_lesson("lenet5");
  const std::vector<float> want = everything(*lesson.trainer(t.isa), lesson);
  std::atomic<int> wrong{0};
  std::vector<std::thread> callers;
  for (int threads : {1, 2, 3}) {
    callers.emplace_back([&, threads] {
      for (int round = 0; round < (slow ? 1 : 3); ++round) {
        const std::vector<float> got = everything(*lesson.trainer(t.isa, threads), lesson);
        if (difference(got.data(), want.data(), want.size(), true) != want.size()) ++wrong;
      }
    });
  }
  const std::unique_ptr<Trainer> stopped = lesson.trainer(t.isa, 2);
  size_t steps = 0;
  callers.emplace_back([&] { steps = stopped->run(lesson.call()).losses.size(); });
  stopped->interrupt();
  for (std::thread& caller : callers) caller.join();
  check(wrong == 0, "the same bits with others at work");
  check(steps <= lesson.call().learning_rates.size() && stopped->step() == steps, "whole steps");
}

ONCE(train_tiers) {
  for (int round = 0; round < (slow ? 4 : 24); ++round) {
    const std::string name = round == 0 ? "lenet5" : kind_of(round) + std::to_string(round);
    if (!begin(name)) continue;
    const Lesson lesson = varied_lesson(name);
    std::vector<float> want[2];
    for (const std::string& isa : supported_isas()) {
      const std::vector<float> got = everything(*lesson.trainer(isa.c_str()), lesson);
      std::vector<float>& first = want[choose_isa(isa).table->has_fma];
      if (first.empty()) first = got;
      check(difference(got.data(), first.data(), first.size(), true) == first.size(),
            "%s gives the bits of its class", isa.c_str());
    }
  }
}

}  // namespace test
}  // namespace kernelet
