// The twins of what makes planes larger: transposed convolution, and resizing.
#include <cmath>
#include <limits>

#include "naive.h"
#include "ops/window.h"

namespace kernelet {
namespace test {

std::vector<Dot> naive_conv_transpose(const ConvArgs& s, bool fma, const float* src, const float* weight,
                                      const float* bias) {
  const int group_ic = s.ic / s.groups, group_oc = s.oc / s.groups;
  std::vector<Dot> dst;
  for (int o = 0; o < s.oc; ++o) {
    for (int y = 0; y < s.oh; ++y) {
      for (int x = 0; x < s.ow; ++x) {
        Dot dot;
        for (int i = 0; i < group_ic; ++i) {
          const int c = o / group_oc * group_ic + i;
          for (int r = 0; r < s.kh; ++r) {
            for (int t = 0; t < s.kw; ++t) {
              // input (sy, sx) is added at sy stride + tap dilation - padding
              const int down = y + s.pt - r * s.dh, right = x + s.pl - t * s.dw;
              if (down < 0 || right < 0 || down % s.sh != 0 || right % s.sw != 0) continue;
              const int sy = down / s.sh, sx = right / s.sw;
              if (sy >= s.ih || sx >= s.iw) continue;
              const size_t filter = static_cast<size_t>(c) * group_oc + o % group_oc;
              dot.tap(src[(static_cast<size_t>(c) * s.ih + sy) * s.iw + sx],
                      weight[(filter * s.kh + r) * s.kw + t], fma);
            }
          }
        }
        dot.add_bias(bias != nullptr ? bias[o] : 0.0f);
        dst.push_back(dot);
      }
    }
  }
  return dst;
}

std::vector<Place1d> naive_places(const Node& node, int axis, int in, int out) {
  std::vector<Place1d> places;
  for (int i = 0; i < out; ++i) {
    const float x = static_cast<float>(i), scale = node.scales[axis];
    float at = 0;
    const bool half = node.coordinates == Coordinates::half_pixel;
    if (node.coordinates == Coordinates::asymmetric) at = x / scale;
    if (node.coordinates == Coordinates::step) at = x * scale;
    if (half || (node.coordinates == Coordinates::pytorch_half_pixel && out > 1)) {
      at = (x + 0.5f) / scale;
      at = at - 0.5f;
    }
    if (node.coordinates == Coordinates::align_corners && out > 1) {
      at = x * static_cast<float>(in - 1);
      at = at / static_cast<float>(out - 1);
    }
    if (node.op == Op::upsample_nearest2d) {
      // a place far outside is as near to the last pixel as one just outside; distances to it would round to equals
      at = std::fmin(std::fmax(at, -2.0f), static_cast<float>(in) + 1);
      // the nearest by distance, of equals as the rounding has it; what is not asked for is far away
      double best = std::numeric_limits<double>::infinity();
      int pixel = 0;
      for (int j = -1; j <= in; ++j) {
        const double off = j - static_cast<double>(at);
        double distance = std::fabs(off);
        if (node.rounding == Rounding::floor && off > 0) distance += 1e9;
        if (node.rounding == Rounding::ceil && off < 0) distance += 1e9;
        if (distance < best || (distance == best && node.rounding == Rounding::prefer_ceil)) pixel = j;
        best = std::fmin(best, distance);
      }
      pixel = pixel < 0 ? 0 : pixel >= in ? in - 1 : pixel;
      places.push_back({pixel, pixel, 0});
      continue;
    }
    if (!(at > 0)) at = 0;
    if (at > static_cast<float>(in - 1)) at = static_cast<float>(in - 1);
    const int pixel = static_cast<int>(at);
    places.push_back({pixel, pixel + 1 < in ? pixel + 1 : pixel, at - static_cast<float>(pixel)});
  }
  return places;
}

void naive_resize(const Node& node, const Shape& original, bool fma, const float* src, float* dst) {
  const Shape in = as_image(original), out = as_image(node.shape);
  const int ih = static_cast<int>(in.dims[1]), iw = static_cast<int>(in.dims[2]);
  const std::vector<Place1d> rows = naive_places(node, 0, ih, static_cast<int>(out.dims[1]));
  const std::vector<Place1d> columns = naive_places(node, 1, iw, static_cast<int>(out.dims[2]));
  const auto between = [&](float a, float b, float share) {
    const float first = a * (1.0f - share);
    return fma ? std::fma(b, share, first) : b * share + first;
  };
  for (int64_t c = 0; c < in.dims[0]; ++c, src += static_cast<size_t>(ih) * static_cast<size_t>(iw)) {
    for (const Place1d& y : rows) {
      for (const Place1d& x : columns) {
        const auto at = [&](int row, int column) { return src[static_cast<size_t>(row) * iw + column]; };
        if (node.op == Op::upsample_nearest2d) {
          *dst++ = at(y.at, x.at);
        } else {
          *dst++ = between(between(at(y.at, x.at), at(y.at, x.next), x.share),
                           between(at(y.next, x.at), at(y.next, x.next), x.share), y.share);
        }
      }
    }
  }
}

}  // namespace test
}  // namespace kernelet
