#include "layout.h"

#include <algorithm>

namespace kernelet {
namespace {

// A block of images pays off while what is live between its steps stays in a core's second-level cache.
constexpr size_t batched_limit = (size_t{1} << 20) / sizeof(float);

// The two largest neighbours, a value and the next, as a bound that needs no places of values.
bool fits_cache(const Graph& graph, const KernelTable& kernels) {
  int64_t largest = 0;
  for (const Node& node : graph.nodes) largest = std::max(largest, node.shape.elements());
  return static_cast<size_t>(2 * largest) * static_cast<size_t>(kernels.lanes) <= batched_limit;
}

}  // namespace

int batched_from(const Graph& graph, const KernelTable& kernels, const PlanOptions& options) {
  if (options.algorithm == "lanes") return 1;
  const bool chosen_here = options.algorithm == "auto" || options.algorithm == "fastest";
  if (!chosen_here || kernels.lanes == 1 || !fits_cache(graph, kernels)) return 0;
  return (3 * kernels.lanes + 3) / 4;
}

void choose_layouts(Draft& draft) { draft.layouts.assign(draft.copy() + 1, draft.images); }

}  // namespace kernelet
