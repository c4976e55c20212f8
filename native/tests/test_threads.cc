// parallel_for and plans under concurrent callers. Also built with ThreadSanitizer: npm run test:threads.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>

#include "base/task_team.h"
#include "base/thread_pool.h"
#include "check.h"
#include "data.h"
#include "kernels/isa.h"
#include "net.h"

namespace kernelet {
namespace test {
namespace {

struct Tally {
  std::vector<std::atomic<int>> done;
  explicit Tally(int parts) : done(static_cast<size_t>(parts)) {}
  static void count(void* context, int part) {
    ++static_cast<Tally*>(context)->done[static_cast<size_t>(part)];
  }
  bool once_each() const {
    for (const auto& n : done) {
      if (n.load() != 1) return false;
    }
    return true;
  }
};

bool run_parts(int threads, int parts) {
  Tally tally(parts);
  parallel_for(threads, parts, Tally::count, &tally);
  return tally.once_each();
}

}  // namespace

ONCE(parallel_for) {
  if (begin("parts")) {
    for (int threads : {1, 2, 3, 8}) {
      for (int parts : {0, 1, 2, 3, 7, 64, 1000}) {
        check(run_parts(threads, parts), "%d threads do each of %d parts once", threads, parts);
      }
    }
  }
  if (begin("many short jobs")) {
    bool good = true;
    for (int i = 0; i < (slow ? 2000 : 20000); ++i) good = good && run_parts(2, 2);
    check(good, "jobs of two parts");
  }
  if (begin("concurrent callers")) {
    std::atomic<bool> good{true};
    std::vector<std::thread> callers;
    for (int caller = 0; caller < 6; ++caller) {
      callers.emplace_back([&good, caller] {
        for (int i = 0; i < (slow ? 100 : 1000); ++i) {
          if (!run_parts(2 + (i + caller) % 4, 1 + i % 17)) good = false;
        }
      });
    }
    for (std::thread& caller : callers) caller.join();
    check(good, "six callers at once");
  }
}

// Phases of a team: each task sees what all tasks wrote in the phase before, and none of its own phase but its own.
ONCE(task_team) {
  struct Phases {
    int threads, tasks, phases;
    std::vector<int> written[2];  // by each task, in even and in odd phases
    std::atomic<int> wrong;

    static void work(void* context, int index, int task, int thread) {
      Phases& p = *static_cast<Phases*>(context);
      const bool own = p.tasks > p.threads || thread == 0 || thread == task;
      bool good = own && thread >= 0 && thread < p.threads && task >= 0 && task < p.tasks;
      for (int before : p.written[(index + 1) % 2]) good = good && before == index - 1;
      int& mine = p.written[index % 2][static_cast<size_t>(task)];
      good = good && mine == index - 2;
      mine = index;
      if (!good) ++p.wrong;
      // one that is late: its part may be taken
      if (index % 50 == 0 && thread > 0) std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
    static void body(void* context, TaskTeam& team) {
      Phases& p = *static_cast<Phases*>(context);
      for (int index = 1; index <= p.phases; ++index) team.each(p.tasks, work, context, index);
    }
  };
  for (int threads : {1, 2, 3, 8}) {
    for (int tasks : {1, 2, 3, 8, 40}) {
      if (!begin(std::to_string(threads) + " threads, " + std::to_string(tasks) + " tasks")) continue;
      for (int call = 0; call < (slow ? 3 : 20); ++call) {
        Phases p{threads, tasks, 200, {}, {0}};
        p.written[0].assign(static_cast<size_t>(tasks), 0);
        p.written[1].assign(static_cast<size_t>(tasks), -1);
        TaskTeam::run(threads, Phases::body, &p);
        check(p.wrong == 0, "%d tasks went wrong", p.wrong.load());
        const std::vector<int>& last = p.written[p.phases % 2];
        check(std::count(last.begin(), last.end(), p.phases) == tasks,
              "all tasks of the last phase are done");
      }
    }
  }
}

// The same plan and different plans on several threads at once, each with threads of its own.
ONCE(concurrent_plans) {
  if (!begin("bits")) return;
  constexpr int batch = 5;
  struct Item {
    std::unique_ptr<const Plan> plan;
    std::vector<float> input, want;
  };
  std::vector<Item> items;
  Random random(7);
  for (const std::string& isa : supported_isas()) {
    Net lenet(random, shape_of({1, 28, 28}));
    lenet5(lenet);
    const Net other = random_net(random, 12);
    for (const Graph* graph : {static_cast<const Graph*>(&lenet.graph), &other.graph}) {
      for (int threads : {1, 3}) {
        Item item;
        item.plan = make_plan(*graph, isa.c_str(), true, threads);
        item.input = random_floats(random, static_cast<size_t>(item.plan->input_length()) * batch);
        item.want.resize(static_cast<size_t>(item.plan->output_length()) * batch);
        for (int i = 0; i < batch; ++i) {
          item.plan->run(item.input.data() + i * item.plan->input_length(),
                         item.want.data() + i * item.plan->output_length(), 1);
        }
        items.push_back(std::move(item));
      }
    }
  }
  std::atomic<int> wrong{0};
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 4; ++caller) {
    callers.emplace_back([&, caller] {
      for (int round = 0; round < (slow ? 3 : 40); ++round) {
        // the callers meet on every second plan
        for (size_t i = 0; i < items.size(); ++i) {
          const Item& item = items[i % 2 == 0 ? i : (i + static_cast<size_t>(2 * caller)) % items.size()];
          std::vector<float> got(item.want.size());
          item.plan->run(item.input.data(), got.data(), batch);
          if (difference(got.data(), item.want.data(), got.size(), true) != got.size()) ++wrong;
        }
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  check(wrong == 0, "%d runs of %zu plans differ from the images run alone", wrong.load(), items.size());
  check(aligned_canaries_alive(), "no arena is written beyond its end");
  items.clear();
  check(aligned_blocks_alive() == 0, "every arena is freed with its plan");
}

// Threads that share one image: every step that can be divided is, and no bit depends on it.
ONCE(divided_images) {
  for (const std::string& isa : supported_isas()) {
    for (const char* algorithm : {"auto", "blocked"}) {
      for (int i = 0; i < (slow ? 4 : 40); ++i) {
        const std::string name = isa + " " + algorithm + " " + std::to_string(i);
        if (!begin(name)) continue;
        Random random(name);
        Net net = i == 0 ? Net(random, shape_of({3, 33, 29})) : random_net(random, 4 + i % 12);
        if (i == 0) {  // channels enough for several panels, rows enough for several strips
          int x = net.conv(0, 70, Window(3, 2, 1));
          x = net.add(net.conv(x, 70, Window(3, 1, 1)), x);
          x = net.pool(Op::max_pool2d, net.conv(net.unary(Op::hardswish, x), 130, Window(1)), Window(2, 2));
          x = net.conv(x, 130, Window(5, 1, 2), 130);
          x = net.adaptive(Op::adaptive_avg_pool2d, x, 2, 2);
          net.linear(net.flatten(x), 150);
        }
        PlanOptions options;
        options.isa = isa;
        options.algorithm = algorithm;
        options.threads = 1;
        const std::unique_ptr<const Plan> alone = Plan::make(net.graph, options);
        const std::vector<float> input = random_floats(random, net.input_length());
        std::vector<float> want(net.output_length());
        alone->run(input.data(), want.data(), 1);
        for (int threads : {2, 3, 8}) {
          options.threads = threads;
          options = in_small_strips(options);
          // always, or where it is found to pay: in the first calls by turns
          for (int64_t from : {0, 1}) {
            options.divide_from = from;
            const std::unique_ptr<const Plan> divided = Plan::make(net.graph, options);
            for (int round = 0; round < (from == 0 ? 3 : 14); ++round) {
              std::vector<float> got(want.size());
              divided->run(input.data(), got.data(), 1);
              check_same(got.data(), want.data(), want.size(), (name + " shared by threads").c_str());
            }
          }
        }
      }
    }
  }
}

// Images whose linear layers read their many weights together.
ONCE(shared_weights) {
  for (const std::string& isa : supported_isas()) {
    for (int threads : {1, 3}) {
      const std::string name = isa + " " + std::to_string(threads);
      if (!begin(name)) continue;
      Random random(name);
      Net net(random, shape_of({5, 9, 9}));
      int x = net.unary(Op::relu, net.conv(0, 7, Window(3)));
      x = net.unary(Op::tanh, net.linear(net.flatten(x), 260));
      x = net.add(net.linear(x, 260), x);
      net.softmax(Op::softmax, net.linear(x, 33), 0);
      PlanOptions options;
      options.isa = isa;
      options.algorithm = "direct";  // no images in lanes
      options.threads = threads;
      const std::unique_ptr<const Plan> plan = Plan::make(net.graph, options);
      const std::vector<float> input = random_floats(random, 21 * net.input_length());
      std::vector<float> want(21 * net.output_length());
      for (size_t i = 0; i < 21; ++i)
        plan->run(input.data() + i * net.input_length(), want.data() + i * net.output_length(), 1);
      for (int64_t batch : {0, 2, 7, 8, 9, 16, 21}) {
        const size_t n = static_cast<size_t>(batch);
        const std::vector<float> some(input.begin(),
                                      input.begin() + static_cast<ptrdiff_t>(n * net.input_length()));
        const std::vector<float> got = run_guarded(*plan, some, batch, all_places[n % 3]);
        check_same(got.data(), want.data(), got.size(),
                   (name + ", a batch of " + std::to_string(batch)).c_str());
      }
    }
  }
}

}  // namespace test
}  // namespace kernelet
