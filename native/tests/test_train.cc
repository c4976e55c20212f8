// Trainers against the twin in double, the twin against finite differences; the same bits whatever the threads,
// the fusion and the tier; what is stopped, kept, clipped and measured.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <thread>

#include "check.h"
#include "core/isa.h"
#include "core/trainer.h"
#include "data.h"
#include "naive.h"
#include "naive_train.h"
#include "net.h"

namespace kernelet {
namespace test {
namespace {

// A net, its parameters, and a batch.
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

std::vector<float> all_weights(const Trainer& t) {
  std::vector<float> all;
  for (size_t i = 0; i < t.parameters(); ++i) {
    std::vector<float> one(t.parameter_length(i), 0.0f);
    t.store(i, one.data());
    all.insert(all.end(), one.begin(), one.end());
  }
  return all;
}

// Off by a part of the largest value here, or by less of the largest anywhere.
void check_close(const float* got, const std::vector<double>& want, double anywhere, const char* what) {
  double largest = 0.01 * anywhere, error = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    largest = std::max(largest, std::fabs(want[i]));
    error = std::max(error, std::fabs(got[i] - want[i]));
    if (!std::isfinite(got[i])) error = INFINITY;
  }
  check(error <= 5e-5 * largest, "%s: off by %g of %g", what, error, largest);
}

// The nodes before the output make it a probability where the loss needs one.
void finish(Net& net, Loss loss) {
  if (loss == Loss::binary_cross_entropy) net.unary(Op::sigmoid, net.graph.output);
}

bool twin_knows(const Net& net) {
  for (const Node& node : net.graph.nodes) {
    switch (node.op) {
      case Op::input:
      case Op::constant:
      case Op::conv2d:
      case Op::max_pool2d:
      case Op::avg_pool2d:
      case Op::linear:
      case Op::relu:
      case Op::tanh:
      case Op::sigmoid:
      case Op::softmax:
      case Op::log_softmax:
      case Op::flatten:
      case Op::concat: break;
      case Op::add:
        if (net.shape(node.inputs[0]) != net.shape(node.inputs[1])) return false;
        break;
      default: return false;
    }
  }
  return true;
}

Net trainable_net(Random& random, int nodes) {
  for (;;) {
    Net net = random_net(random, nodes);
    if (twin_knows(net)) return net;
  }
}

void check_gradients(const KernelTable& t, const Lesson& lesson, double smoothing) {
  NaiveTraining twin(lesson.net.graph);
  const int batch = static_cast<int>(lesson.samples.size());
  const double want =
      twin.run(lesson.images.data(), lesson.targets.data(), batch, lesson.options.loss, smoothing);
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
        if (got != nullptr) check_close(got, *gradient, anywhere, node.name.c_str());
      }
    }
    check_close(trainer->input_gradient().data(), twin.d_input, anywhere, "input");
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

constexpr Loss all_losses[] = {Loss::cross_entropy, Loss::mse, Loss::binary_cross_entropy,
                               Loss::binary_cross_entropy_with_logits, Loss::dot};

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
  for (int round = 0; round < (slow ? 12 : 60); ++round) {
    const std::string name = "net" + std::to_string(round);
    if (!begin(name)) continue;
    Random random(name);
    const Loss loss = all_losses[round % 5];
    Net net = trainable_net(random, random.range(1, 9));
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
  for (int round = 0; round < 30; ++round) {
    const std::string name = "net" + std::to_string(round);
    if (!begin(name)) continue;
    Random random(name);
    const Loss loss = all_losses[round % 5];
    Net net = trainable_net(random, random.range(1, 7));
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

Lesson varied_lesson(const std::string& name) {
  Random random(name);
  const bool lenet = name == "lenet5";
  Net net = lenet ? Net(random, shape_of({1, 28, 28})) : trainable_net(random, random.range(3, 9));
  if (lenet) lenet5(net);
  Lesson lesson(random, std::move(net), lenet ? Loss::cross_entropy : Loss::mse, 131,
                lenet ? 50 : random.range(1, 70));
  TrainerOptions& o = lesson.options;
  if (lenet) lesson.choose_classes(random);
  o.optimizer = static_cast<Optimizer>(random.range(0, 2));
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
    const std::string name = round == 0 ? "lenet5" : "net" + std::to_string(round);
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
    const std::string name = round == 0 ? "lenet5" : "net" + std::to_string(round);
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

namespace {

std::string refusal(const Graph& graph, const TrainerOptions& options) {
  try {
    Trainer::make(graph, options);
  } catch (const Error& e) {
    return e.code();
  }
  return "";
}

void lesson_net(Net& net) { net.linear(net.flatten(net.unary(Op::relu, net.conv(0, 3, Window(3)))), 4); }

// A linear layer of `in` inputs and one output without a bias: the gradient of its weights is known.
Lesson line(Random& random, int in, Loss loss, int samples, int batch) {
  Net net(random, shape_of({in}));
  net.linear(0, 1, false);
  return Lesson(random, std::move(net), loss, samples, batch);
}

}  // namespace

ONCE(train_options) {
  Random random("options");
  const Lesson lesson = line(random, 3, Loss::mse, 4, 2);
  const auto refused = [&](const char* what, const char* code, void (*spoil)(TrainerOptions&)) {
    if (!begin(what)) return;
    TrainerOptions o = lesson.options;
    spoil(o);
    check(refusal(lesson.net.graph, o) == code, "throws %s", code);
  };
  refused("none", "", [](TrainerOptions&) {});
  refused("momentum", "ERR_ARGUMENT", [](TrainerOptions& o) { o.momentum = -0.1; });
  refused("NaN", "ERR_ARGUMENT", [](TrainerOptions& o) { o.weight_decay = NAN; });
  refused("beta1", "ERR_ARGUMENT", [](TrainerOptions& o) { o.beta1 = 1; });
  refused("beta2", "ERR_ARGUMENT", [](TrainerOptions& o) { o.beta2 = 1.5; });
  refused("eps", "ERR_ARGUMENT", [](TrainerOptions& o) { o.eps = -1; });
  refused("nesterov", "ERR_ARGUMENT", [](TrainerOptions& o) { o.nesterov = true; });
  refused("smoothing", "ERR_ARGUMENT", [](TrainerOptions& o) { o.label_smoothing = 0.1f; });
  refused("clip", "ERR_ARGUMENT", [](TrainerOptions& o) { o.clip_norm = -1; });
  refused("ema", "ERR_ARGUMENT", [](TrainerOptions& o) { o.ema_decay = 1.01; });
  refused("threads", "ERR_ARGUMENT", [](TrainerOptions& o) { o.threads = 100000; });
  refused("isa", "ERR_ISA", [](TrainerOptions& o) { o.isa = "mmx"; });
  refused("twice", "ERR_ARGUMENT", [](TrainerOptions& o) { o.parameters.push_back(o.parameters[0]); });
  const auto bad_call = [&](const char* what, void (*spoil)(TrainCall&)) {
    if (!begin(what)) return;
    const std::unique_ptr<Trainer> trainer = lesson.trainer("");
    TrainCall call = lesson.call();
    spoil(call);
    bool thrown = false;
    try {
      trainer->check(call);
    } catch (const Error&) {
      thrown = true;
    }
    check(thrown, "is refused");
  };
  bad_call("no rates", [](TrainCall& c) { c.learning_rates.clear(); });
  bad_call("infinite rate", [](TrainCall& c) { c.learning_rates[1] = 1e300; });
  bad_call("batch 0", [](TrainCall& c) { c.batch = 0; });
  bad_call("classes", [](TrainCall& c) {
    static const int32_t classes[4] = {0, 0, 0, 0};
    c.classes = classes;
  });
}

ONCE(train_state) {
  if (begin("resume")) {
    for (int kind = 0; kind < 3; ++kind) {
      Lesson lesson = varied_lesson("net3");
      lesson.options.optimizer = static_cast<Optimizer>(kind);
      lesson.options.momentum = kind == 0 ? 0.9 : 0;
      lesson.options.nesterov = false;
      const std::unique_ptr<Trainer> whole = lesson.trainer(""), first = lesson.trainer(""),
                                     second = lesson.trainer("");
      whole->run(lesson.call());
      whole->run(lesson.call());
      first->run(lesson.call());
      second->set_step(first->step());
      for (size_t i = 0; i < first->parameters(); ++i) {
        std::vector<float> w = lesson.start[i];
        first->store(i, w.data());
        second->load(i, w.data());
        for (const Trainer::State state : {Trainer::State::momentum, Trainer::State::exp_avg,
                                           Trainer::State::exp_avg_sq, Trainer::State::ema}) {
          if (first->has(state) && first->read(state, i) != nullptr)
            second->write(state, i, first->read(state, i));
        }
      }
      second->run(lesson.call());
      check(all_weights(*second) == all_weights(*whole) && second->step() == whole->step(),
            "optimizer %d goes on to the same bits", kind);
    }
  }
  if (begin("frozen")) {
    Random random("frozen");
    Net net(random, shape_of({1, 9, 9}));
    net.linear(net.flatten(net.unary(Op::relu, net.conv(0, 3, Window(3)))), 4);
    Lesson lesson(random, std::move(net), Loss::mse, 20, 10);
    lesson.options.parameters[0].frozen = true;      // the convolution's weight
    lesson.options.parameters[2].lr_multiplier = 0;  // the linear layer's
    const std::unique_ptr<Trainer> t = lesson.trainer("");
    t->run(lesson.call());
    for (size_t i = 0; i < 4; ++i) {
      std::vector<float> w = lesson.start[i];
      t->store(i, w.data());
      check((w == lesson.start[i]) == (i == 0 || i == 2), "parameter %zu", i);
      check((t->read(Trainer::State::gradient, i) == nullptr) == (i == 0), "gradient %zu", i);
    }
  }
  if (begin("clipping and averages")) {
    Random random("clip");
    Lesson lesson = line(random, 5, Loss::dot, 1, 1);
    TrainerOptions& o = lesson.options;
    for (const double clip_norm : {0.0, 0.25}) {
      for (const double clip_value : {0.0, 0.125}) {
        o.clip_norm = clip_norm;
        o.clip_value = clip_value;
        o.ema_decay = 0.75;
        const std::unique_ptr<Trainer> t = lesson.trainer("");
        TrainCall call = lesson.call(1);
        const TrainReport report = t->run(call);
        std::vector<double> g;
        double norm = 0, raw = 0;
        for (float x : lesson.images) {
          double one = static_cast<double>(x) * lesson.targets[0];
          raw += one * one;
          if (clip_value > 0) one = std::min(clip_value, std::max(-clip_value, one));
          norm += one * one;
          g.push_back(one);
        }
        const double scale = clip_norm > 0 ? std::min(1.0, clip_norm / (std::sqrt(norm) + 1e-6)) : 1;
        const std::vector<float> w = all_weights(*t);
        double error = std::fabs(report.gradient_norms[0] - std::sqrt(raw));
        for (size_t i = 0; i < w.size(); ++i) {
          const double want = lesson.start[0][i] - scale * g[i];
          error = std::max(error, std::fabs(w[i] - want));
          error = std::max(error, std::fabs(t->read(Trainer::State::ema, 0)[i] -
                                            (0.75 * lesson.start[0][i] + 0.25 * want)));
        }
        check(error < 3e-7, "norm %g, value %g: off by %g", clip_norm, clip_value, error);
      }
    }
  }
  if (begin("shared weights")) {
    Random random("shared");
    Net net(random, shape_of({6}));
    const int a = net.unary(Op::tanh, net.linear(0, 6));
    const int b = net.linear(a, 6);
    Node& second = net.graph.nodes[static_cast<size_t>(b)];
    const Node& first = net.graph.nodes[1];
    second.weight = first.weight;
    second.bias = first.bias;
    Lesson lesson(random, std::move(net), Loss::mse, 7, 7);
    lesson.options.parameters.resize(2);
    lesson.start.resize(2);
    NaiveTraining twin(lesson.net.graph);
    twin.run(lesson.images.data(), lesson.targets.data(), 7, Loss::mse, 0);
    for (const std::string& isa : supported_isas()) {
      const std::unique_ptr<Trainer> t = lesson.trainer(isa.c_str());
      t->run(lesson.call());
      std::vector<double> dw = twin.d_weights[1], db = twin.d_biases[1];
      for (size_t i = 0; i < dw.size(); ++i) dw[i] += twin.d_weights[3][i];
      for (size_t i = 0; i < db.size(); ++i) db[i] += twin.d_biases[3][i];
      check_close(t->read(Trainer::State::gradient, 0), dw, 0, "weight");
      check_close(t->read(Trainer::State::gradient, 1), db, 0, "bias");
    }
  }
}

ONCE(train_dropout) {
  if (!begin("half")) return;
  Random random("dropout");
  Net net(random, shape_of({3, 10, 10}));
  const int dropped = net.unary(Op::dropout, 0);
  net.graph.nodes[static_cast<size_t>(dropped)].p = 0.25f;
  Lesson lesson(random, std::move(net), Loss::dot, 40, 40);
  std::fill(lesson.images.begin(), lesson.images.end(), 1.0f);
  lesson.options.input_gradient = true;
  lesson.options.seed = 7;
  std::vector<float> want;
  for (const std::string& isa : supported_isas()) {
    for (int threads : {1, 3}) {
      const std::unique_ptr<Trainer> t = lesson.trainer(isa.c_str(), threads);
      double sum = 0;
      const TrainReport report = t->run(lesson.call());
      std::vector<float> mask = t->input_gradient();
      int zeros = 0, wrong = 0;
      for (size_t i = 0; i < mask.size(); ++i) {
        zeros += mask[i] == 0;
        sum += static_cast<double>(mask[i]);  // of inputs of 1: what the loss adds up
        wrong += mask[i] != 0 && !(std::fabs(mask[i] / lesson.targets[i] - 4.0f / 3) < 1e-6);
      }
      check(wrong == 0, "what stays grows by 1 / (1 - p)");
      check(std::fabs(report.losses[0] - sum) < 1e-3, "forward and backward drop the same");
      check(std::abs(zeros - 3000) < 200, "a quarter is dropped: %d of 12000", zeros);
      if (want.empty()) want = mask;
      check(mask == want, "%s, %d threads: the same values are dropped", isa.c_str(), threads);
      t->run(lesson.call());
      check(t->input_gradient() != want, "others at the next step");
    }
  }
  lesson.options.seed = 8;
  const std::unique_ptr<Trainer> t = lesson.trainer("");
  t->run(lesson.call());
  check(t->input_gradient() != want, "others with another seed");
}

ONCE(train_non_finite) {
  const auto stops = [&](const char* name, int step, const char* what, const char* where,
                         void (*spoil)(Lesson&), double rate) {
    if (!begin(name)) return;
    Random random("finite");
    Net net(random, shape_of({1, 8, 8}));
    lesson_net(net);
    Lesson lesson(random, std::move(net), Loss::mse, 48, 16);
    spoil(lesson);
    for (int threads : {1, 2}) {
      const std::unique_ptr<Trainer> t = lesson.trainer("", threads);
      const TrainReport report = t->run(lesson.call(rate));
      check(report.non_finite == what && report.where == where && report.non_finite_step == step,
            "stops at step %d for %s in %s", report.non_finite_step, report.non_finite.c_str(),
            report.where.c_str());
      check(report.losses.size() == static_cast<size_t>(step) && t->step() == static_cast<uint64_t>(step),
            "%zu steps were taken", report.losses.size());
      // the weights are those of that many steps
      const std::unique_ptr<Trainer> good = lesson.trainer("");
      TrainCall call = lesson.call(rate);
      call.count = 16 * step;
      call.learning_rates.resize(static_cast<size_t>(step));
      good->run(call);
      check(all_weights(*t) == all_weights(*good), "the last good weights are kept");
    }
  };
  stops(
      "input", 1, "input", "input0", [](Lesson& l) { l.images[20 * 64 + 5] = NAN; }, 0.01);
  stops(
      "value", 0, "value", "conv2d1",
      [](Lesson& l) {
        l.start[0][3] = 3e38f, l.start[0][4] = 3e38f;
        for (float& x : l.images) x = 100;
      },
      0.01);
  stops(
      "loss", 0, "loss", "linear4",
      [](Lesson& l) {
        for (float& x : l.targets) x = 3e38f;
      },
      0.01);
  stops(
      "weight", 0, "weight", "conv2d1.weight", [](Lesson&) {}, 1e38);
  stops(
      "exploding", 1, "value", "linear4", [](Lesson&) {}, 1e25);
  if (begin("interrupted")) {
    const Lesson lesson = varied_lesson("net3");
    const std::unique_ptr<Trainer> t = lesson.trainer("");
    const std::vector<float> before = all_weights(*t);
    t->interrupt();
    check(t->run(lesson.call()).losses.empty() && all_weights(*t) == before,
          "no step once it is interrupted");
    t->interrupt(false);
    check(t->run(lesson.call()).losses.size() == lesson.call().learning_rates.size(), "every step");
  }
}

ONCE(train_health) {
  if (!begin("lenet5")) return;
  Random random("health");
  Net net(random, shape_of({1, 28, 28}));
  lenet5(net);
  Lesson lesson(random, std::move(net), Loss::cross_entropy, 37, 37);
  lesson.choose_classes(random);
  const std::unique_ptr<Trainer> t = lesson.trainer(""), plain = lesson.trainer("");
  TrainCall call = lesson.call();
  plain->run(call);
  call.health = true;
  const TrainReport report = t->run(call);
  check(all_weights(*t) == all_weights(*plain), "a step that is looked at is the same step");
  if (!check(report.has_health && report.health.nodes.size() == 12 && report.health.parameters.size() == 10,
             "all nodes and parameters"))
    return;
  const std::vector<float> after = all_weights(*t);
  size_t at = 0;
  for (size_t i = 0; i < t->parameters(); ++i) {
    double weight = 0, gradient = 0, update = 0;
    for (size_t j = 0; j < t->parameter_length(i); ++j, ++at) {
      const double w = lesson.start[i][j], g = t->read(Trainer::State::gradient, i)[j];
      weight += w * w;
      gradient += g * g;
      update += (after[at] - w) * (after[at] - w);
    }
    const TrainHealth::OfParameter& p = report.health.parameters[i];
    const auto close = [](double a, double b) { return std::fabs(a - b) <= 1e-9 * b; };
    check(close(p.weight_norm, std::sqrt(weight)) && close(p.gradient_norm, std::sqrt(gradient)) &&
              close(p.update_norm, std::sqrt(update)),
          "norms of parameter %zu", i);
  }
  NaiveTraining twin(lesson.net.graph);
  twin.run(lesson.images.data(), lesson.targets.data(), 37, Loss::cross_entropy, 0);
  for (size_t i = 0; i < report.health.nodes.size(); ++i) {
    const TrainHealth::OfNode& n = report.health.nodes[i];
    check(n.name == lesson.net.graph.nodes[i + 1].name && n.op == lesson.net.graph.nodes[i + 1].op,
          "node %zu is %s", i, n.name.c_str());
    const NaiveTraining::Sums& want = twin.sums[i + 1];
    const double values = 37.0 * static_cast<double>(lesson.net.graph.nodes[i + 1].shape.elements());
    const auto close = [](double a, double b) { return std::fabs(a - b) <= 1e-4 * b; };
    check(close(n.rms, std::sqrt(want.squares / values)), "%s: rms %g, expected %g", n.name.c_str(), n.rms,
          std::sqrt(want.squares / values));
    check(close(n.gradient_norm, std::sqrt(want.gradient_squares)), "%s: gradient %g, expected %g",
          n.name.c_str(), n.gradient_norm, std::sqrt(want.gradient_squares));
    check(std::fabs(n.zeros - want.zeros / values) < 1e-3, "%s: zeros %g, expected %g", n.name.c_str(),
          n.zeros, want.zeros / values);
  }
}

}  // namespace test
}  // namespace kernelet
