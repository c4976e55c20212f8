// Resizing through plans of one step, every way to lie over the input; its kernels at the edge of forbidden pages, forward
// and backward.
#include <cmath>

#include "check.h"
#include "data.h"
#include "kernels/isa.h"
#include "naive.h"
#include "net.h"

namespace kernelet {
namespace test {
namespace {

constexpr Op ops[] = {Op::upsample_nearest2d, Op::upsample_bilinear2d};

struct Sizes {
  int c, ih, iw, oh, ow;
};

std::string text_of(Op op, const Sizes& s) {
  return std::string(op == Op::upsample_nearest2d ? "nearest " : "linear ") + "ic" + std::to_string(s.c) +
         "ih" + std::to_string(s.ih) + "iw" + std::to_string(s.iw) + "oh" + std::to_string(s.oh) + "ow" +
         std::to_string(s.ow);
}

// Any places at all: kernels take them as they come.
void test_kernels(const KernelTable& t, Op op, const Sizes& p, bool doubled = false) {
  if (!begin(text_of(op, p) + (doubled ? "doubled" : ""))) return;
  Random random(text_of(op, p));
  const bool nearest = op == Op::upsample_nearest2d;
  std::vector<int32_t> rows, columns;
  std::vector<float> down, right;
  for (int y = 0; y < p.oh; ++y) {
    rows.push_back(doubled ? y / 2 : random.range(0, p.ih - 1));
    down.push_back(random.chance(30) ? 0.0f : std::fabs(random.real()));
  }
  for (int x = 0; x < p.ow; ++x) {
    columns.push_back(doubled ? x / 2 : random.range(0, p.iw - 1));
    right.push_back(random.chance(30) ? 0.0f : std::fabs(random.real()));
  }
  const std::vector<std::vector<float>> src =
      variants_of(random_floats(random, static_cast<size_t>(p.c) * p.ih * p.iw));
  const size_t lanes = static_cast<size_t>(t.lanes);
  const std::vector<float> g = random_floats(random, static_cast<size_t>(p.c) * p.oh * p.ow * lanes);
  std::vector<std::vector<float>> want;
  const auto between = [&](float a, float b, float share) {
    const float first = a * (1.0f - share);
    return t.has_fma ? std::fma(b, share, first) : b * share + first;
  };
  const auto next = [](int at, int n) { return at + 1 < n ? at + 1 : at; };
  const auto index = [&](int c, int y, int x) { return (static_cast<size_t>(c) * p.ih + y) * p.iw + x; };
  std::vector<double> dx(src[0].size() * lanes, 0.0);
  for (const std::vector<float>& image : src) {
    want.emplace_back();
    size_t o = 0;
    for (int c = 0; c < p.c; ++c) {
      for (int y = 0; y < p.oh; ++y) {
        for (int x = 0; x < p.ow; ++x, ++o) {
          const int y0 = rows[static_cast<size_t>(y)], x0 = columns[static_cast<size_t>(x)];
          const int y1 = next(y0, p.ih), x1 = next(x0, p.iw);
          const float fy = nearest ? 0 : down[static_cast<size_t>(y)],
                      fx = nearest ? 0 : right[static_cast<size_t>(x)];
          const float above = between(image[index(c, y0, x0)], image[index(c, y0, x1)], fx),
                      below = between(image[index(c, y1, x0)], image[index(c, y1, x1)], fx);
          want.back().push_back(nearest ? image[index(c, y0, x0)] : between(above, below, fy));
          if (want.size() > 1) continue;
          for (size_t lane = 0; lane < lanes; ++lane) {
            const double grad = g[o * lanes + lane], gy = 1.0f - fy, gx = 1.0f - fx;
            dx[index(c, y0, x0) * lanes + lane] += grad * gy * gx;
            dx[index(c, y0, x1) * lanes + lane] += grad * gy * fx;
            dx[index(c, y1, x0) * lanes + lane] += grad * fy * gx;
            dx[index(c, y1, x1) * lanes + lane] += grad * fy * fx;
          }
        }
      }
    }
  }
  for (const Place place : all_places) {
    // tables of their own length: nothing beyond them is read
    const Guarded d(down, place), r(right, place);
    const auto words = [&](const std::vector<int32_t>& from) {
      std::vector<float> bits;
      for (int32_t x : from) bits.push_back(float_of(static_cast<uint32_t>(x)));
      return bits;
    };
    const Guarded y_at(words(rows), place), x_at(words(columns), place);
    const ResizeArgs s = {p.c,
                          p.ih,
                          p.iw,
                          p.oh,
                          p.ow,
                          reinterpret_cast<const int32_t*>(y_at.data()),
                          reinterpret_cast<const int32_t*>(x_at.data()),
                          nearest ? nullptr : d.data(),
                          nearest ? nullptr : r.data()};
    for (const int width : {1, t.lanes}) {
      const std::vector<float> expected = width == 1 ? want[0] : in_lanes(want, t.lanes);
      const Guarded from(width == 1 ? src[0] : in_lanes(src, t.lanes), place), to(expected.size(), place);
      (nearest ? t.nearest : t.linear_resize)(s, width, from.data(), to.data());
      check(to.canaries(), "writes to dst alone");
      check_same(to.data(), expected.data(), expected.size(), width == 1 ? "planes" : "lanes");
    }
    const Guarded grad(g, place), got(dx.size(), place);
    (nearest ? t.train.nearest_dx : t.train.linear_resize_dx)(s, grad.data(), got.data());
    check(got.canaries(), "writes to dx alone");
    double off = 0;
    for (size_t i = 0; i < dx.size(); ++i) off = std::max(off, std::fabs(got[i] - dx[i]));
    check(off <= 2e-6 * p.oh * p.ow, "dx is off by %g", off);
  }
}

// Where outputs lie, by hand.
struct Example {
  const char* what;
  Coordinates coordinates;
  Rounding rounding;
  float scale;
  int in;
  std::vector<float> places;
};

}  // namespace

PER_TIER(resize) {
  for (const Op op : ops) {
    for (int ow :
         {1, 2, t.lanes - 1, t.lanes, t.lanes + 1, 2 * t.lanes, 2 * t.lanes + 1, 127, 128, 129, 300}) {
      if (ow < 1) continue;
      test_kernels(t, op, {2, 3, 7, 5, ow});
      test_kernels(t, op, {2, 3, (ow + 1) / 2, 6, ow}, true);
    }
    test_kernels(t, op, {1, 1, 1, 1, 1});
    test_kernels(t, op, {3, 1, 1, 9, 40});
    for (int i = 0; i < (slow ? 20 : 100); ++i) {
      Random random("sizes" + std::to_string(i));
      const int c = random.range(1, 5), ih = random.range(1, 12), iw = random.range(1, 40);
      test_kernels(t, op, {c, ih, iw, random.range(1, 20), random.range(1, 60)});
    }
  }
}

ONCE(resize_places) {
  using C = Coordinates;
  using R = Rounding;
  const Example examples[] = {
      {"floor", C::asymmetric, R::floor, 2, 3, {0, 0, 1, 1, 2, 2}},
      {"ceil", C::asymmetric, R::ceil, 2, 3, {0, 1, 1, 2, 2, 2}},
      {"prefer floor", C::asymmetric, R::prefer_floor, 2, 3, {0, 0, 1, 1, 2, 2}},
      {"prefer ceil", C::asymmetric, R::prefer_ceil, 2, 3, {0, 1, 1, 2, 2, 2}},
      {"half pixels", C::half_pixel, R::prefer_floor, 2, 3, {0, 0, 1, 1, 2, 2}},
      {"half pixels of three, down", C::half_pixel, R::prefer_floor, 0.5f, 6, {0, 2, 4}},
      {"half pixels of three, up", C::half_pixel, R::prefer_ceil, 0.5f, 6, {1, 3, 5}},
      {"PyTorch's one pixel", C::pytorch_half_pixel, R::prefer_ceil, 0.2f, 5, {0}},
      {"one half pixel", C::half_pixel, R::prefer_ceil, 0.2f, 5, {2}},
      {"corners", C::align_corners, R::prefer_floor, 2, 3, {0, 0, 1, 1, 2, 2}},
      {"one corner", C::align_corners, R::prefer_floor, 0.2f, 5, {0}},
      {"a quotient", C::asymmetric, R::floor, 41, 2, {}},
      {"PyTorch's product", C::step, R::floor, 1.0f / 41, 2, {}},
  };
  for (const Example& e : examples) {
    if (!begin(e.what)) continue;
    Random random(e.what);
    Net net(random, shape_of({1, 1, e.in}));
    std::vector<float> want = e.places;
    // 41 times 1 / 41 is less than 1 in floats: PyTorch's kernel takes pixel 0 there
    for (int i = 0; want.size() < 82 && e.places.empty(); ++i)
      want.push_back(i > 41 || (i == 41 && e.coordinates == C::asymmetric) ? 1.0f : 0.0f);
    const int node =
        net.resize(Op::upsample_nearest2d, 0, 1, static_cast<int>(want.size()), e.coordinates, e.rounding);
    net.graph.nodes[static_cast<size_t>(node)].scales[1] = e.scale;
    std::vector<float> input;
    for (int i = 0; i < e.in; ++i) input.push_back(static_cast<float>(i));
    const std::vector<float> got = run_guarded(*make_plan(net.graph, ""), input, 1, Place::ends_at_page);
    check_same(got.data(), want.data(), want.size(), "pixels");
  }
  if (begin("between")) {
    Random random(1);
    Net net(random, shape_of({1, 2, 2}));
    net.resize(Op::upsample_bilinear2d, 0, 4, 4, Coordinates::half_pixel);
    const std::vector<float> want = {0, 1, 3, 4, 2, 3, 5, 6, 6, 7, 9, 10, 8, 9, 11, 12};
    const std::vector<float> got =
        run_guarded(*make_plan(net.graph, ""), {0, 4, 8, 12}, 1, Place::ends_at_page);
    check_same(got.data(), want.data(), want.size(), "PyTorch's bilinear, by hand");
  }
}

}  // namespace test
}  // namespace kernelet
