// Pass: a kernel for each step with weights. The list below, in its order, is the policy: of the implementations that
// fit a shape and that the option `algorithm` admits, the one that should come nearest to the peak.
#include <algorithm>

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
// registers) and Zen 4 (32); only their order matters.

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
  return 0.9 * far * full * filled(s.a.oh, rows) * s.taps() / (s.taps() + 3) * s.outputs() /
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
  return 0.86 * full * tiles / (1 + stores);
}

double depthwise_efficiency(const Shapes& s) {
  return s.taps() / (1.25 * s.taps() + 6 * (1 + s.inputs() / s.outputs()));
}

double winograd_efficiency(const Shapes& s) {
  const double saved = s.a.kh == 3 ? 4.0 : 6.25;
  const int64_t tiles = int64_t{(s.a.oh + 3) / 4} * ((s.a.ow + 3) / 4), lanes = s.k.lanes;
  const double transforms = s.m() / (s.m() + 24.0) * s.a.ic / (s.a.ic + 24.0);
  const double border = s.outputs() / static_cast<double>(16 * tiles);
  // whole panels of four registers, and a last one of 1, 2 or 4
  const int64_t rest = tiles % s.algorithm.tile_columns;
  const int64_t last = rest == 0 ? 0 : rest <= lanes ? 1 : rest <= 2 * lanes ? 2 : 4;
  const double computed = static_cast<double>(tiles - rest + last * lanes);
  return 0.8 * saved * transforms * border * static_cast<double>(tiles) / computed;
}

// ---------------------------------------------------------------- the list

struct Implementation {
  const ConvAlgorithm* (*of)(const KernelTable&);  // null where a tier has none
  // Of the options besides "auto", "fastest" and its own name: does "direct" admit it?
  bool direct;
  // Sums in another order, for other bits: only "fastest" and its own name admit it, and int8 never.
  bool other_bits;
  double (*efficiency)(const Shapes&);
};

// im2col comes first: it fits every shape, and is taken where no other does. Of equals the earlier wins.
constexpr Implementation implementations[] = {
    {[](const KernelTable& k) { return &k.im2col; }, false, false, im2col_efficiency},
    {[](const KernelTable& k) { return &k.direct_pixels; }, true, false, direct_pixels_efficiency},
    {[](const KernelTable& k) { return k.narrow_pixels; }, true, false, narrow_pixels_efficiency},
    {[](const KernelTable& k) { return &k.direct_channels; }, true, false, direct_channels_efficiency},
    {[](const KernelTable& k) { return &k.depthwise; }, true, false, depthwise_efficiency},
    {[](const KernelTable& k) { return &k.winograd; }, false, true, winograd_efficiency},
};

const ConvAlgorithm& choose_in_planes(const KernelTable& k, const std::string& option, const ConvArgs& a,
                                      bool int8, double& best_efficiency) {
  const bool any = option == "auto" || option == "fastest";
  const ConvAlgorithm* best = &k.im2col;
  best_efficiency = 0;
  for (const Implementation& i : implementations) {
    const ConvAlgorithm* const algorithm = i.of(k);
    if (algorithm == nullptr || !algorithm->fits(a) || (i.other_bits && int8)) continue;
    const bool admitted = i.other_bits ? option == "fastest" : any || (i.direct && option == "direct");
    // (im2col by its name is what is taken anyway)
    if (!admitted && (algorithm == &k.im2col || option != algorithm->name)) continue;
    const double efficiency = i.efficiency({a, *algorithm, k});
    if (efficiency > best_efficiency) {
      best = algorithm;
      best_efficiency = efficiency;
    }
  }
  return *best;
}

const ConvAlgorithm& choose(const Draft& draft, const ConvArgs& a, bool int8) {
  if (draft.is_batched()) return draft.kernels->batched_conv;
  double efficiency;
  return choose_in_planes(*draft.kernels, draft.options->algorithm, a, int8, efficiency);
}

// int8x4: whichever fills the lanes better; direct-channels takes any number of them.
const ConvAlgorithm& choose_int8x4(const Draft& draft, const ConvArgs& a) {
  const Int8Kernels& k = *draft.int8x4;
  if (draft.is_batched()) return k.batched_conv;
  const bool pixels = filled(a.ow, draft.kernels->lanes) > filled(a.oc, draft.kernels->lanes);
  return pixels && k.direct_pixels.fits(a) ? k.direct_pixels : k.direct_channels;
}

// One row is bound by reading the weights: fewer zeros beyond the last output are less to read.
const LinearAlgorithm& choose(const Draft& draft, const LinearArgs& a) {
  const KernelTable& k = *draft.kernels;
  if (draft.is_batched()) return k.batched_linear;
  const LinearAlgorithm* const narrow = k.narrow_linear;
  const bool smaller = narrow != nullptr && narrow->weights_size(a) < k.linear.weights_size(a);
  return a.rows == 1 && smaller ? *narrow : k.linear;
}

const LinearAlgorithm& choose_int8x4(const Draft& draft) {
  return draft.is_batched() ? draft.int8x4->batched_linear : draft.int8x4->linear;
}

}  // namespace

bool pays_in_blocks(const ConvArgs& a, const KernelTable& k, const std::string& option) {
  if (a.groups > 1) return a.oc >= k.lanes;
  // a pixel of its own lies alike in planes and in blocks
  if (a.oh == 1 && a.ow == 1) return true;
  // lanes that compute nothing, and what little a small window leaves to do between loads and stores
  if (filled(a.oc, k.lanes) < 0.75 || int64_t{a.ic} * a.kh * a.kw < 8) return false;
  if (option != "fastest") return true;
  double efficiency;
  return &choose_in_planes(k, option, a, false, efficiency) != &k.winograd || efficiency < 1;
}

void choose_algorithms(Draft& draft) {
  for (DraftStep& step : draft.steps) {
    const bool int8 = step.quantized != nullptr, int8x4 = int8 && draft.int8x4 != nullptr;
    if (ConvStep* const conv = step.conv()) conv->args.parts = draft.parts;
    if (ConvStep* const conv = step.conv(); conv != nullptr && conv->blocked)
      conv->algorithm =
          conv->args.groups > 1 ? &draft.kernels->blocked_depthwise : &draft.kernels->blocked_conv;
    else if (conv != nullptr)
      conv->algorithm = &(int8x4 ? choose_int8x4(draft, conv->args) : choose(draft, conv->args, int8));
    if (LinearStep* const layer = step.linear())
      layer->algorithm = &(int8x4 ? choose_int8x4(draft) : choose(draft, layer->args));
  }
}

}  // namespace kernelet
