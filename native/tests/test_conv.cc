// conv2d through the tier's table: every algorithm that fits, pack, scratch and every epilogue, on the shapes
// around every tail.
#include "conv_case.h"

namespace kernelet {
namespace test {
namespace {

void test(const KernelTable& t, const Problem& p) {
  const std::string name = text_of(p);
  if (!begin(name)) return;
  Conv conv(t, p);
  conv.check_twin();
  for (Place place : all_places) conv.run(Epilogue(), place);
  Random random(name + "epilogues");
  for (const Epilogue& epilogue : epilogues) conv.run(epilogue, all_places[random.next() % 3]);
  conv.run_epilogues();
}

std::vector<int> pixel_counts(const KernelTable& t) {
  std::vector<int> counts = {
      1, 3, t.lanes - 1, t.lanes, t.lanes + 1, 4 * t.lanes - 1, 4 * t.lanes, 4 * t.lanes + 1};
  std::sort(counts.begin(), counts.end());
  counts.erase(std::unique(counts.begin(), counts.end()), counts.end());
  if (counts[0] == 0) counts.erase(counts.begin());
  return counts;
}

constexpr int channels[] = {1, 2, 3, 4, 5, 6, 7, 12, 13, 16, 17};

}  // namespace

// Every number of output channels with every number of pixels (of pooling windows, in the second form).
PER_TIER(conv_tails) {
  int turn = 0;
  std::vector<int> all(channels, channels + sizeof channels / sizeof *channels);
  for (int oc : {t.lanes - 1, t.lanes, t.lanes + 1, 2 * t.lanes - 1, 2 * t.lanes, 2 * t.lanes + 1}) {
    if (oc > 0 && std::count(all.begin(), all.end(), oc) == 0) all.push_back(oc);
  }
  for (int oc : all) {
    for (int pixels : pixel_counts(t)) {
      for (bool windows : {false, true}) {
        Problem p;
        p.oc = oc;
        p.ic = 1 + turn++ % 4;
        p.window.kernel[0] = 2;
        p.window.kernel[1] = 3;
        // one row of pixels; or one row of windows, and a column and a row too many for them
        p.ih = windows ? 4 : 2;
        p.iw = (windows ? 2 * pixels + 1 : pixels) + 2;
        test(t, p);
      }
    }
  }
  // rows that end within a vector, within a panel
  for (int width : {2, 3, 5, 6, 7, 9, 10, 13, 18, 34}) {
    for (int height : {2, 3, 4, 7, 11}) {
      Problem p;
      p.ic = 2;
      p.oc = 1 + turn++ % 7;
      p.window = Window(3);
      p.ih = height + 2;
      p.iw = width + 2;
      test(t, p);
    }
  }
}

// Around the blocks that K is cut into: below, at and above one and two of them; block borders that fall
// between channels, between rows of a window and within one.
PER_TIER(conv_blocks) {
  struct {
    int ic, kh, kw;
  } const taps[] = {{1, 1, 1},   {2, 1, 1},   {191, 1, 1}, {192, 1, 1}, {193, 1, 1}, {383, 1, 1},
                    {384, 1, 1}, {385, 1, 1}, {64, 3, 1},  {64, 1, 3},  {48, 2, 2},  {49, 2, 2},
                    {22, 3, 3},  {8, 5, 5},   {16, 5, 5},  {1, 14, 14}, {1, 1, 193}};
  for (const auto& tap : taps) {
    for (int oc : {1, 7, 13}) {
      for (int pixels : {1, t.lanes + 1, 4 * t.lanes + 1}) {
        Problem p;
        p.ic = tap.ic;
        p.oc = oc;
        p.window.kernel[0] = tap.kh;
        p.window.kernel[1] = tap.kw;
        p.ih = tap.kh + 1;
        p.iw = tap.kw + pixels - 1;
        p.bias = oc != 7;
        test(t, p);
      }
    }
  }
  // more pixels than the panels that are packed together
  for (int ic : {2, 193, 385}) {
    for (int pixels : {16 * t.lanes - 1, 16 * t.lanes + 1, 20 * t.lanes + 3}) {
      Problem p;
      p.ic = ic;
      p.oc = 4;
      p.ih = 2;
      p.iw = (pixels + 1) / 2;
      test(t, p);
    }
  }
}

// Of the last register of channels half or less, in whole tiles and others, over several runs of input channels.
PER_TIER(conv_half_blocks) {
  for (const int k : {1, 3}) {
    for (const int ic : {5, 72, 960}) {
      for (const int oc : {t.lanes / 2, 3 * t.lanes / 2, 9 * t.lanes / 2 - 1, 3 * t.lanes / 2 + 1}) {
        for (const int width : {14, 17, 30}) {
          if ((ic > 500 && (k > 1 || width > 14)) || oc < 1) continue;
          Problem p;
          p.ic = ic;
          p.oc = oc;
          p.ih = k == 1 ? 14 : 9;
          p.iw = width;
          p.window.kernel[0] = p.window.kernel[1] = k;
          if (oc % 3 != 0) p.window.padding[1] = p.window.padding[3] = k / 2;
          test(t, p);
        }
      }
    }
  }
}

// Whether a convolution fits is asked before it is known that its input comes in blocks, in which pixels are wide.
PER_TIER(conv_large_blocks) {
  if (!begin("offsets of taps")) return;
  ConvArgs s = ConvArgs();
  s.ic = s.oc = s.groups = 1;
  s.ih = s.iw = 20000;
  s.kh = s.kw = 3;
  s.sh = s.sw = s.dw = 1;
  s.dh = 9000;
  s.oh = s.ph = 2000;
  s.ow = s.pw = 19998;
  check(t.blocked_conv.fits(s) == (int64_t{s.ih} * s.iw * t.lanes < int64_t{1} << 31),
        "offsets in a block of channels are counted by 32 bits");
}

// As large as padding makes them: what is counted of such planes exceeds 32 bits.
PER_TIER(conv_winograd_large) {
  if (!begin("planes")) return;
  ConvArgs s = ConvArgs();
  s.ic = s.oc = s.groups = s.ih = s.iw = 1;
  s.kh = s.kw = 3;
  s.sh = s.sw = s.dh = s.dw = 1;
  s.pt = s.pl = 14142;
  s.oh = s.ph = s.ow = s.pw = 28284;
  check(t.winograd.weights_size(s) == size_t{36} * static_cast<size_t>(t.lanes), "4x4 outputs of a tile");
  check(t.winograd.fits(s) == t.has_fma, "the plane fits");
  s.oh = s.ph = s.ih = 4;
  s.ow = s.pw = s.iw = (1 << 29) / t.lanes;
  check(!t.winograd.fits(s), "floats in the rows of a tile are counted by 32 bits");
}

// The shapes Winograd takes: tiles cut at every side, more tiles than one block holds, many channels.
PER_TIER(conv_winograd) {
  if (!t.has_fma) return;  // these tiers have no Winograd
  int turn = 0;
  for (int k : {3, 5}) {
    for (int height : {1, 3, 4, 5, 8, 13}) {
      for (int width : {1, 4, 6, 4 * t.lanes - 1, 4 * t.lanes, 4 * t.lanes + 3}) {
        Problem p;
        p.ic = 1 + turn % 5;
        p.oc = 1 + turn % 9;
        p.window = Window(k, 1, turn % 3);
        p.ih = height + k - 1 - 2 * (turn % 3);
        p.iw = width + k - 1 - 2 * (turn % 3);
        p.bias = turn % 2 == 0;
        ++turn;
        if (p.ih < 1 || p.iw < 1) continue;
        test(t, p);
      }
    }
    Problem big;
    big.ic = 20;
    big.oc = 17;
    big.window = Window(k, 1, 1);
    big.ih = big.iw = 33;
    test(t, big);
  }
  if (worst_winograd[0] > 0 && worst_winograd[1] > 0)
    note("winograd: off by at most %.2g (3x3), %.2g (5x5) of the magnitude", worst_winograd[0],
         worst_winograd[1]);
}

// Strides, dilations, paddings and groups, one by one and together.
PER_TIER(conv_windows) {
  int turn = 0;
  for (int stride : {1, 2, 3, 5, 7}) {
    for (int dilation : {1, 2, 3}) {
      for (int padding : {0, 1, 2, 4}) {
        for (int groups : {1, 2, 6}) {
          Problem p;
          p.ic = 6;
          p.oc = groups * (1 + turn % 4);
          p.groups = groups;
          p.window = Window(1 + turn % 3, stride, padding, dilation);
          if (turn % 2 == 0) p.window.stride[1] = 1 + turn % 3;
          if (turn % 5 == 0) p.window.padding[2] = p.window.padding[3] = 0;
          p.ih = 7 + turn % 5;
          p.iw = 9 + turn % 11;
          p.bias = turn % 3 != 0;
          ++turn;
          if (args_of(p).oh < 1 || args_of(p).ow < 1) continue;
          test(t, p);
        }
      }
    }
  }
}

// Windows 3 wide and one register of channels: rows of every number of pixels of a tile, of one tile and of several, with
// no column of padding on a side, one, and more than a tile has zeros for.
PER_TIER(conv_rows_of_three) {
  int turn = 0;
  constexpr int sides[][2] = {{0, 0}, {1, 1}, {1, 0}, {0, 1}, {2, 1}, {1, 2}};
  for (int width : {4, 5, 6, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 29, 31, 41}) {
    for (const auto& side : sides) {
      Problem p;
      p.oc = (turn % 3) * t.lanes + 1 + turn % t.lanes;
      p.ic = turn % 5 == 0 ? 2 * t.lanes : 1 + turn % (t.lanes + 2);
      p.window = Window(3, 1, 1);
      p.window.kernel[0] = 1 + turn % 3;
      p.window.padding[1] = side[0];
      p.window.padding[3] = side[1];
      p.ih = 3 + turn % 2;
      p.iw = width + 2 - side[0] - side[1];
      p.bias = turn % 4 != 0;
      ++turn;
      test(t, p);
    }
  }
}

// Columns of taps in the padding, two registers of channels: rows of one tile and of several, columns that are left out, as
// many as tiles ask for, and more.
PER_TIER(conv_edges_of_rows) {
  int turn = 0;
  for (int width : {1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 20, 23, 27, 28, 29}) {
    for (int left = 0; left <= 3; ++left) {
      for (int right = 0; right <= 3; ++right, ++turn) {
        Problem p;
        if (slow && turn % 4 != 0) continue;
        const int kernel = 1 + turn % 5, dilation = 1 + turn % 2;
        p.oc = t.lanes + 1 + turn % t.lanes + (turn % 7 == 0 ? 2 * t.lanes : 0);
        p.ic = turn % 5 == 0 ? t.lanes + 3 : 1 + turn % 3;
        p.window = Window(kernel, 1, 0, dilation);
        p.window.kernel[0] = 1 + turn % 3;
        p.window.dilation[0] = 1;
        p.window.padding[0] = p.window.padding[2] = turn % 3 / 2;
        p.window.padding[1] = left;
        p.window.padding[3] = right;
        p.ih = 3 + turn % 2;
        p.iw = width + (kernel - 1) * dilation - left - right;
        if (p.iw > 0 && args_of(p).oh > 0) test(t, p);
      }
    }
  }
}

// Strides over planes, as first layers have them: rows of a tile and more, of which two may share pixels; columns of padding
// at either end, and more than tiles ask for; few channels, and so many that their sums take several passes.
PER_TIER(conv_strides_over_planes) {
  int turn = 0;
  for (int width : {13, 14, 15, 20, 27, 28, 29, 41}) {
    for (int kernel : {2, 3, 7}) {
      for (int left = 0; left <= 5; ++left, ++turn) {
        if (slow && turn % 4 != 0) continue;
        Problem p;
        const int right = (turn + left) % 6, dilation = 1 + turn % 3 / 2;
        p.oc = turn % 3 == 0 ? t.lanes / 2 : t.lanes * (turn % 4) + 1 + turn % t.lanes;
        p.oc = p.oc < 1 ? 1 : p.oc;
        p.ic = turn % 11 == 0 ? 72 : 1 + turn % 4;
        p.window = Window(kernel, 2, 0, dilation);
        p.window.kernel[0] = 1 + turn % 3;
        p.window.stride[0] = 1 + turn % 2;
        p.window.dilation[0] = 1;
        p.window.padding[0] = p.window.padding[2] = turn % 3 / 2;
        p.window.padding[1] = left;
        p.window.padding[3] = right;
        p.ih = 3 + turn % 4;
        p.iw = (width - 1) * 2 + (kernel - 1) * dilation + 1 - left - right + turn % 2;
        p.bias = turn % 4 != 0;
        if (p.iw > 0 && args_of(p).oh > 0) test(t, p);
      }
    }
  }
}

// Rows of half a tile and less, an even and an odd number of them: of which two are computed together with AVX-512. Windows
// that reach beyond them above, below, or at once.
PER_TIER(conv_two_rows) {
  int turn = 0;
  for (int width : {4, 5, 6, 7}) {
    for (int height : {1, 2, 3, 4, 7}) {
      for (int stride : {1, 2}) {
        for (int kernel : {1, 2, 3, 5}) {
          Problem p;
          p.oc = (turn % 3 + 1) * t.lanes + 1 + turn % t.lanes;
          p.ic = turn % 3 == 0 ? 2 * t.lanes : 1 + turn % (t.lanes + 2);
          p.window = Window(kernel, stride, kernel / 2, 1 + turn % 4 / 3);
          if (turn % 5 == 0) p.window.padding[0] = 0;
          if (turn % 6 == 0) p.window.padding[1] = p.window.padding[3] = 0;
          const Window& w = p.window;
          p.iw = (width - 1) * stride + (kernel - 1) * w.dilation[1] + 1 - w.padding[1] - w.padding[3];
          p.ih = (height - 1) * stride + (kernel - 1) * w.dilation[0] + 1 - w.padding[0] - w.padding[2];
          p.bias = turn % 4 != 0;
          ++turn;
          if (p.iw > 0 && p.ih > 0) test(t, p);
        }
      }
    }
  }
}

// Sums in pieces over blocks: rows of every length, one register of channels and two, a last piece that is shorter.
PER_TIER(conv_pieces_over_blocks) {
  int turn = 0;
  for (int width : {1, 2, 4, 5, 7, 8, 11, 14, 16, 29}) {
    for (int kernel : {1, 3, 5}) {
      for (int stride : {1, 2}) {
        Problem p;
        p.oc = (turn % 3 + 1) * t.lanes + turn % 3 % 2 * (t.lanes + 1) / 2;
        p.piece = 16 * (1 + turn % 2);
        p.ic = p.piece * (1 + turn % 3) + 1 + turn * 7 % p.piece;
        p.window = Window(kernel, stride, turn % 4 == 0 ? 0 : kernel / 2);
        const Window& w = p.window;
        p.iw = (width - 1) * stride + kernel - 2 * w.padding[1];
        p.ih = (1 + turn % 5) * stride + kernel - 2 * w.padding[0];
        p.bias = turn % 4 != 0;
        ++turn;
        if (p.iw > 0 && p.ih > 0) test(t, p);
      }
    }
  }
}

// Groups of whole blocks of channels.
PER_TIER(conv_groups_of_blocks) {
  int turn = 0;
  for (int groups : {2, 3, 5}) {
    for (int blocks : {1, 2, 3}) {
      for (int kernel : {1, 2, 3}) {
        Problem p;
        p.groups = groups;
        p.ic = groups * t.lanes * (1 + turn % 2);
        p.oc = groups * t.lanes * blocks;
        p.window = Window(kernel, 1 + turn % 2, turn % 3 == 0 ? 0 : kernel / 2, 1 + turn % 5 / 4);
        p.ih = 3 + turn % 5;
        p.iw = turn % 4 == 0 ? 19 : 4 + turn % 7;
        p.bias = turn % 3 != 1;
        ++turn;
        if (args_of(p).oh > 0 && args_of(p).ow > 0) test(t, p);
      }
    }
  }
}

// The same in networks, shared by threads: groups, or rows and panels of each where threads are more.
PER_TIER(groups_of_blocks) {
  for (int groups : {2, 4, 7}) {
    const std::string name = "groups" + std::to_string(groups);
    if (!begin(name)) continue;
    Random random(name);
    const int width = groups * t.lanes;
    Net net(random, shape_of({3, 12, 13}));
    const int first = net.unary(Op::relu, net.conv(0, width, Window(3, 1, 1)));
    int x = net.batch_norm(net.conv(first, width, Window(3, 1, 1), groups, false));
    x = net.unary(Op::silu, net.add(x, first));
    x = net.unary(Op::relu, net.batch_norm(net.conv(x, 2 * width, Window(3, 2, 1), groups, false)));
    // grouped convolutions of 1x1 are no expansions, and take no gate
    const int gate = net.unary(Op::sigmoid, net.adaptive(Op::adaptive_avg_pool2d, x, 1, 1));
    x = net.conv(net.binary(Op::mul, x, gate), width, Window(1), groups);
    net.conv(x, width, Window(3, 1, 1), width);
    const std::vector<float> image = random_floats(random, net.input_length());
    const std::vector<float> want =
        run_guarded(*make_plan(net.graph, t.isa, false, 1, "im2col"), image, 1, Place::ends_at_page);
    for (const int threads : {1, 3}) {
      const auto plan = Plan::make(net.graph, in_blocks(t.isa, threads));
      int blocked = 0;
      for (const StepDescription& step : plan->steps()) blocked += step.algorithm == "blocked";
      check(blocked == 5, "every convolution is in blocks, and a step of its own");
      for (Place place : all_places)
        check_same(run_guarded(*plan, image, 1, place).data(), want.data(), want.size(), "in groups");
    }
  }
}

// One channel a group, in planes narrower and wider than a register, of as many rows as a tile has or more.
PER_TIER(conv_depthwise) {
  for (int height : {1, 2, 3, 4, 5, 7, 8, 9, 11, 16, 17}) {
    for (int width : {1, 2, 3, t.lanes - 1, t.lanes, t.lanes + 1, 2 * t.lanes + 1}) {
      Problem p;
      p.ic = p.oc = p.groups = 3;
      p.window = Window(3, 1 + (height + width) % 2, 1);
      p.ih = height;
      p.iw = width;
      p.bias = height % 2 == 0;
      if (width > 0) test(t, p);
      // channels in the lanes: the last ones overlap their neighbours; dilated every other time
      p.ic = p.oc = p.groups = t.lanes + 1 + height % 3;
      p.window =
          Window(1 + (height + 2 * width) % 5, 1 + height % 3, (height + 2 * width) % 5 / 2, 1 + width % 2);
      if (width > 0 && args_of(p).oh > 0 && args_of(p).ow > 0) test(t, p);
    }
  }
}

// Windows that read a pixel once for all its taps: rows of 7 and 8 pixels and of their neighbours, every padding that the
// edges of a tile know and one more.
PER_TIER(conv_depthwise_wide) {
  int i = 0;
  for (int kernel : {3, 5}) {
    for (int stride : {1, 2}) {
      for (int ow : {3, 6, 7, 8, 9, 14, 15, 23}) {
        for (int left = 0; left <= kernel / 2 + 1; ++left) {
          for (int right = 0; right <= kernel / 2 + 1; ++right, ++i) {
            Problem p;
            p.iw = (ow - 1) * stride + kernel - left - right + (stride > 1 ? i % 2 : 0);
            if (p.iw < 1 || (slow && i % 4 != 0)) continue;
            p.ih = 1 + i % 6;
            p.ic = p.oc = p.groups = t.lanes + 1 + i % 3;
            p.window = Window(kernel, stride, 0);
            p.window.padding[0] = p.window.padding[2] = i % (kernel / 2 + 1);
            p.window.padding[1] = left;
            p.window.padding[3] = right;
            if (args_of(p).oh < 1) continue;
            test(t, p);
          }
        }
      }
    }
  }
}

PER_TIER(conv_random) {
  const int count = slow ? 80 : 300;
  for (int i = 0; i < count; ++i) {
    Random random(std::string(t.isa) + std::to_string(i));
    constexpr int strides[] = {1, 1, 1, 2, 3, 5, 7};
    Problem p;
    const bool depthwise = random.chance(15);
    p.groups = random.chance(60) ? 1 : random.range(2, 5);
    p.ic = p.groups * (depthwise ? 1 : random.range(1, 6));
    p.oc = p.groups * (depthwise ? random.range(1, 2) : random.range(1, 9));
    if (random.chance(25)) p.oc = p.groups * random.range(t.lanes, 2 * t.lanes + 2);
    p.ih = random.range(1, 19);
    p.iw = random.range(1, 37);
    for (int d = 0; d < 2; ++d) {
      p.window.kernel[d] = random.range(1, 5);
      p.window.stride[d] = random.pick(strides);
      p.window.dilation[d] = random.chance(70) ? 1 : random.range(2, 3);
      p.window.padding[d] = random.chance(50) ? 0 : random.range(1, 6);
      p.window.padding[2 + d] = random.chance(50) ? 0 : random.range(1, 6);
    }
    p.bias = random.chance(70);
    if (args_of(p).oh < 1 || args_of(p).ow < 1) continue;
    test(t, p);
  }
}

}  // namespace test
}  // namespace kernelet
