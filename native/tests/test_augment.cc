// Random variations of images: the same everywhere, inside their memory, and as strong as they were asked to be.
#include <cmath>
#include <cstdio>
#include <vector>

#include "base/error.h"
#include "check.h"
#include "data.h"
#include "train/augment.h"

namespace kernelet {
namespace test {
namespace {

AugmentOptions everything() {
  AugmentOptions o;
  o.mnist_form = true;
  o.degrees = 12, o.scale = 0.1f, o.stretch = 0.15f, o.shear = 15, o.translate = 1;
  o.square = 0.8f, o.square_probability = 0.4f;
  o.alpha = 34, o.sigma = 4;
  o.thinner = 1.4f, o.thicker = 1.4f;
  o.blur = 0.9f, o.contrast = 0.2f, o.background = 0.3f, o.noise = 0.1f;
  return o;
}

// Values of an image that say where they came from.
std::vector<float> ramp(int height, int width, float per_x, float per_y) {
  std::vector<float> image(static_cast<size_t>(height) * width);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x)
      image[static_cast<size_t>(y) * width + x] =
          per_x * static_cast<float>(x) + per_y * static_cast<float>(y);
  }
  return image;
}

// A hook of a digit: an arc and a foot, off centre.
std::vector<float> hook() {
  std::vector<float> image(784, 0.0f);
  for (int y = 3; y < 20; ++y)
    image[static_cast<size_t>(y) * 28 + 9] = image[static_cast<size_t>(y) * 28 + 10] = 1;
  for (int x = 9; x < 21; ++x)
    image[static_cast<size_t>(20) * 28 + x] = image[static_cast<size_t>(19) * 28 + x] = 0.8f;
  return image;
}

std::vector<float> run(const Augmenter& augmenter, uint64_t seed, uint64_t epoch, uint64_t index,
                       const std::vector<float>& image) {
  std::vector<float> out(image.size()), scratch(augmenter.scratch_floats(), float_of(garbage_bits));
  augmenter.run(seed, epoch, index, image.data(), out.data(), scratch.data());
  return out;
}

bool same(const std::vector<float>& a, const std::vector<float>& b) {
  return difference(a.data(), b.data(), a.size(), true) == a.size();
}

bool refused(AugmentOptions options, int64_t c = 1, int64_t h = 28, int64_t w = 28) {
  try {
    Augmenter augmenter(options, c, h, w);
  } catch (const Error&) {
    return true;
  }
  return false;
}

}  // namespace

ONCE(augment) {
  if (begin("nothing")) {
    Random random("nothing");
    const std::vector<float> image = random_floats(random, 2 * 9 * 7);
    check(same(run(Augmenter(AugmentOptions(), 2, 9, 7), 1, 2, 3, image), image),
          "no option changes nothing");
    AugmentOptions never = everything();
    never.mnist_form = false;
    never.affine_probability = never.square_probability = never.elastic_probability =
        never.thickness_probability = 0;
    never.blur_probability = never.contrast_probability = never.background_probability = 0;
    never.noise_probability = 0;
    check(same(run(Augmenter(never, 2, 9, 7), 1, 2, 3, image), image), "nor does what never happens");
  }

  if (begin("same bits")) {
    const Augmenter augmenter(everything(), 1, 28, 28);
    const std::vector<float> image = hook();
    uint64_t hash = fnv_start;
    for (uint64_t index = 0; index < 200; ++index) {
      const std::vector<float> out = run(augmenter, 7, index / 50, index, image);
      hash = fnv(out.data(), out.size() * sizeof(float), hash);
      check(same(out, run(augmenter, 7, index / 50, index, image)), "image %d again",
            static_cast<int>(index));
      std::vector<float> in_place = image, scratch(augmenter.scratch_floats());
      augmenter.run(7, index / 50, index, in_place.data(), in_place.data(), scratch.data());
      check(same(out, in_place), "image %d in place", static_cast<int>(index));
    }
    note("digest %016llx", static_cast<unsigned long long>(hash));
    check(hash == 0xeaf7c65f5d9b0c0bu, "the digest of all machines");
    const std::vector<float> one = run(augmenter, 1, 2, 3, image);
    check(!same(one, run(augmenter, 2, 2, 3, image)) && !same(one, run(augmenter, 1, 3, 3, image)) &&
              !same(one, run(augmenter, 1, 2, 4, image)) && !same(one, run(augmenter, 1, 3, 2, image)),
          "another seed, epoch or index: another image");
  }

  const int sizes[][3] = {{1, 1, 1}, {1, 1, 9}, {3, 8, 1}, {1, 28, 28}, {2, 5, 31}, {3, 2, 2}};
  for (const auto& size : sizes) {
    char name[40];
    std::snprintf(name, sizeof name, "memory ic%dih%diw%d", size[0], size[1], size[2]);
    if (!begin(name)) continue;
    Random random(name);
    const size_t count = static_cast<size_t>(size[0]) * size[1] * size[2];
    for (int k = 0; k < 60; ++k) {
      AugmentOptions o = everything();
      o.mnist_form = k % 2 == 0;
      o.degrees = 180, o.translate = static_cast<float>(k), o.alpha = static_cast<float>(k * k);
      o.sigma = 0.5f + static_cast<float>(k % 7);
      o.thinner = static_cast<float>(k % 4), o.blur = static_cast<float>(k % 5);
      const Augmenter augmenter(o, size[0], size[1], size[2]);
      std::vector<float> image = random_floats(random, count);
      // What an image of no numbers, or of none but infinite ones, becomes is its own affair; not where it is read.
      if (k % 5 == 1) image[count / 2] = HUGE_VALF;
      if (k % 5 == 2) image[count / 2] = float_of(garbage_bits);
      if (k % 5 == 3) image.assign(count, 0.0f);
      for (const Place place : all_places) {
        Guarded in(image, place), out(count, place), scratch(augmenter.scratch_floats(), place);
        augmenter.run(5, 0, static_cast<uint64_t>(k), in.data(), out.data(), scratch.data());
        check(out.canaries() && scratch.canaries(), "only its own memory is written");
        if (k % 5 != 1 && k % 5 != 2) {
          bool finite = true;
          for (size_t i = 0; i < count; ++i) finite = finite && std::isfinite(out[i]);
          check(finite, "numbers stay numbers");
        }
      }
    }
  }

  if (begin("affine")) {
    // Where pixels come from is read off two ramps; the map must be one rotation about the middle.
    AugmentOptions o;
    o.low = -100, o.high = 200;
    o.degrees = 30;
    double widest = 0, mean = 0;
    const Augmenter rotation(o, 1, 41, 41);
    for (uint64_t index = 0; index < 400; ++index) {
      const auto xs = run(rotation, 3, 0, index, ramp(41, 41, 1, 0));
      const auto ys = run(rotation, 3, 0, index, ramp(41, 41, 0, 1));
      const size_t middle = 20 * 41 + 20;
      const double c = xs[middle + 5] - xs[middle], s = xs[middle + 5 * 41] - xs[middle];
      const double s2 = ys[middle + 5] - ys[middle], c2 = ys[middle + 5 * 41] - ys[middle];
      const bool good = std::fabs(xs[middle] - 20) < 1e-4 && std::fabs(ys[middle] - 20) < 1e-4 &&
                        std::fabs(c - c2) < 1e-4 && std::fabs(s + s2) < 1e-4 &&
                        std::fabs(c * c + s * s - 25) < 1e-3;
      check(good, "image %d is turned about its middle", static_cast<int>(index));
      const double angle = std::atan2(s, c) * 57.29577951308232;
      widest = std::fmax(widest, std::fabs(angle));
      mean += angle / 400;
    }
    check(widest > 29 && widest <= 30 && std::fabs(mean) < 3, "by up to 30 degrees: %.2f, mean %.2f", widest,
          mean);

    o.degrees = 0, o.translate = 3;
    double farthest = 0;
    const Augmenter shift(o, 1, 41, 41);
    for (uint64_t index = 0; index < 400; ++index) {
      const auto xs = run(shift, 3, 0, index, ramp(41, 41, 1, 0));
      farthest = std::fmax(farthest, std::fabs(xs[20 * 41 + 20] - 20));
      check(std::fabs(xs[20 * 41 + 25] - xs[20 * 41 + 20] - 5) < 1e-4, "moved as a whole");
    }
    check(farthest > 2.9 && farthest <= 3.0001, "by up to 3 pixels: %.3f", farthest);
  }

  if (begin("square")) {
    AugmentOptions o;
    o.square = 1;
    const Augmenter augmenter(o, 1, 28, 28);
    // A bar 3 wide and 12 high gets from 3 to 12 wide; its height stays.
    std::vector<float> bar(784, 0.0f);
    for (int y = 8; y < 20; ++y) {
      for (int x = 13; x < 16; ++x) bar[static_cast<size_t>(y) * 28 + x] = 1;
    }
    double least = 99, most = 0;
    for (uint64_t index = 0; index < 200; ++index) {
      const auto out = run(augmenter, 3, 0, index, bar);
      double across = 0, down = 0;
      for (size_t k = 0; k < 28; ++k) across += out[14 * 28 + k], down += out[k * 28 + 14];
      check(std::fabs(down - 12) < 0.01, "as high as before: %.2f", down);
      least = std::fmin(least, across), most = std::fmax(most, across);
    }
    check(least < 3.2 && least > 2.9 && most > 11.8 && most < 12.1, "from %.2f to %.2f wide", least, most);
  }

  if (begin("elastic")) {
    AugmentOptions o;
    o.low = -100, o.high = 200;
    o.alpha = 34, o.sigma = 4;
    const Augmenter augmenter(o, 1, 28, 28);
    double squares = 0, neighbours = 0, sum = 0;
    int count = 0;
    for (uint64_t index = 0; index < 300; ++index) {
      const auto xs = run(augmenter, 3, 0, index, ramp(28, 28, 1, 0));
      for (int y = 8; y < 20; ++y) {
        for (int x = 8; x < 19; ++x, ++count) {
          const size_t i = static_cast<size_t>(y) * 28 + x;
          const double here = xs[i] - x, next = xs[i + 1] - x - 1;
          sum += here, squares += here * here, neighbours += here * next;
        }
      }
    }
    // Uniform noise (deviation 1/sqrt 3) under a Gaussian, times alpha: 34 / sqrt 3 / (8 sqrt pi) = 1.384; its
    // neighbours at distance 1 correlate by exp(-1 / (4 sigma^2)) = 0.984.
    const double deviation = std::sqrt(squares / count);
    check(std::fabs(deviation - 1.384) < 0.08 && std::fabs(sum / count) < 0.15, "deviation %.3f, mean %.3f",
          deviation, sum / count);
    check(std::fabs(neighbours / squares - 0.984) < 0.009, "smooth: %.4f", neighbours / squares);
  }

  if (begin("thickness")) {
    const std::vector<float> image = hook();
    double mass = 0;
    for (const float v : image) mass += v;
    AugmentOptions o;
    o.thicker = 2;
    const Augmenter thicker(o, 1, 28, 28);
    o.thicker = 0, o.thinner = 2;
    const Augmenter thinner(o, 1, 28, 28);
    double most = 0, least = 1e9;
    for (uint64_t index = 0; index < 200; ++index) {
      const auto more = run(thicker, 3, 0, index, image), less = run(thinner, 3, 0, index, image);
      double more_mass = 0, less_mass = 0;
      bool ordered = true;
      for (size_t i = 0; i < 784; ++i) {
        ordered = ordered && less[i] <= image[i] && image[i] <= more[i];
        more_mass += more[i], less_mass += less[i];
      }
      check(ordered, "thinner is nowhere more, thicker nowhere less");
      most = std::fmax(most, more_mass), least = std::fmin(least, less_mass);
    }
    // Strokes of 2 pixels that gain up to 2 on either side, and that lose at most what leaves 0.45 twice over.
    check(most > 2.4 * mass && most < 3.5 * mass, "thicker: %.2f", most / mass);
    check(least < 0.5 * mass && least > 0.2 * mass, "thinner: %.2f", least / mass);
  }

  if (begin("form")) {
    AugmentOptions o;
    o.mnist_form = true;
    const std::vector<float> image = hook();
    for (const bool bent : {false, true}) {
      if (bent) o.degrees = 15, o.shear = 15, o.stretch = 0.2f, o.thicker = 1;
      const Augmenter augmenter(o, 1, 28, 28);
      for (uint64_t index = 0; index < 200; ++index) {
        const auto out = run(augmenter, 3, 0, index, image);
        double mass = 0, mx = 0, my = 0, highest = 0;
        int left = 28, right = -1, top = 28, bottom = -1;
        for (int y = 0; y < 28; ++y) {
          for (int x = 0; x < 28; ++x) {
            const float v = out[static_cast<size_t>(y) * 28 + x];
            mass += v, mx += v * x, my += v * y;
            highest = v > highest ? v : highest;
            if (v < 0.25f) continue;
            left = x < left ? x : left, right = x > right ? x : right;
            top = y < top ? y : top, bottom = y > bottom ? y : bottom;
          }
        }
        const int longest = right - left > bottom - top ? right - left + 1 : bottom - top + 1;
        check(longest >= 18 && longest <= 21, "image %d: %d long", static_cast<int>(index), longest);
        check(std::fabs(mx / mass - 14) < 0.65 && std::fabs(my / mass - 14) < 0.65,
              "image %d: centre %.2f %.2f", static_cast<int>(index), mx / mass, my / mass);
        check(std::fabs(highest - 1) < 1e-6, "full ink");
      }
    }
    // A digit that is in the form already is only moved, by whole pixels, or not at all.
    std::vector<float> bar(784, 0.0f);
    for (int y = 4; y < 24; ++y) bar[static_cast<size_t>(y) * 28 + 14] = 1;
    o = AugmentOptions();
    o.mnist_form = true;
    check(same(run(Augmenter(o, 1, 28, 28), 1, 0, 0, bar), bar), "what has the form keeps its bits");
  }

  if (begin("levels")) {
    AugmentOptions o;
    o.noise = 0.2f;
    const std::vector<float> image(784, 0.5f);
    const Augmenter noise(o, 1, 28, 28);
    double widest = 0;
    for (uint64_t index = 0; index < 100; ++index) {
      const auto out = run(noise, 3, 0, index, image);
      double sum = 0, squares = 0;
      for (const float v : out) sum += v - 0.5, squares += (v - 0.5) * (v - 0.5);
      check(std::fabs(sum / 784) < 0.04, "noise of no mean");
      widest = std::fmax(widest, std::sqrt(squares / 784));
    }
    check(widest > 0.17 && widest < 0.21, "noise of up to 0.2: %.3f", widest);

    o = AugmentOptions();
    o.background = 0.4f, o.contrast = 0.5f, o.blur = 1;
    const Augmenter levels(o, 1, 28, 28);
    for (uint64_t index = 0; index < 100; ++index) {
      const auto out = run(levels, 3, 0, index, hook());
      bool inside = true;
      for (const float v : out) inside = inside && v >= 0 && v <= 1.0001f;
      check(inside, "levels stay between paper and ink");
    }
  }

  if (begin("refused")) {
    AugmentOptions o;
    check(!refused(o), "no option");
    o.degrees = 181;
    check(refused(o), "degrees");
    o = AugmentOptions(), o.noise = -0.1f;
    check(refused(o), "negative");
    o = AugmentOptions(), o.alpha = float_of(garbage_bits);
    check(refused(o), "NaN");
    o = AugmentOptions(), o.affine_probability = 1.5f;
    check(refused(o), "probability");
    o = AugmentOptions(), o.low = 1;
    check(refused(o), "no levels between paper and ink");
    check(refused(AugmentOptions(), 1, 0, 28) && refused(AugmentOptions(), 1, 28, 5000) &&
              refused(AugmentOptions(), 2000, 2, 2),
          "sizes");
  }
}

}  // namespace test
}  // namespace kernelet
