// Pass: a kernel for each step with weights. The list below, in its order, is the policy: of the implementations that
// fit a shape and that the option `algorithm` admits, the one that should come nearest to the peak.
#include <algorithm>
#include <cmath>

#include "base/cpu.h"
#include "draft.h"
#include "ops/conv.h"
#include "ops/linear.h"

namespace kernelet {
namespace {

// ---------------------------------------------------------------- the cost model
//
// An efficiency is the share of a core's peak that an algorithm should reach at a shape: how full its lanes and tiles
// are, and what it does besides. The constants are fitted to `kernelet bench kernels` over bench/shapes on Zen 3 (16
// registers) and Zen 4 (32), their ratios with 32 registers to Zen 5 since, by bench/fit.mjs; only their order matters.

struct Shapes {
  const ConvArgs& a;
  const ConvAlgorithm& algorithm;
  const KernelTable& k;

  double m() const { return a.oc / a.groups; }
  double window() const { return static_cast<double>(a.kh) * a.kw; }
  double taps() const { return static_cast<double>(a.ic / a.groups) * a.kh * a.kw; }
  double inputs() const { return static_cast<double>(a.ih) * a.iw; }
  double outputs() const { return static_cast<double>(a.oh) * a.ow; }
  bool pooled() const { return a.epilogue.pool != Pool::none; }
  bool many_registers() const { return k.im2col.tile_rows > 3; }
  bool depthwise() const { return a.oc == a.groups && a.ic == a.groups; }
};

// Outputs over what the lanes of ceil(outputs / lanes) registers could hold.
double filled(int64_t outputs, int64_t lanes) {
  return static_cast<double>(outputs) / static_cast<double>((outputs + lanes - 1) / lanes * lanes);
}

double im2col_efficiency(const Shapes& s) {
  // copying a column costs as much as this many channels' muladds; more where a pool spreads it over corners,
  // or rows are short
  const double copies = s.pooled() ? 30 : s.many_registers() ? 7 + 400.0 / s.a.ow : 11;
  const int64_t columns = s.pooled() ? int64_t{s.a.ph} * s.a.pw : int64_t{s.a.oh} * s.a.ow;
  return 0.95 * filled(columns, s.pooled() ? s.k.lanes : s.algorithm.tile_columns) * s.m() /
         (s.m() + copies) * s.taps() / (s.taps() + 6);
}

// In registers of `lanes`, of which the share of the peak that is theirs can be had.
double pixels_efficiency(const Shapes& s, int lanes, double share) {
  const int rows = s.algorithm.tile_columns / lanes;
  const double accumulators = std::min(1.0, std::min<double>(s.m(), s.algorithm.tile_rows) * rows / 8);
  // a depthwise channel is mostly copies and epilogue
  if (s.depthwise()) return 0.3 * s.outputs() / (s.outputs() + 500) / (s.a.sw > 1 ? 2.5 : 1);
  const double full = share * filled(s.a.ow, lanes) * accumulators;
  // with few registers a small window leaves a plane as soon as it is touched
  if (!s.many_registers()) return 0.83 * full * s.window() / (s.window() + 0.5);
  // a 1x1 window reads each channel of a large plane once for every few outputs, from beyond the nearest cache
  const double far = s.window() == 1 && s.outputs() > 1500 ? 0.78 : 1;
  return 0.81 * far * full * filled(s.a.oh, rows) * s.taps() / (s.taps() + 3) * s.outputs() /
         (s.outputs() + 15);
}

double direct_pixels_efficiency(const Shapes& s) { return pixels_efficiency(s, s.k.lanes, 1.0); }
double narrow_pixels_efficiency(const Shapes& s) {
  return pixels_efficiency(s, s.k.lanes / 2, narrow_share());
}

double direct_channels_efficiency(const Shapes& s) {
  const double full = filled(s.a.oc / s.a.groups, s.k.lanes);
  const double stores = 22 / s.taps();  // lanes scatter over planes
  if (!s.many_registers()) return 0.92 * full * s.window() / (s.window() + 0.8) / (1 + stores);
  const double tiles =
      filled(static_cast<int64_t>(s.outputs()), s.pooled() ? 4 : 2) * s.outputs() / (s.outputs() + 8);
  return 0.82 * full * tiles / (1 + stores);
}

double depthwise_efficiency(const Shapes& s) {
  return s.taps() / (1.25 * s.taps() + 6 * (1 + s.inputs() / s.outputs()));
}

// Over blocks of channels: how many times as fast as the direct sum.
double winograd_gain(const ConvArgs& a, const KernelTable& k) {
  const double outputs = k.winograd_outputs(a);
  const double side = outputs + a.kh - 1, pixels = static_cast<double>(a.oh) * a.ow;
  const double tiles = std::ceil(a.oh / outputs) * std::ceil(a.ow / outputs);
  // weights are read from afar as fast as they are multiplied with about a register of tiles
  const double few = k.lanes;
  const double direct = a.kh * a.kw * std::max(pixels, few);
  const double transforms = 1 + 12.0 / a.oc + 16.0 / a.ic;
  return direct / (side * side * std::max(tiles, few) * transforms);
}

// ---------------------------------------------------------------- the list

struct Implementation {
  const ConvAlgorithm* (*of)(const KernelTable&);  // null where a tier has none
  // Of the options besides "auto", "fastest" and its own name: does "direct" admit it?
  bool direct;
  double (*efficiency)(const Shapes&);
};

// im2col comes first: it fits every shape, and is taken where no other does. Of equals the earlier wins.
constexpr Implementation implementations[] = {
    {[](const KernelTable& k) { return &k.im2col; }, false, im2col_efficiency},
    {[](const KernelTable& k) { return &k.direct_pixels; }, true, direct_pixels_efficiency},
    {[](const KernelTable& k) { return k.narrow_pixels; }, true, narrow_pixels_efficiency},
    {[](const KernelTable& k) { return &k.direct_channels; }, true, direct_channels_efficiency},
    {[](const KernelTable& k) { return &k.depthwise; }, true, depthwise_efficiency},
};

const ConvAlgorithm* implementation(const KernelTable& k, int32_t number) {
  constexpr int32_t count = sizeof implementations / sizeof *implementations;
  return number > 0 && number <= count ? implementations[number - 1].of(k) : nullptr;
}

// The second best of the cost model has to come as near as this to the best.
constexpr double near_enough = 0.6;

const ConvAlgorithm& choose(const Draft& draft, const ConvArgs& a, const Choice* choice) {
  const KernelTable& k = *draft.kernels;
  if (draft.is_batched()) return k.batched_conv;
  if (choice != nullptr && choice->algorithm > 0) {
    const ConvAlgorithm* const chosen = implementation(k, choice->algorithm);
    if (chosen == nullptr || !chosen->fits(a)) refuse(*draft.graph, *choice);
    return *chosen;
  }
  const std::string& option = draft.options->algorithm;
  const bool any = option == "auto" || option == "fastest";
  const ConvAlgorithm *best = &k.im2col, *second = best;
  double best_efficiency = 0, second_efficiency = 0;
  for (const Implementation& i : implementations) {
    const ConvAlgorithm* const algorithm = i.of(k);
    if (algorithm == nullptr || !algorithm->fits(a)) continue;
    const bool admitted = any || (i.direct && option == "direct");
    // (im2col by its name is what is taken anyway)
    if (!admitted && (algorithm == &k.im2col || option != algorithm->name)) continue;
    const double efficiency = i.efficiency({a, *algorithm, k});
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
  int32_t number = 1;
  for (const Implementation& i : implementations) {
    if (i.of(k) == &algorithm) return number;
    ++number;
  }
  return 0;
}

void choose_algorithms(Draft& draft) {
  for (DraftStep& step : draft.steps) {
    const Choice* const choice =
        step.group != nullptr ? draft.options->choices.of(step.group->nodes[0]) : nullptr;
    const bool int8 = step.quantized != nullptr, int8x4 = int8 && draft.int8x4 != nullptr;
    if (ConvStep* const conv = step.conv()) conv->args.parts = draft.parts;
    if (ConvStep* const conv = step.conv(); conv != nullptr && conv->blocked) {
      conv->algorithm = &choose_in_blocks(draft, step);
      if (choice != nullptr && conv->algorithm == &draft.kernels->blocked_conv)
        conv->args.strip = std::max(choice->strip, 0);
    } else if (conv != nullptr) {
      conv->algorithm = &(int8x4 ? choose_int8x4(draft, conv->args) : choose(draft, conv->args, choice));
      const KernelTable& k = *draft.kernels;
      const int32_t number = implementation_of(k, *conv->algorithm);
      if (number > 0)
        step.predicted = implementations[number - 1].efficiency({conv->args, *conv->algorithm, k});
    }
    if (LinearStep* const layer = step.linear()) {
      layer->args.parts = draft.parts;
      layer->algorithm = &(int8x4 ? choose_int8x4(draft) : choose(draft, layer->args, choice));
    }
  }
}

}  // namespace kernelet
