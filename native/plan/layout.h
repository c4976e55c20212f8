// Pass: how values lie in memory. A plan has a program for an image alone and, where that pays, one for a block of images
// (Layout::batched throughout). In the first, convolutions with channels enough write blocks of channels
// (Layout::blocked), and what follows them stays in blocks as long as its operations can; all else is planes.
#pragma once

#include "draft.h"

namespace kernelet {

// Threads that share one image.
int parts_of_image(const PlanOptions& options);

// Fewest images worth running as a block, where a block is worth it at all.
int fewest_of_block(const KernelTable& kernels);
// The same of a network; 0: there is no batched program.
int batched_from(const Graph& graph, const KernelTable& kernels, const PlanOptions& options);

// How convolutions write blocks of channels: InBlocks, a flag a node.
NodeFlags blocked_convolutions(const Graph& graph, const KernelTable& kernels, const PlanOptions& options);

}  // namespace kernelet
