// Transposed convolution over blocks of channels, where windows lie side by side (kernel = stride, no padding), as decoders
// have it: src [ic / lanes][ih][iw][lanes] -> dst [oc / lanes][ih kh][iw kw][lanes].
//
//   kernel 2:    a b  ->  a0 a1 b0 b1
//                         a2 a3 b2 b3
//
// That is a 1x1 convolution (blocked.h) with a block of channels for each place of the window and block of outputs, whose
// pixels lie kh rows and kw columns apart. The chain of a sum is the one of transposed.h: one tap of each input channel, in
// their order.
//
// weights: [place of the window, block] as outputs of blocked.h; bias: [place][oc in whole blocks]
#pragma once

#include "blocked.h"

namespace kernelet {
namespace KERNELET_ISA {
namespace {
namespace blocked_transposed {

// The 1x1 convolution: its oc are whole blocks for each place of the window.
KERNELET_COLD KERNELET_NOINLINE ConvArgs dense(const ConvArgs& s) {
  ConvArgs one = s;
  one.oc = s.kh * s.kw * blocked::blocks_of(s.oc) * lanes;
  one.oh = s.ih;
  one.ow = s.iw;
  one.ph = s.oh;
  one.pw = s.ow;
  one.kh = one.kw = one.sh = one.sw = one.dh = one.dw = 1;
  one.spread_h = s.kh;
  one.spread_w = s.kw;
  one.src_blocked = true;
  return one;
}

KERNELET_COLD bool fits(const ConvArgs& s) {
  const bool apart = s.kh == s.sh && s.kw == s.sw && s.dh == 1 && s.dw == 1 && s.pt == 0 && s.pl == 0;
  const int64_t channels = int64_t{s.kh} * s.kw * (s.oc + lanes);
  return apart && s.groups == 1 && s.oh == s.ih * s.kh && s.ow == s.iw * s.kw && channels < (1 << 24) &&
         blocked::fits(dense(s));
}

// weight [ic][oc][kh][kw]
KERNELET_COLD void pack(const ConvArgs& s, const float* weight, float* packed) {
  const int places = s.kh * s.kw, each = blocked::blocks_of(s.oc), blocks = places * each;
  for (int block = 0; block < blocks; block += blocked::most_blocks) {
    const int n = blocks - block < blocked::most_blocks ? blocks - block : blocked::most_blocks;
    for (int c = 0; c < s.ic; ++c) {
      for (int i = 0; i < n * lanes; ++i) {
        const int oc = (block + i / lanes) % each * lanes + i % lanes, place = (block + i / lanes) / each;
        *packed++ = oc < s.oc ? weight[(static_cast<size_t>(c) * s.oc + oc) * places + place] : 0.0f;
      }
    }
  }
}

}  // namespace blocked_transposed
}  // namespace
}  // namespace KERNELET_ISA
}  // namespace kernelet
