// Tiers: what is there, forcing one by name, and that the forced one is what runs.
#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "base/error.h"
#include "base/thread_pool.h"
#include "check.h"
#include "data.h"
#include "environment.h"
#include "kernels/isa.h"
#include "naive.h"
#include "net.h"

namespace kernelet {
namespace test {
namespace {

// Does make() throw `code`, with every one of `words` in its message?
template <class Make>
bool throws(const char* code, const std::vector<std::string>& words, Make make) {
  try {
    make();
  } catch (const Error& error) {
    bool good = std::strcmp(error.code(), code) == 0;
    for (const std::string& word : words) good = good && std::strstr(error.what(), word.c_str()) != nullptr;
    if (!good) note("%s: %s", error.code(), error.what());
    return good;
  }
  return false;
}

}  // namespace

PER_TIER(forced_tier) {
  if (!begin("table")) return;
  struct {
    const char* isa;
    int lanes;
    bool fma;
  } const known[] = {
      {"scalar", 1, false}, {"sse", 4, false}, {"avx2", 8, true}, {"avx512", 16, true}, {"neon", 4, true}};
  bool found = false;
  for (const auto& k : known) {
    if (std::strcmp(k.isa, t.isa) != 0) continue;
    found = true;
    check(t.lanes == k.lanes && t.has_fma == k.fma, "%s has %d lanes", t.isa, t.lanes);
  }
  check(found, "a tier these tests know");
  // another tier's table is another one throughout
  for (const std::string& name : supported_isas()) {
    const KernelTable& other = *choose_isa(name).table;
    if (&other == &t) continue;
    check(other.im2col.run != t.im2col.run && other.direct_pixels.run != t.direct_pixels.run &&
              other.direct_channels.run != t.direct_channels.run &&
              other.batched_conv.run != t.batched_conv.run && other.linear.run != t.linear.run &&
              other.batched_linear.run != t.batched_linear.run && other.pool.max != t.pool.max &&
              other.pool.average != t.pool.average && other.batched_pool.max != t.batched_pool.max &&
              other.batched_pool.average != t.batched_pool.average && other.interleave != t.interleave &&
              other.activate != t.activate && other.softmax != t.softmax && other.binary != t.binary,
          "%s and %s share no kernel", t.isa, other.isa);
  }
  // A plan made for this tier says so, and rounds as the tier does: with x = 1 + 2^-12, x * x is
  // 1 + 2^-11 + 2^-24, whose last bit a product of its own loses to rounding and a fused one does not.
  Random random(1);
  Net net(random, shape_of({1, 1, 2}));
  const float weight[] = {-1.0f, 1 + 0x1p-12f};
  const float input[] = {1 + 0x1p-11f, 1 + 0x1p-12f};
  Window window;
  window.kernel[1] = 2;
  net.conv(0, 1, window, 1, false);
  net.graph.nodes[1].weight = {weight, 2};
  for (const char* algorithm : algorithms) {
    const auto plan = make_plan(net.graph, t.isa, true, 1, algorithm);
    check(&plan->kernels() == &t && plan->steps()[0].isa == t.isa, "the plan's tier");
    float output = -1;
    plan->run(input, &output, 1);
    check(output == (t.has_fma ? 0x1p-24f : 0.0f), "the tier's rounding");
  }
}

ONCE(choose_isa) {
  const std::vector<std::string> compiled = compiled_isas(), supported = supported_isas();
  if (begin("lists")) {
    check(!supported.empty() && supported[0] == "scalar", "scalar is always there, and slowest");
    for (const std::string& name : supported) {
      check(std::count(compiled.begin(), compiled.end(), name) == 1, "%s is compiled once", name.c_str());
    }
  }
  if (begin("requested")) {
    for (const std::string& name : supported) {
      const IsaChoice choice = choose_isa(name);
      check(choice.table->isa == name && choice.reason == "requested", "%s", name.c_str());
    }
  }
  const char* const all[] = {"scalar", "sse", "avx2", "avx512", "neon"};
  if (begin("refused")) {
    for (const char* name : {"avx1024", "AVX2", "avx2 ", "best", "sse2", "avx", "auto"}) {
      std::vector<std::string> words = supported;
      words.push_back(std::string("'") + name + "'");
      check(throws("ERR_ISA", words, [&] { choose_isa(name); }),
            "'%s' is refused with the list of what there is", name);
      check(throws("ERR_ISA", words,
                   [&] {
                     Random random(1);
                     Net net(random, shape_of({4}));
                     net.unary(Op::relu, 0);
                     make_plan(net.graph, name);
                   }),
            "a plan for '%s'", name);
    }
    // known to kernelet, but not to this build or this machine
    for (const char* name : all) {
      if (std::count(supported.begin(), supported.end(), name) > 0) continue;
      check(throws("ERR_ISA", supported, [&] { choose_isa(name); }), "'%s' is not there", name);
    }
  }
  if (begin("environment")) {
    const Environment isa("KERNELET_ISA");
    isa.unset();
    check(choose_isa("").table->isa == supported.back() && choose_isa("").reason == "best supported",
          "the best one");
    isa.set("");
    check(choose_isa("").table->isa == supported.back(), "an empty KERNELET_ISA is none");
    for (const std::string& name : supported) {
      isa.set(name.c_str());
      check(choose_isa("").table->isa == name && choose_isa("").reason == "KERNELET_ISA", "KERNELET_ISA=%s",
            name.c_str());
      Random random(1);
      Net net(random, shape_of({4}));
      net.unary(Op::relu, 0);
      check(make_plan(net.graph, "")->kernels().isa == name, "a plan under KERNELET_ISA=%s", name.c_str());
      check(choose_isa("scalar").table->isa == std::string("scalar"), "a request wins over KERNELET_ISA");
    }
    for (const char* name : {"mmx", " ", "scalar,sse"}) {
      std::vector<std::string> words = supported;
      words.push_back("KERNELET_ISA");
      isa.set(name);
      check(throws("ERR_ISA", words, [] { choose_isa(""); }), "KERNELET_ISA='%s' is refused", name);
    }
    for (const char* name : all) {
      if (std::count(supported.begin(), supported.end(), name) > 0) continue;
      isa.set(name);
      check(throws("ERR_ISA", {"KERNELET_ISA"}, [] { choose_isa(""); }),
            "KERNELET_ISA=%s, which is not there", name);
    }
  }
}

ONCE(threads_option) {
  if (begin("environment")) {
    const Environment threads("KERNELET_THREADS");
    set_default_threads(-1);
    threads.unset();
    check(default_threads() == 0, "0: chosen by the amount of work");
    threads.set("");
    check(default_threads() == 0, "an empty KERNELET_THREADS is none");
    threads.set("3");
    check(default_threads() == 3, "KERNELET_THREADS=3");
    set_default_threads(2);
    check(default_threads() == 2, "set_default_threads wins over KERNELET_THREADS");
    set_default_threads(-1);
    for (const char* bad : {"0", "-1", "257", "two", "4x", "1.5", "99999999999999999999"}) {
      threads.set(bad);
      check(throws("ERR_ARGUMENT", {"KERNELET_THREADS", bad}, [] { default_threads(); }),
            "KERNELET_THREADS=%s", bad);
    }
  }
  if (begin("options")) {
    Random random(1);
    Net net(random, shape_of({4}));
    net.unary(Op::relu, 0);
    for (int bad : {-1, -2147483647, 257, 1 << 30}) {
      check(throws("ERR_ARGUMENT", {"threads", std::to_string(bad)},
                   [&] { make_plan(net.graph, "", true, bad); }),
            "threads %d", bad);
    }
    check(throws("ERR_ARGUMENT", {"algorithm", "'quickest'"},
                 [&] { make_plan(net.graph, "", true, 1, "quickest"); }),
          "algorithm");
    check(usable_cpus() >= 1, "a CPU at least");
  }
}

}  // namespace test
}  // namespace kernelet
