// Weights that lie in files: the bits of those in memory, on every tier; files that end before them.
#include "check.h"
#include "data.h"
#include "net.h"

#if defined(__unix__) || defined(__APPLE__)
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "base/error.h"

namespace kernelet {
namespace test {
namespace {

// A file without a name, of some bytes that nobody wants and the weights of convolutions and linear layers.
class WeightsInFile {
 public:
  explicit WeightsInFile(Graph& graph) : file_(std::tmpfile()) {
    int64_t offset = std::fwrite("odd", 1, 3, file_) == 3 ? 3 : -1;
    for (Node& node : graph.nodes) {
      Floats& w = node.weight;
      if (node.op != Op::conv2d && node.op != Op::linear) continue;
      if (std::fwrite(w.data, sizeof(float), w.length, file_) != w.length) offset = -1;
      w = {nullptr, w.length, fileno(file_), offset};
      offset += static_cast<int64_t>(w.length * sizeof(float));
    }
    std::fflush(file_);
    size = offset;
  }
  ~WeightsInFile() { std::fclose(file_); }

  void cut(int64_t bytes) { check(ftruncate(fileno(file_), static_cast<off_t>(bytes)) == 0, "ftruncate"); }

  int64_t size;

 private:
  std::FILE* file_;
};

std::vector<float> run(const Graph& graph, const KernelTable& t, const char* algorithm, int images,
                       int threads = 1) {
  const auto plan = make_plan(graph, t.isa, true, threads, algorithm);
  Random random(3);
  const std::vector<float> input = random_floats(random, static_cast<size_t>(plan->input_length() * images));
  std::vector<float> output(static_cast<size_t>(plan->output_length() * images));
  plan->run(input.data(), output.data(), images);
  return output;
}

std::string code_of(const Graph& graph, const PlanOptions& options) {
  try {
    Plan::make(graph, options);
  } catch (const Error& error) {
    return error.code();
  }
  return "none";
}

}  // namespace

PER_TIER(files) {
  for (const int outputs : {1, 5, 63, 64, 129, 300, 1000}) {
    for (const int rows : {1, 3}) {
      const std::string problem = "oc" + std::to_string(outputs) + "mb" + std::to_string(rows);
      if (!begin(problem)) continue;
      Random random(static_cast<uint64_t>(outputs + rows));
      // the last one's panels have weights enough that several threads would cut them once more
      Net net(random, shape_of({rows, outputs == 1000 ? 2100 : 37}));
      net.linear(net.unary(Op::relu, net.linear(0, outputs)), 7, false);
      for (const int images : {1, 19}) {
        const std::vector<float> want = run(net.graph, t, "auto", images);
        Graph stored = net.graph;
        WeightsInFile file(stored);
        // several threads have panels of their own
        for (const int threads : {1, 2, 3}) {
          const std::vector<float> got = run(stored, t, "auto", images, threads);
          check(std::memcmp(got.data(), want.data(), want.size() * sizeof(float)) == 0,
                "other bits on %d threads", threads);
        }
      }
    }
  }
  for (const char* algorithm : algorithms) {
    if (!begin(std::string("net ") + algorithm)) continue;
    Random random(7);
    Net net(random, shape_of({3, 12, 12}));
    int at = net.unary(Op::relu, net.conv(0, 20, Window(3, 1, 1)));
    at = net.conv(net.pool(Op::max_pool2d, at, Window(2, 2)), 33, Window(1));
    at = net.conv(at, 33, Window(3, 1, 1), 33);
    net.linear(net.flatten(net.unary(Op::relu, at)), 10);
    for (const int images : {1, 19}) {
      const std::vector<float> want = run(net.graph, t, algorithm, images);
      Graph stored = net.graph;
      WeightsInFile file(stored);
      const std::vector<float> got = run(stored, t, algorithm, images);
      check(std::memcmp(got.data(), want.data(), want.size() * sizeof(float)) == 0, "other bits");
    }
  }
}

ONCE(files_refused) {
  if (!begin("cut, closed, int8")) return;
  Random random(9);
  Net net(random, shape_of({3, 8, 8}));
  net.linear(net.flatten(net.conv(0, 8, Window(3))), 4);
  Graph stored = net.graph;
  WeightsInFile file(stored);
  PlanOptions options;
  check(code_of(stored, options) == "none", "a whole file");
  options.int8 = true;
  check(code_of(stored, options) == "ERR_ARGUMENT", "int8 looks at weights");
  options.int8 = false;
  for (const int64_t bytes : {file.size - 1, file.size - 4 * 200, int64_t{3}, int64_t{0}}) {
    file.cut(bytes);
    check(code_of(stored, options) == "ERR_IO", "%d bytes are too few", static_cast<int>(bytes));
  }
  for (Node& node : stored.nodes)
    if (node.weight.file >= 0) node.weight.file = 1 << 20;
  check(code_of(stored, options) == "ERR_IO", "a descriptor of nothing");
}

}  // namespace test
}  // namespace kernelet
#endif
