// Each formula says how full lanes and tiles are, and what a kernel does besides. The constants are fitted to what
// machines measured (bench/machines), by bench/fit.mjs.
#include "costs.h"

#include <algorithm>
#include <cmath>

#include "base/cpu.h"

namespace kernelet {
namespace {

// Of a convolution: what the formulas go by.
struct Sizes {
  // output channels of a group, taps of a window, of a sum; outputs and inputs of a plane; outputs of a row
  double m, window, taps, outputs, inputs, ow, lanes;
  bool pooled, strided, many_registers, depthwise;

  Sizes(const ConvArgs& a, const KernelTable& k)
      : m(a.oc / a.groups),
        window(static_cast<double>(a.kh) * a.kw),
        taps(window * (a.ic / a.groups)),
        outputs(static_cast<double>(a.oh) * a.ow),
        inputs(static_cast<double>(a.ih) * a.iw),
        ow(a.ow),
        lanes(k.lanes),
        pooled(a.epilogue.pool != Pool::none),
        strided(a.sw > 1),
        many_registers(k.im2col.tile_rows > 3),
        depthwise(a.oc == a.groups && a.ic == a.groups) {}
};

double filled(double outputs, double lanes) { return outputs / (std::ceil(outputs / lanes) * lanes); }

// ---------------------------------------------------------------- over planes: the share of the peak

double im2col_efficiency(const Sizes& s, double tile) {
  // copying a column costs as much as this many channels' muladds: more where rows are short, with a stride, or where a
  // pool spreads it
  const double copies = s.pooled ? 30 : (2 + 3.5 * s.lanes * s.lanes / s.ow) * (s.strided ? 1.6 : 1);
  const double columns = s.pooled ? filled(s.outputs / 4, s.lanes) : filled(s.outputs, tile);
  return 0.95 * columns * s.m / (s.m + copies) * s.taps / (s.taps + 2);
}

// In registers of `lanes`, of which the share of the peak that is theirs can be had.
double pixels_efficiency(const Sizes& s, double oh, const ConvAlgorithm& algorithm, int lanes, double share) {
  const bool many = s.many_registers;
  if (s.depthwise) {  // mostly copies and epilogue, row by row
    const double most = (many ? 0.37 : 0.62) / (s.strided ? 3 : 1), row = many ? 350 : 250;
    return most * s.taps / (s.taps + 5) * s.outputs / (s.outputs + row);
  }
  const double rows = algorithm.tile_columns / lanes;
  const double accumulators = std::min(1.0, std::min<double>(s.m, algorithm.tile_rows) * rows / 8);
  // a 1x1 window reads each channel of a large plane once for every few outputs, from beyond the nearest cache
  double most = s.window > 1 || s.outputs <= 1500 ? 0.92 : 0.78;
  if (many) most = filled(oh, rows) * (s.window > 1 ? 0.89 : s.outputs > 1500 ? 0.65 : 0.81);
  const double direct = most * share * filled(s.ow, lanes) * accumulators * s.taps / (s.taps + 3) *
                        s.outputs / (s.outputs + (many ? 12 : 6));
  // a stride's columns are set side by side first
  const double copies = s.strided ? 1.2 * lanes * s.inputs / s.outputs / (s.m * s.window) : 0;
  return 1 / (1 / direct + copies);
}

double direct_channels_efficiency(const Sizes& s) {
  const double stores = (s.many_registers ? 35 : 30) / s.taps;  // lanes scatter over planes
  const double tiles = s.many_registers ? 0.84 * filled(s.outputs, s.pooled ? 4 : 2) : 0.9;
  return tiles * filled(s.m, s.lanes) * s.outputs / (s.outputs + 8) / (1 + stores);
}

// Planes become blocks and planes again on the way.
double depthwise_efficiency(const Sizes& s, double channels) {
  const double copies = (4 + 0.5 * s.lanes) * (1.35 + 0.64 * s.inputs / s.outputs);
  return filled(channels, s.lanes) * s.taps / (1.5 * s.taps + copies) * s.ow / (s.ow + 3);
}

// ---------------------------------------------------------------- in blocks of channels: tile by tile

// Fewer pixels than this leave the muladds waiting for one another.
constexpr int fewest_pixels = 4;

// What the tiles of so many pixels of a row take, in pixels: smaller and smaller ones.
double piece_by_piece(int64_t pixels, int64_t size) {
  double all =
      static_cast<double>(pixels / size) * std::max<double>(static_cast<double>(size), fewest_pixels);
  for (pixels %= size; pixels > 0; pixels -= size) {
    while (size > pixels) size = size > 8 ? 8 : size / 2;
    all += std::max<double>(static_cast<double>(size), fewest_pixels);
  }
  return all;
}

// Tiles are as even as can be (blocked.h), those that read planes of few sizes.
double tiles_of_row(int64_t pixels, int64_t most, bool few) {
  if (few) return piece_by_piece(pixels, most);
  const int64_t count = (pixels + most - 1) / most, longer = pixels % count;
  const auto tile = [&](int64_t size) {
    // large tiles leave out some small sizes
    if (most > 8 && size < 7) return piece_by_piece(size, 4);
    return std::max<double>(static_cast<double>(size), fewest_pixels);
  };
  return static_cast<double>(count - longer) * tile(pixels / count) +
         (longer > 0 ? static_cast<double>(longer) * tile(pixels / count + 1) : 0);
}

// The share of a row's pixels that lie in whole tiles.
double in_whole_tiles(int64_t pixels, int64_t most, bool few) {
  const int64_t count = (pixels + most - 1) / most, rest = pixels % count;
  int64_t whole = rest == 0 ? count : rest;  // of the larger ones, where tiles are as even as can be
  if (few) whole = pixels / most;
  else if ((pixels - 1) / count + 1 < most) whole = 0;
  return static_cast<double>(whole * most) / static_cast<double>(pixels);
}

// The share of a dimension's taps that meet no padding.
double inside(int outputs, int inputs, int window, int stride, int dilation, int padding) {
  int64_t all = 0;
  for (int tap = 0; tap < window; ++tap) {
    const int64_t at = int64_t{tap} * dilation - padding;  // of output 0
    const int64_t begin = at < 0 ? (-at + stride - 1) / stride : 0;
    const int64_t end = at < inputs ? std::min<int64_t>((inputs - 1 - at) / stride + 1, outputs) : 0;
    all += std::max<int64_t>(end - begin, 0);
  }
  return static_cast<double>(all) / (static_cast<double>(outputs) * window);
}

double cost_of_depthwise(const ConvArgs& a, const Sizes& s) {
  // of common windows a pixel is read once for all its taps, where it lies (blocked_depthwise.h)
  const bool wide = (a.kw == 3 || a.kw == 5) && a.sw <= 2 && a.dw == 1;
  const double values = s.lanes * (1 + s.inputs / s.outputs);
  const double each =
      wide ? 1.15 * s.taps + 0.12 * values : 1.5 * s.taps + 0.23 * values + (s.strided ? 10 : 0);
  return a.oc / filled(a.oc, s.lanes) * s.outputs * each;
}

}  // namespace

double multiply_adds(const ConvArgs& a) {
  return static_cast<double>(a.oc) * a.oh * a.ow * (a.ic / a.groups) * a.kh * a.kw;
}

const ConvAlgorithm* planes_kernel(int32_t number, const KernelTable& k) {
  switch (number) {
    case 1: return &k.im2col;
    case 2: return &k.direct_pixels;
    case 3: return k.narrow_pixels;
    case 4: return &k.direct_channels;
    case 5: return &k.depthwise;
    default: return nullptr;
  }
}

double efficiency_of(int32_t number, const ConvArgs& a, const KernelTable& k) {
  const Sizes s(a, k);
  switch (number) {
    case 1: return im2col_efficiency(s, k.im2col.tile_columns);
    case 2: return pixels_efficiency(s, a.oh, k.direct_pixels, k.lanes, 1);
    case 3: return pixels_efficiency(s, a.oh, *k.narrow_pixels, k.lanes / 2, narrow_share());
    case 4: return direct_channels_efficiency(s);
    default: return depthwise_efficiency(s, a.oc);
  }
}

double cost_over_planes(const ConvArgs& a, const KernelTable& k) {
  double best = 0;
  for (int32_t number = 1; number <= planes_kernels; ++number) {
    const ConvAlgorithm* const algorithm = planes_kernel(number, k);
    if (algorithm != nullptr && algorithm->fits(a)) best = std::max(best, efficiency_of(number, a, k));
  }
  return multiply_adds(a) / best;
}

double cost_in_blocks(const ConvArgs& a, const KernelTable& k, bool from_blocks) {
  if (a.groups > 1 && k.blocked_depthwise.fits(a)) return cost_of_depthwise(a, Sizes(a, k));
  const int lanes = k.lanes, outputs = a.oc / a.groups;
  // (a copy for a stride has the pixels of all rows one after another)
  const bool in_place = a.sh == 1 && a.sw == 1 && a.pt == 0 && a.pl == 0;
  const bool flat = a.kh * a.kw == 1 && (in_place || a.sw > 1);
  // a copy of the input has zeros for columns of the padding, where these are not left out
  ConvArgs asked = a;
  asked.src_blocked = from_blocks;
  const bool copied = k.blocked_conv.phases(asked) > 1;
  double taps =
      static_cast<double>(a.ic / a.groups) * a.kh * a.kw * inside(a.oh, a.ih, a.kh, a.sh, a.dh, a.pt);
  if (!copied) taps *= inside(a.ow, a.iw, a.kw, a.sw, a.dw, a.pl);
  // two registers of channels a tile; with one, as an odd number leaves, each broadcast pixel is used half as often,
  // but for three taps side by side
  const int blocks = (outputs + lanes - 1) / lanes;
  const bool three = lanes == 16 && from_blocks && a.kw == 3 && a.sw == 1 && a.dw == 1;
  double registers = blocks / 2 * 2 + (blocks % 2) * (three ? 1.08 : 1.3);
  // of the last one, at most half full, the half alone in whole tiles (blocked_half.h)
  const int last = outputs % lanes;
  const bool odd = blocks % 2 != 0;
  const bool none = odd && (three || (!from_blocks && a.sw != 2));
  if (lanes == 16 && last > 0 && last <= lanes / 2 && !none) {
    const double whole =
        in_whole_tiles(flat ? int64_t{a.oh} * a.ow : a.ow, k.blocked_conv.tile_rows, !from_blocks);
    registers -= (odd ? 1.1 : 0.6) * whole * (1 - 0.5 / narrow_share());
  }
  const double pixels = flat ? tiles_of_row(int64_t{a.oh} * a.ow, k.blocked_conv.tile_rows, !from_blocks)
                             : a.oh * tiles_of_row(a.ow, k.blocked_conv.tile_rows, !from_blocks);
  const double around = 4.5;                                       // what begins and ends a tile, as taps
  const double small = k.blocked_conv.tile_rows > 4 ? 1.02 : 1.6;  // tiers of which code is small, not fast
  // of planes that fill a part of a page each channel's pixels come from another page, for few muladds where tiles are small
  const bool pages = !from_blocks && flat && in_place && lanes > 4 && int64_t{a.ih} * a.iw >= 200;
  const double apart = pages ? 1 + (k.blocked_conv.tile_rows > 6 ? 1.0 : 3.0) / k.blocked_conv.tile_rows : 1;
  const double sums = small * apart * a.groups * registers * pixels * (taps + around);
  // of a row of planes the fewer pixels the more a float costs; with padding alone rows are copied whole
  const double read = static_cast<double>(a.ic) * (a.kh > 1 ? a.ih : a.oh) * (a.kw > 1 ? a.iw : a.ow);
  const double a_float = from_blocks ? 4.0 / lanes : (1 + 45.0 / a.ow) / (a.sw > 1 ? 1 : 6);
  return lanes * (sums + (copied ? read * a_float : 0));
}

double cost_in_lanes(const ConvArgs& a) {
  // a value that is loaded meets six outputs of its group, and comes from beyond the nearest cache for each six; only
  // larger windows use it again
  const double few = std::min(1.0, a.oc / a.groups / 6.0);
  return multiply_adds(a) / (few * (a.kh * a.kw > 1 ? 0.8 : 0.45));
}

double cost_of_reorder(int64_t channels, int64_t pixels, const KernelTable& k, bool to_blocks) {
  // as muladds a pixel and lane: whole blocks are transposed in registers, of others the channels go one by one
  const double whole = static_cast<double>(channels / k.lanes) * 0.6;
  const double rest = channels % k.lanes == 0 ? 0 : to_blocks ? 2.3 : 0.8;
  const double step = 500;  // one more of them
  return pixels == 1 ? 0 : k.lanes * (step + static_cast<double>(pixels) * k.lanes * (whole + rest));
}

bool better_from_planes(const ConvArgs& a, const KernelTable& k) {
  const double reorder = cost_of_reorder(a.ic, int64_t{a.ih} * a.iw, k, true);
  return cost_in_blocks(a, k, false) <= reorder + cost_in_blocks(a, k, true);
}

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

}  // namespace kernelet
