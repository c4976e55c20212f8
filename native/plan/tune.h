// Tuning: of the ways to compute each step, the fastest on this machine, by timing them.
#pragma once

#include "plan.h"

namespace kernelet {

struct TuneOptions {
  int64_t batch = 1;
  double seconds = 1.2;  // after which nothing new is tried
  Clock clock = &steady_ns;
};

struct Tuned {
  std::unique_ptr<const Plan> plan;
  Choices choices;
  int64_t divide_from = 0;
  double untuned_ns = 0, tuned_ns = 0;  // of a call
};

// The graph's plan with the choices that were found; without any where none was faster. Runs it many times.
Tuned tune(const Graph& graph, const PlanOptions& options, const TuneOptions& how);

}  // namespace kernelet
