// Pass: a kernel for each step with weights: of those that fit a shape and that the option `algorithm` admits, the one
// that should come nearest to the peak, by the cost model (costs.h).
#include <algorithm>

#include "costs.h"
#include "draft.h"
#include "ops/conv.h"
#include "ops/linear.h"

namespace kernelet {
namespace {

// The second best of the cost model has to come as near as this to the best.
constexpr double near_enough = 0.6;

const ConvAlgorithm& choose(const Draft& draft, const ConvArgs& a, const Choice* choice) {
  const KernelTable& k = *draft.kernels;
  if (draft.is_batched()) return k.batched_conv;
  if (choice != nullptr && choice->algorithm > 0) {
    const ConvAlgorithm* const chosen = planes_kernel(choice->algorithm, k);
    if (chosen == nullptr || !chosen->fits(a)) refuse(*draft.graph, *choice);
    return *chosen;
  }
  const std::string& option = draft.options->algorithm;
  const bool any = option == "auto" || option == "fastest";
  const ConvAlgorithm *best = &k.im2col, *second = best;
  double best_efficiency = 0, second_efficiency = 0;
  for (int32_t number = 1; number <= planes_kernels; ++number) {
    const ConvAlgorithm* const algorithm = planes_kernel(number, k);
    if (algorithm == nullptr || !algorithm->fits(a)) continue;
    const bool admitted = any || (number > 1 && option == "direct");
    // (im2col by its name is what is taken anyway)
    if (!admitted && (algorithm == &k.im2col || option != algorithm->name)) continue;
    const double efficiency = efficiency_of(number, a, k);
    if (efficiency > best_efficiency) {
      second = best;
      second_efficiency = best_efficiency;
      best = algorithm;
      best_efficiency = efficiency;
    } else if (efficiency > second_efficiency) {
      second = algorithm;
      second_efficiency = efficiency;
    }
  }
  return draft.options->second_best && second_efficiency > near_enough * best_efficiency ? *second : *best;
}

const ConvAlgorithm& choose_in_blocks(const Draft& draft, const DraftStep& step) {
  const KernelTable& k = *draft.kernels;
  if ((*draft.blocked)[static_cast<size_t>(step.group->nodes[0])] == by_winograd) return k.winograd;
  return direct_in_blocks(step.conv()->args, k);
}

// int8x4: whichever fills the lanes better; direct-channels takes any number of them.
const ConvAlgorithm& choose_int8x4(const Draft& draft, const ConvArgs& a) {
  const Int8Kernels& k = *draft.int8x4;
  if (draft.is_batched()) return k.batched_conv;
  const bool pixels = filled(a.ow, draft.kernels->lanes) > filled(a.oc, draft.kernels->lanes);
  return pixels && k.direct_pixels.fits(a) ? k.direct_pixels : k.direct_channels;
}

// One row is bound by reading the weights: fewer zeros beyond the last output are less to read.
const LinearAlgorithm& choose(const Draft& draft, const LinearArgs& a, const Choice* choice) {
  const KernelTable& k = *draft.kernels;
  if (draft.is_batched()) return k.batched_linear;
  const LinearAlgorithm* const narrow = k.narrow_linear;
  if (choice != nullptr && choice->algorithm > 0) {
    const bool wide = choice->algorithm == Choice::wide_linear;
    if (!wide && (choice->algorithm != Choice::narrow_linear || narrow == nullptr))
      refuse(*draft.graph, *choice);
    return wide ? k.linear : *narrow;
  }
  const bool smaller = narrow != nullptr && narrow->weights_size(a) < k.linear.weights_size(a);
  return a.rows == 1 && smaller ? *narrow : k.linear;
}

const LinearAlgorithm& choose_int8x4(const Draft& draft) {
  return draft.is_batched() ? draft.int8x4->batched_linear : draft.int8x4->linear;
}

// Is a convolution worth writing blocks of channels, rather than planes by the best of their kernels?
bool pays_in_blocks(const ConvArgs& a, const KernelTable& k) {
  if (k.lanes == 1) return false;
  if (a.groups > 1) return a.oc >= k.lanes;
  // a pixel of its own lies alike in planes and in blocks
  if (a.oh == 1 && a.ow == 1) return true;
  // lanes that compute nothing, and what little a small window leaves to do between loads and stores
  return filled(a.oc, k.lanes) >= 0.75 && int64_t{a.ic} * a.kh * a.kw >= 8;
}

}  // namespace

const ConvAlgorithm& direct_in_blocks(const ConvArgs& a, const KernelTable& k) {
  return a.groups > 1 && k.blocked_depthwise.fits(a) ? k.blocked_depthwise : k.blocked_conv;
}

InBlocks in_blocks(const ConvArgs& a, const KernelTable& k, const std::string& option) {
  const ConvAlgorithm& direct = direct_in_blocks(a, k);
  if (!direct.fits(a)) return not_in_blocks;
  if (option == "winograd") return k.winograd.fits(a) ? by_winograd : not_in_blocks;
  if (option == "blocked") return directly;
  if ((option != "auto" && option != "fastest") || !pays_in_blocks(a, k)) return not_in_blocks;
  const bool gains = option == "fastest" && k.winograd.fits(a) && winograd_gain(a, k) > 1;
  return gains ? by_winograd : directly;
}

InBlocks in_blocks(const Graph& graph, const Choice& choice, const ConvArgs& a, const KernelTable& k,
                   const std::string& option) {
  if (choice.way == Choice::planes) return not_in_blocks;
  const bool winograd = choice.way == Choice::winograd;
  const ConvAlgorithm& algorithm = winograd ? k.winograd : direct_in_blocks(a, k);
  // (other bits than those that were asked for)
  if (!algorithm.fits(a) || (winograd && option != "fastest")) refuse(graph, choice);
  return winograd ? by_winograd : directly;
}

int32_t implementation_of(const KernelTable& k, const ConvAlgorithm& algorithm) {
  for (int32_t number = 1; number <= planes_kernels; ++number) {
    if (planes_kernel(number, k) == &algorithm) return number;
  }
  return 0;
}

void choose_algorithms(Draft& draft) {
  for (DraftStep& step : draft.steps) {
    const Choice* const choice =
        step.group != nullptr ? draft.options->choices.of(step.group->nodes[0]) : nullptr;
    const bool int8 = step.quantized != nullptr, int8x4 = int8 && draft.int8x4 != nullptr;
    if (step.weighted() != nullptr) step.weighted()->share(draft.parts);
    if (ConvStep* const conv = step.conv(); conv != nullptr && conv->blocked) {
      conv->algorithm = &choose_in_blocks(draft, step);
      if (choice != nullptr && conv->algorithm == &draft.kernels->blocked_conv)
        conv->args.strip = std::max(choice->strip, 0);
      if (conv->algorithm != &draft.kernels->winograd)
        step.cost = cost_in_blocks(conv->args, *draft.kernels, conv->args.src_blocked);
    } else if (conv != nullptr) {
      if (int8) conv->args.piece = 0;  // sums of integers are exact
      conv->algorithm = &(int8x4 ? choose_int8x4(draft, conv->args) : choose(draft, conv->args, choice));
      const KernelTable& k = *draft.kernels;
      const int32_t number = implementation_of(k, *conv->algorithm);
      if (number > 0) step.cost = multiply_adds(conv->args) / efficiency_of(number, conv->args, k);
    }
    if (LinearStep* const layer = step.linear()) {
      layer->algorithm = &(int8x4 ? choose_int8x4(draft) : choose(draft, layer->args, choice));
    }
  }
}

}  // namespace kernelet
