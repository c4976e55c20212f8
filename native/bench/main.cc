// kernelet_bench: single convolutions without Node, for perf, valgrind and whoever wants a plain program.
//
//   kernelet_bench --isa sse,avx2 --algorithm im2col,direct --problem ic6ih12oc16kh5 --batch 1,64
//   perf stat build-bench/kernelet_bench --isa avx2 --problem ic64ih56oc64kh3ph1 --seconds 5
//
// Measures Plan::run, as `kernelet bench kernels` does, after comparing its result with the definition.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <stdexcept>

#include "base/cpu.h"
#include "base/error.h"
#include "kernels/isa.h"
#include "kernels/roof.h"
#include "plan/plan.h"
#include "problem.h"

namespace kernelet {
namespace bench {
namespace {

struct Options {
  std::vector<std::string> isas, algorithms = {"auto"};
  std::vector<Problem> problems;
  std::vector<int> batches, threads = {1};
  double seconds = 0.3;
  int iterations = 0;  // 0: as many as fit the time
  bool check = true;
};

#if defined(__clang__)
const char* const compiler = "clang " __clang_version__;
#elif defined(__GNUC__)
const char* const compiler = "GCC " __VERSION__;
#else
const char* const compiler = "another compiler";
#endif

const char* const usage =
    "kernelet_bench --problem LIST | --shapes FILE [options]\n"
    "  --problem LIST     problem strings, such as mb1ic6ih12oc16oh8kh5 (see bench/README.md)\n"
    "  --shapes FILE      a file of them, one a line, # begins a comment\n"
    "  --isa LIST         scalar,sse,avx2,avx512,neon or all; default: the best here\n"
    "  --algorithm LIST   auto,im2col,direct,lanes ...; default auto\n"
    "  --batch LIST       images a call, instead of the problems' mb\n"
    "  --threads LIST     default 1\n"
    "  --seconds S        how long each is measured; default 0.3\n"
    "  --iterations N     instead of a time: exactly N calls, for valgrind and counters\n"
    "  --no-check         time without checking the result first\n";

[[noreturn]] void fail(const std::string& message) { throw std::invalid_argument(message); }

std::vector<std::string> list_of(const std::string& text) {
  std::vector<std::string> words;
  std::istringstream stream(text);
  for (std::string word; std::getline(stream, word, ',');) words.push_back(word);
  return words;
}

std::vector<int> numbers_of(const std::string& option, const std::string& text) {
  std::vector<int> numbers;
  for (const std::string& word : list_of(text)) {
    const int number = std::atoi(word.c_str());
    if (number < 1) fail(option + ": expected numbers from 1 up but received '" + word + "'");
    numbers.push_back(number);
  }
  return numbers;
}

Options options_of(int count, char** words) {
  Options o;
  for (int i = 1; i < count; ++i) {
    const std::string option = words[i];
    if (option == "--no-check") {
      o.check = false;
      continue;
    }
    if (i + 1 == count) fail(option + ": expected a known option with a value (see --help)");
    const std::string value = words[++i];
    if (option == "--problem") {
      for (const std::string& text : list_of(value)) o.problems.push_back(parse_problem(text));
    } else if (option == "--shapes") {
      const std::vector<Problem> shapes = read_shapes(value);
      o.problems.insert(o.problems.end(), shapes.begin(), shapes.end());
    } else if (option == "--isa") {
      o.isas = value == "all" ? supported_isas() : list_of(value);
    } else if (option == "--algorithm") {
      o.algorithms = list_of(value);
    } else if (option == "--batch") {
      o.batches = numbers_of(option, value);
    } else if (option == "--threads") {
      o.threads = numbers_of(option, value);
    } else if (option == "--iterations") {
      o.iterations = numbers_of(option, value).at(0);
    } else if (option == "--seconds") {
      o.seconds = std::atof(value.c_str());
      if (!(o.seconds > 0)) fail("--seconds: expected a number above 0 but received '" + value + "'");
    } else {
      fail("unknown option " + option + " (see --help)");
    }
  }
  if (o.problems.empty()) fail("expected --problem or --shapes (see --help)");
  if (o.isas.empty()) o.isas = {choose_isa("").table->isa};
  if (!o.batches.empty()) {
    std::vector<Problem> all;
    for (const Problem& problem : o.problems) {
      for (int batch : o.batches) {
        all.push_back(problem);
        all.back().mb = batch;
      }
    }
    o.problems = all;
  }
  return o;
}

// The same numbers in every run.
std::vector<float> uniform(size_t count, float limit, uint32_t seed) {
  std::vector<float> values(count);
  for (float& value : values) {
    seed = seed * 1664525u + 1013904223u;
    value = limit * (static_cast<float>(seed >> 8) / 8388608.0f - 1.0f);
  }
  return values;
}

struct Operands {
  std::vector<float> input, weight, bias;

  explicit Operands(const Problem& p)
      : input(uniform(static_cast<size_t>(p.mb) * p.ic * p.ih * p.iw, 1, 1)),
        weight(uniform(static_cast<size_t>(p.oc) * (p.ic / p.g) * p.kh * p.kw,
                       std::sqrt(3.0f / static_cast<float>(p.ic / p.g * p.kh * p.kw)), 2)),
        bias(uniform(static_cast<size_t>(p.oc), 1, 3)) {}
};

// Output `index` by the definition, in double precision.
double naive(const Problem& p, const Operands& in, size_t index) {
  const int x = static_cast<int>(index % p.ow), y = static_cast<int>(index / p.ow % p.oh);
  const int oc = static_cast<int>(index / p.ow / p.oh % p.oc), inputs = p.ic / p.g;
  const size_t image = index / p.ow / p.oh / p.oc;
  const float* const src = in.input.data() + (image * p.ic + oc / (p.oc / p.g) * inputs) * p.ih * p.iw;
  const float* const window = in.weight.data() + static_cast<size_t>(oc) * inputs * p.kh * p.kw;
  double sum = in.bias[static_cast<size_t>(oc)];
  for (int c = 0; c < inputs; ++c) {
    for (int i = 0; i < p.kh; ++i) {
      for (int j = 0; j < p.kw; ++j) {
        const int row = y * p.sh + i * p.dh - p.ph, column = x * p.sw + j * p.dw - p.pw;
        if (row < 0 || row >= p.ih || column < 0 || column >= p.iw) continue;
        sum += double{src[(static_cast<size_t>(c) * p.ih + row) * p.iw + column]} *
               window[(c * p.kh + i) * p.kw + j];
      }
    }
  }
  return sum;
}

void check(const Problem& p, const Operands& in, const std::vector<float>& output) {
  // at most 1e8 muladds; an odd step visits every column
  const size_t step = static_cast<size_t>(p.macs() / 1e8) * 2 + 1;
  for (size_t i = 0; i < output.size(); i += step) {
    const double expected = naive(p, in, i);
    if (std::fabs(output[i] - expected) <= 1e-4 * std::max(1.0, std::fabs(expected))) continue;
    throw std::runtime_error(p.text() + ": output " + std::to_string(i) + " is " + std::to_string(output[i]) +
                             " where " + std::to_string(expected) + " was expected; nothing was timed");
  }
}

Graph graph_of(const Problem& p, const Operands& in) {
  const auto shape = [](int c, int h, int w) {
    Shape s;
    s.rank = 3;
    s.dims[0] = c, s.dims[1] = h, s.dims[2] = w;
    return s;
  };
  Node input, conv;
  input.name = "input";
  input.shape = shape(p.ic, p.ih, p.iw);
  conv.op = Op::conv2d;
  conv.name = "conv";
  conv.inputs = {0};
  conv.shape = shape(p.oc, p.oh, p.ow);
  conv.weight = {in.weight.data(), in.weight.size()};
  conv.bias = {in.bias.data(), in.bias.size()};
  conv.kernel[0] = p.kh, conv.kernel[1] = p.kw;
  conv.stride[0] = p.sh, conv.stride[1] = p.sw;
  conv.dilation[0] = p.dh, conv.dilation[1] = p.dw;
  conv.padding[0] = p.ph, conv.padding[1] = p.pw, conv.padding[2] = p.pb, conv.padding[3] = p.pr;
  conv.groups = p.g;
  Graph graph;
  graph.nodes = {input, conv};
  graph.output = 1;
  return graph;
}

using Clock = std::chrono::steady_clock;

double ns_since(Clock::time_point start) {
  return std::chrono::duration<double, std::nano>(Clock::now() - start).count();
}

void measure(const Problem& p, const std::string& isa, const std::string& algorithm, int threads, double peak,
             const Options& o) {
  const Operands in(p);
  PlanOptions options;
  options.isa = isa;
  options.algorithm = algorithm;
  options.threads = threads;
  const auto plan = Plan::make(graph_of(p, in), options);
  const std::string& took = plan->steps().at(0).algorithm;
  const bool free_choice = algorithm == "auto" || algorithm == "fastest";
  if (!free_choice && took.compare(0, algorithm.size(), algorithm) != 0) {
    std::fprintf(stderr, "%s by %s on %s: does not fit\n", p.text().c_str(), algorithm.c_str(), isa.c_str());
    return;
  }
  std::vector<float> output(static_cast<size_t>(p.mb) * p.oc * p.oh * p.ow);
  const auto run = [&] { plan->run(in.input.data(), output.data(), p.mb); };
  run();
  if (o.check) check(p, in, output);
  std::vector<double> ns;
  const auto begin = Clock::now();
  while (o.iterations > 0 ? ns.size() < static_cast<size_t>(o.iterations)
                          : ns.size() < 3 || ns_since(begin) < o.seconds * 1e9) {
    const auto before = Clock::now();
    run();
    ns.push_back(ns_since(before));
  }
  std::sort(ns.begin(), ns.end());
  const auto at = [&](double fraction) {
    return ns[static_cast<size_t>(fraction * static_cast<double>(ns.size() - 1))];
  };
  const double gflops = 2 * p.macs() / at(0.5);
  char share[16] = "";
  if (peak > 0) std::snprintf(share, sizeof share, "%.1f %%", 100 * gflops / peak);
  std::printf("%-44s %-7s %-16s %2d %11.0f %11.0f %11.0f %8.2f %8s  %s\n", p.text().c_str(), isa.c_str(),
              took.c_str(), threads, at(0.5), at(0.9), ns.front(), gflops, share, p.name.c_str());
  std::fflush(stdout);
}

void run(const Options& o) {
  for (const std::string& isa : o.isas) choose_isa(isa);  // throws before anything is printed
  std::printf("%s, %s\n", cpu_name().c_str(), compiler);
  std::printf("%-44s %-7s %-16s %2s %11s %11s %11s %8s %8s\n", "problem", "isa", "algorithm", "t", "p50 ns",
              "p90 ns", "min ns", "GFLOP/s", "of peak");
  for (const Problem& problem : o.problems) {
    for (const std::string& isa : o.isas) {
      const KernelTable& kernels = *choose_isa(isa).table;
      for (int threads : o.threads) {
        const double peak = o.iterations > 0 ? 0 : measure_muladds(kernels, threads);
        for (const std::string& algorithm : o.algorithms) measure(problem, isa, algorithm, threads, peak, o);
      }
    }
  }
}

}  // namespace
}  // namespace bench
}  // namespace kernelet

int main(int count, char** words) {
  if (count > 1 && (std::strcmp(words[1], "--help") == 0 || std::strcmp(words[1], "-h") == 0)) {
    std::fputs(kernelet::bench::usage, stdout);
    return 0;
  }
  try {
    kernelet::bench::run(kernelet::bench::options_of(count, words));
    return 0;
  } catch (const kernelet::Error& error) {
    std::fprintf(stderr, "kernelet_bench: %s\n", error.what());
    return 2;
  } catch (const std::invalid_argument& error) {
    std::fprintf(stderr, "kernelet_bench: %s\n", error.what());
    return 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "kernelet_bench: %s\n", error.what());
    return 1;
  }
}
