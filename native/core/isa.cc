#include "isa.h"

#include <cstdlib>

#include "cpu.h"
#include "error.h"

namespace kernelet {
namespace {

struct Tier {
  const KernelTable* table;
  bool supported;
};

// Slowest first: the last supported one is the default.
std::vector<Tier> tiers() {
  const CpuFeatures cpu = cpu_features();
  (void)cpu;
  return {
#if defined(KERNELET_HAVE_SCALAR)
    {&scalar::table, true},
#endif
#if defined(KERNELET_HAVE_SSE)
        {&sse::table, cpu.sse2},
#endif
#if defined(KERNELET_HAVE_AVX2)
        {&avx2::table, cpu.avx2_fma},
#endif
#if defined(KERNELET_HAVE_AVX512)
#if defined(KERNELET_EMULATE_AVX512)
        {&avx512::table, cpu.avx2_fma},  // a test build: the tier's source over emulated instructions
#else
        {&avx512::table, cpu.avx512},
#endif
#endif
#if defined(KERNELET_HAVE_NEON)
        {&neon::table, cpu.neon},
#endif
  };
}

std::string join(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

const KernelTable* find(const std::string& name, const std::string& origin) {
  bool known = false;
  for (const Tier& tier : tiers()) {
    if (name != tier.table->isa) continue;
    if (tier.supported) return tier.table;
    known = true;
  }
  fail("ERR_ISA", {origin, " '", name, "' is ",
                   known ? "not supported by this CPU or operating system" : "not in this build",
                   "; this machine has: ", join(supported_isas())});
}

}  // namespace

std::vector<std::string> compiled_isas() {
  std::vector<std::string> names;
  for (const Tier& tier : tiers()) names.push_back(tier.table->isa);
  return names;
}

std::vector<std::string> supported_isas() {
  std::vector<std::string> names;
  for (const Tier& tier : tiers()) {
    if (tier.supported) names.push_back(tier.table->isa);
  }
  return names;
}

IsaChoice choose_isa(const std::string& requested) {
  if (!requested.empty()) return {find(requested, "isa"), "requested"};
  const char* forced = std::getenv("KERNELET_ISA");
  if (forced != nullptr && *forced != '\0') return {find(forced, "KERNELET_ISA"), "KERNELET_ISA"};
  return {find(supported_isas().back(), "isa"), "best supported"};
}

}  // namespace kernelet
