// Random variations of training images: bent, slanted, thicker, thinner, noisy. What an image becomes is a
// function of (seed, epoch, index) and the options alone: no libm, no shared state, so threads, machines and
// the order of work change nothing.
#pragma once

#include <cstddef>
#include <cstdint>

namespace kernelet {

// Each group happens to an image with its probability; a strength of 0 is none of it. Lengths in pixels.
struct AugmentOptions {
  // Levels of empty paper and of full ink in the images.
  float low = 0, high = 1;
  // Brings images back to MNIST's form, as digits/normalize.ts does with pictures: the ink's longer side to
  // 20/28 of the shorter side of the image, its centre of mass to the middle (pixel 14 of 28), its highest
  // level to `high`. Scale and translation are then taken from there.
  bool mnist_form = false;

  float affine_probability = 1;
  float degrees = 0;    // turned by up to so much either way
  float scale = 0;      // 1 ± scale
  float stretch = 0;    // width over height: 1 ± stretch
  float shear = 0;      // slanted by up to so many degrees either way
  float translate = 0;  // moved by up to so much each way

  // Stretched towards a square box by up to this share of the way, as old collections of bitmaps are.
  float square_probability = 1;
  float square = 0;

  float elastic_probability = 1;
  float alpha = 0, sigma = 4;  // Simard, Steinkraus, Platt 2003: (34, 4) for MNIST

  float thickness_probability = 1;
  float thinner = 0, thicker = 0;  // strokes lose or gain up to so much on either side

  float blur_probability = 1;
  float blur = 0;  // standard deviation of up to so much

  float contrast_probability = 1;
  float contrast = 0;  // levels spread about their mean by 1 ± contrast

  float background_probability = 1;
  float background = 0;  // paper of up to this share of full ink, unevenly lit

  float noise_probability = 1;
  float noise = 0;  // grain with a deviation of up to this share of full ink
};

class Augmenter {
 public:
  // Throws ERR_ARGUMENT for a strength that is not finite, negative or absurd, ERR_SHAPE for a size.
  Augmenter(const AugmentOptions& options, int64_t channels, int64_t height, int64_t width);

  // Floats of scratch that run() works on.
  size_t scratch_floats() const;

  // image, out: [channels][height][width]; they may be the same. Any number of threads, a scratch each.
  void run(uint64_t seed, uint64_t epoch, uint64_t index, const float* image, float* out,
           float* scratch) const;

 private:
  struct Random;
  struct Ink {
    double x, y, width, height;
  };
  Ink find_ink(const float* image, double a, double b, double c, double d) const;
  void thicken(Random& random, float* image, float* scratch) const;
  void warp(Random& random, const float* image, float* out, float* scratch) const;
  void displace(Random& random, float* field, float* scratch) const;
  void blur(Random& random, float* image, float* scratch) const;
  void levels(Random& random, float* image) const;

  AugmentOptions o_;
  int channels_, height_, width_;
  int cell_;       // pixels from point to point of the elastic field
  int radius_[3];  // of the three boxes that make the elastic field smooth
  float elastic_;  // what their sums are multiplied by
};

}  // namespace kernelet
