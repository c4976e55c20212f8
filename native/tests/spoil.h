// Graphs spoilt at random: what validation must refuse, or what then does no harm.
#pragma once

#include "data.h"
#include "net.h"
#include "plan/plan.h"

namespace kernelet {
namespace test {

// Spoils one thing of one node, in a way that may or may not leave the graph valid.
void corrupt(Net& net, Random& random);

// After a corruption of attributes, what shapes and weights would have to be: else few graphs get past the
// shapes. Gives up where an attribute makes no sense.
void repair(Net& net);

// Small enough to run, and for the twin to follow.
bool runnable(const Graph& g, const Plan& plan);

}  // namespace test
}  // namespace kernelet
