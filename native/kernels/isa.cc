#include "isa.h"

#include <cstdlib>

#include "base/cpu.h"
#include "base/error.h"

namespace kernelet {

#define KERNELET_TIER(name)               \
  namespace name {                        \
  extern KERNELET_HIDDEN const Tier tier; \
  }
#include "tiers.inc"
#undef KERNELET_TIER

namespace {

// Slowest first: the last supported one is the default.
const Tier* const tiers[] = {
#define KERNELET_TIER(name) &name::tier,
#include "tiers.inc"
#undef KERNELET_TIER
};
constexpr size_t tier_count = sizeof(tiers) / sizeof(*tiers);

bool is_supported(const Tier& tier) { return (tier.needs & ~cpu_features()) == 0; }

// Those of tiers that this machine has not stay empty.
struct Tables {
  KernelTable of[tier_count] = {};
  Tables() {
    for (size_t i = 0; i < tier_count; ++i) {
      if (is_supported(*tiers[i])) tiers[i]->fill(of[i], i > 0 ? &of[i - 1] : nullptr);
    }
  }
};

std::string join(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

const KernelTable* find(const std::string& name, const std::string& origin) {
  static const Tables tables;
  bool known = false;
  for (size_t i = 0; i < tier_count; ++i) {
    if (name != tiers[i]->isa) continue;
    if (is_supported(*tiers[i])) return &tables.of[i];
    known = true;
  }
  fail("ERR_ISA", {origin, " '", name, "' is ",
                   known ? "not supported by this CPU or operating system" : "not in this build",
                   "; this machine has: ", join(supported_isas())});
}

}  // namespace

std::vector<std::string> compiled_isas() {
  std::vector<std::string> names;
  for (const Tier* tier : tiers) names.push_back(tier->isa);
  return names;
}

std::vector<std::string> supported_isas() {
  std::vector<std::string> names;
  for (const Tier* tier : tiers) {
    if (is_supported(*tier)) names.push_back(tier->isa);
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
