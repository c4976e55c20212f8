// Pools through the tier's table, of one image and batched: every option, every tail.
#include <algorithm>
#include <cmath>

#include "check.h"
#include "data.h"
#include "naive.h"
#include "net.h"

namespace kernelet {
namespace test {
namespace {

struct Problem {
  int c = 1, ih = 1, iw = 1;
  Window window;
  bool ceil_mode = false, count_include_pad = true;
};

std::string text_of(const Problem& p) {
  const Window& w = p.window;
  std::string s = "ic" + std::to_string(p.c) + "ih" + std::to_string(p.ih) + "iw" + std::to_string(p.iw);
  const char* const letters[] = {"k", "s", "d", "p"};
  const int* const values[] = {w.kernel, w.stride, w.dilation, w.padding};
  for (int i = 0; i < 4; ++i) {
    s += std::string(letters[i]) + "h" + std::to_string(values[i][0]) + letters[i] + "w" +
         std::to_string(values[i][1]);
  }
  s += "pb" + std::to_string(w.padding[2]) + "pr" + std::to_string(w.padding[3]);
  return s + (p.ceil_mode ? "ceil" : "") + (p.count_include_pad ? "" : "exclude");
}

// Fills in oh and ow; false where no window fits.
bool args_of(const Problem& p, PoolArgs& s) {
  Node node;
  std::copy(p.window.kernel, p.window.kernel + 2, node.kernel);
  std::copy(p.window.stride, p.window.stride + 2, node.stride);
  std::copy(p.window.dilation, p.window.dilation + 2, node.dilation);
  std::copy(p.window.padding, p.window.padding + 4, node.padding);
  node.count_include_pad = p.count_include_pad;
  node.shape = shape_of({p.c, 1, 1});
  const int in[] = {p.ih, p.iw};
  for (int i = 0; i < 2; ++i) {
    node.shape.dims[1 + i] = naive_outputs(in[i], node.padding[i], node.padding[2 + i], node.kernel[i],
                                           node.stride[i], node.dilation[i], p.ceil_mode);
  }
  s = pool_args(node, shape_of({p.c, p.ih, p.iw}));
  return s.oh > 0 && s.ow > 0;
}

using Kernel = void (*)(const PoolArgs&, const float*, float*);

void run(const char* what, Kernel kernel, const PoolArgs& s, const std::vector<float>& input,
         const std::vector<float>& want, Place place) {
  const Guarded src(input, place), dst(want.size(), place);
  kernel(s, src.data(), dst.data());
  check(dst.canaries(), "%s: writes to dst alone", what);
  check_same(dst.data(), want.data(), want.size(), what);
}

void test_max(const KernelTable& t, const Problem& p) {
  PoolArgs s;
  if (!args_of(p, s) || !begin("max " + text_of(p))) return;
  Random random(text_of(p));
  std::vector<float> one = random_floats(random, static_cast<size_t>(p.c) * p.ih * p.iw);
  // some equal values, so that a window meets them
  for (float& x : one) x = random.chance(30) ? 0.5f : x;
  const std::vector<std::vector<float>> src = variants_of(one);
  std::vector<std::vector<float>> want;
  for (const std::vector<float>& image : src) {
    want.emplace_back(static_cast<size_t>(s.c) * s.oh * s.ow);
    naive_max_pool(s, image.data(), want.back().data());
  }
  for (Place place : all_places) {
    run("max", t.pool.max, s, src[0], want[0], place);
    run("lanes max", t.batched_pool.max, s, in_lanes(src, t.lanes), in_lanes(want, t.lanes), place);
  }
}

void test_avg(const KernelTable& t, const Problem& p) {
  PoolArgs s;
  if (!args_of(p, s) || !begin("avg " + text_of(p))) return;
  Random random(text_of(p));
  const std::vector<std::vector<float>> src =
      variants_of(random_floats(random, static_cast<size_t>(p.c) * p.ih * p.iw));
  std::vector<std::vector<float>> want;
  for (const std::vector<float>& image : src) {
    want.emplace_back(static_cast<size_t>(s.c) * s.oh * s.ow);
    naive_avg_pool(s, image.data(), want.back().data());
  }
  // the twin: at most kh * kw sums and one division, each value below 1
  std::vector<double> exact(want[0].size());
  naive_avg_pool(s, src[0].data(), exact.data());
  const double bound = (s.kh * s.kw + 1) * 0x1p-24;
  double worst = 0;
  for (size_t i = 0; i < exact.size(); ++i) worst = std::max(worst, std::fabs(want[0][i] - exact[i]));
  check(worst <= bound, "off by %g from the mean in double, %g allowed", worst, bound);
  for (Place place : all_places) {
    run("avg", t.pool.average, s, src[0], want[0], place);
    run("lanes avg", t.batched_pool.average, s, in_lanes(src, t.lanes), in_lanes(want, t.lanes), place);
  }
}

void test(const KernelTable& t, const Problem& p) {
  test_max(t, p);
  test_avg(t, p);
}

}  // namespace

PER_TIER(pool) {
  // output widths around a vector, with and without a stride
  for (int width : {1, 2, 3, t.lanes - 1, t.lanes, t.lanes + 1, 2 * t.lanes + 1, 3 * t.lanes - 1}) {
    for (int stride : {1, 2, 3}) {
      for (int padding : {0, 1}) {
        if (width < 1) continue;
        Problem p;
        p.c = 2;
        p.ih = 5;
        p.window = Window(stride == 1 ? 3 : 2, stride, padding);
        p.iw = (width - 1) * stride + p.window.kernel[1] - 2 * padding;
        if (p.iw < 1) continue;
        test(t, p);
      }
    }
  }
  // a window over the whole plane, a plane of one value
  for (int size : {1, 2, 7}) {
    Problem p;
    p.c = 17;
    p.ih = p.iw = size;
    p.window = Window(size);
    test(t, p);
  }
  // planes larger than what is kept of them: rows in bands, columns in strips; windows too large, or too far apart, for that
  struct Large {
    int ih, iw, kh, kw, stride, dilation;
  };
  for (const Large& large :
       {Large{150, 70, 3, 3, 1, 1}, Large{131, 137, 3, 3, 2, 1}, Large{140, 9, 3, 2, 1, 31},
        Large{75, 9, 66, 3, 1, 1}, Large{130, 3, 5, 3, 66, 1}, Large{5, 64 * 7 + 5, 3, 3, 7, 1}}) {
    Problem p;
    p.c = 2;
    p.ih = large.ih;
    p.iw = large.iw;
    p.window = Window(3, large.stride, 1);
    p.window.kernel[0] = large.kh;
    p.window.kernel[1] = large.kw;
    p.window.dilation[0] = large.dilation;
    test(t, p);
  }
  const int count = slow ? 150 : 500;
  for (int i = 0; i < count; ++i) {
    Random random("pool " + std::to_string(i));
    constexpr int strides[] = {1, 2, 2, 3, 5, 7};
    Problem p;
    p.c = random.range(1, 4);
    p.ih = random.range(1, 15);
    p.iw = random.range(1, 40);
    p.ceil_mode = random.chance(50);
    p.count_include_pad = random.chance(50);
    const bool dilated = random.chance(40);
    for (int d = 0; d < 2; ++d) {
      p.window.kernel[d] = random.range(1, 6);
      p.window.stride[d] = random.pick(strides);
      p.window.dilation[d] = dilated ? random.range(1, 4) : 1;
      p.window.padding[d] = random.range(0, p.window.kernel[d] / 2);
      p.window.padding[2 + d] = random.range(0, p.window.kernel[d] / 2);
      if (dilated && random.chance(50)) {
        // a maximum's may go up to half the dilated window: windows may then lie in the padding alone
        p.window.padding[d] = p.window.padding[2 + d] =
            ((p.window.kernel[d] - 1) * p.window.dilation[d] + 1) / 2;
      }
    }
    test_max(t, p);
    for (int d = 0; d < 4; ++d)
      p.window.padding[d] = std::min(p.window.padding[d], p.window.kernel[d % 2] / 2);
    test_avg(t, p);
  }
}

}  // namespace test
}  // namespace kernelet
