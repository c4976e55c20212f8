// A 1x1 convolution and the depthwise one behind it, depth first, over blocks of channels: of some rows and two blocks what
// the first makes is read by the second out of the second-level cache, and never stored whole. (The expansion of an
// inverted residual is its largest value by far: Sandler et al., "MobileNetV2", 2018.)
//
//   for some rows of the output (a strip):
//     for a panel of two blocks:
//       1x1 convolution of the rows that the strip reads  -> scratch [2][rows][iw][lanes]
//       depthwise convolution of these                    -> dst
//
// Rows that two strips read are computed twice. The bits are those of the two steps alone.
#pragma once

#include "blocked.h"
#include "blocked_depthwise.h"

namespace kernelet {
namespace KERNELET_ISA {
namespace {
namespace depth_first {

using blocked::blocks_of;
using blocked::most_blocks;

KERNELET_INLINE int reach_of(const ConvArgs& depthwise) { return (depthwise.kh - 1) * depthwise.dh + 1; }

KERNELET_INLINE size_t between_size(const ConvArgs& depthwise) {
  const int read = (depthwise.strip - 1) * depthwise.sh + reach_of(depthwise);
  return static_cast<size_t>(read < depthwise.ih ? read : depthwise.ih) * depthwise.iw * most_blocks * lanes;
}

KERNELET_INLINE size_t part_floats(const ConvArgs& depthwise) {
  return between_size(depthwise) + blocked_depthwise::ring_floats(depthwise);
}

KERNELET_COLD size_t scratch_size(const ConvArgs& depthwise) {
  return (depthwise.parts > 1 ? depthwise.parts : 1) * part_floats(depthwise);
}

// The arguments of a panel alone.
KERNELET_INLINE void narrow(ConvArgs& s, int block, int channels) {
  s.oc = channels;
  s.bias += block * lanes;
  if (s.scale == nullptr) return;
  s.scale += block * lanes;
  s.shift += block * lanes;
}

// (Cold: small, for it decides where little is computed.)
KERNELET_COLD void run_part(const ConvArgs& expand, const ConvArgs& depthwise, const float* src, float* dst,
                            float* scratch, int32_t part, int32_t parts) {
  const blocked_depthwise::Share share = blocked_depthwise::share_of(depthwise, part, parts);
  const int all = share.bottom - share.top;
  if (all == 0) return;
  // strips as even as can be
  const int height = parts_of(all, parts_of(all, depthwise.strip));
  const int panels = parts_of(share.end - share.begin, most_blocks);
  const ptrdiff_t out_row = static_cast<ptrdiff_t>(depthwise.ow) * lanes, out_plane = depthwise.oh * out_row;
  float* const between = scratch + part * part_floats(depthwise);
  const int end = parts_of(all, height) * panels;
  for (int unit = 0; unit < end; ++unit) {
    const int first = share.top + unit / panels * height, block = share.begin + unit % panels * most_blocks;
    const int n = share.end - block < most_blocks ? share.end - block : most_blocks;
    const int left = depthwise.oc - block * lanes, channels = left < n * lanes ? left : n * lanes;
    ConvArgs d = depthwise;
    d.oh = d.ph = share.bottom - first < height ? share.bottom - first : height;
    // rows [from, to) of the input are read
    const int window = first * d.sh - d.pt, last = window + (d.oh - 1) * d.sh + reach_of(d);
    const int from = window < 0 ? 0 : window < d.ih ? window : d.ih - 1;
    const int to = last > d.ih ? d.ih : last > from ? last : from + 1;

    ConvArgs e = expand;
    narrow(e, block, channels);
    e.ih = e.oh = e.ph = to - from;
    blocked::Stage g = blocked::stage_of(e);
    g.plane = static_cast<ptrdiff_t>(expand.ih) * g.row;
    blocked::convolve(e, g, e.weights + static_cast<size_t>(block) * lanes * e.ic, src + from * g.row,
                      between, nullptr, 0, 1);

    narrow(d, block, channels);
    d.ic = d.groups = channels;
    d.ih = to - from;
    d.pt = from - window;
    d.weights += static_cast<ptrdiff_t>(block) * lanes * blocked::taps_of(d);
    const ptrdiff_t at = block * out_plane + first * out_row;
    if (d.residual != nullptr) d.residual += at;
    blocked_depthwise::convolve_blocks(d, {0, d.oh, 0, n}, between, dst + at, out_plane,
                                       between + between_size(depthwise));
  }
}

}  // namespace depth_first
}  // namespace
}  // namespace KERNELET_ISA
}  // namespace kernelet
