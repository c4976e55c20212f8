// interleave and deinterleave: from images to the batched layout and back.
#include "check.h"
#include "data.h"

namespace kernelet {
namespace test {

PER_TIER(interleave) {
  for (int n : {1, 2, 3, t.lanes - 1, t.lanes, t.lanes + 1, 2 * t.lanes, 3 * t.lanes + 1, 784}) {
    for (int count = 1; count <= t.lanes; ++count) {
      for (int gap : {0, 5}) {
        const std::string name =
            "n" + std::to_string(n) + "mb" + std::to_string(count) + "gap" + std::to_string(gap);
        if (n < 1 || !begin(name)) continue;
        Random random(name);
        const size_t stride = static_cast<size_t>(n + gap), lanes = static_cast<size_t>(t.lanes);
        const std::vector<float> images =
            random_floats(random, (static_cast<size_t>(count) - 1) * stride + static_cast<size_t>(n));
        std::vector<float> want(static_cast<size_t>(n) * lanes, 0.0f);
        for (size_t i = 0; i < static_cast<size_t>(n); ++i) {
          for (size_t image = 0; image < static_cast<size_t>(count); ++image)
            want[i * lanes + image] = images[image * stride + i];
        }
        for (Place place : all_places) {
          const Guarded src(images, place), block(want.size(), place), back(images.size(), place);
          t.interleave(static_cast<size_t>(n), count, src.data(), stride, block.data());
          check_same(block.data(), want.data(), want.size(), "interleave");
          t.deinterleave(static_cast<size_t>(n), count, block.data(), back.data(), stride);
          check(block.canaries() && back.canaries(), "writes to dst alone");
          bool same = true;
          for (size_t i = 0; i < images.size(); ++i) {
            const bool between = i % stride >= static_cast<size_t>(n);
            same = same && bits_of(back[i]) == (between ? garbage_bits : bits_of(images[i]));
          }
          check(same, "deinterleave undoes it, and leaves alone what lies between images");
        }
      }
    }
  }
}

}  // namespace test
}  // namespace kernelet
