// Instruction-set tiers: which are in this binary, which this machine runs, which one is used.
#pragma once

#include <string>
#include <vector>

#include "table.h"

namespace kernelet {

// Both slowest first.
std::vector<std::string> compiled_isas();
std::vector<std::string> supported_isas();

struct IsaChoice {
  const KernelTable* table;
  std::string reason;  // "best supported", "KERNELET_ISA", "requested"
};

// `requested` wins over the environment variable KERNELET_ISA, which wins over the best supported tier.
// Throws ERR_ISA with the list of what there is for an unknown or unsupported name.
IsaChoice choose_isa(const std::string& requested);

}  // namespace kernelet
