// Pass: how values lie in memory. A plan has a program for an image alone (Layout::planes), and one for a block of
// images (Layout::batched) where that pays; in each, all values lie alike today. A blocked layout would be chosen here,
// value by value, with steps that reorder where a reader wants another one.
#pragma once

#include "draft.h"

namespace kernelet {

// Fewest images worth running as a block; 0: there is no batched program.
int batched_from(const Graph& graph, const KernelTable& kernels, const PlanOptions& options);

}  // namespace kernelet
