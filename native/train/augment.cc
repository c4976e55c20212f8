#include "augment.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "base/error.h"

namespace kernelet {
namespace {

// Sides above this would make coordinates lose hundredths of a pixel.
constexpr int64_t longest_side = 4096;
// A stroke may not lose more of its ink than this leaves: what is thinner fades instead of breaking off.
constexpr float ink_kept = 0.45f;

// Up to 180 degrees, to some 1e-12, by arithmetic that is the same everywhere.
void sine_cosine(double degrees, double& s, double& c) {
  const double x = degrees * (3.14159265358979323846 / 720);  // a quarter of the angle
  const double y = x * x;
  s = x * (1 - y / 6 * (1 - y / 20 * (1 - y / 42 * (1 - y / 72 * (1 - y / 110)))));
  c = 1 - y / 2 * (1 - y / 12 * (1 - y / 30 * (1 - y / 56 * (1 - y / 90))));
  for (int i = 0; i < 2; ++i) {
    const double twice = 2 * s * c;
    c = c * c - s * s;
    s = twice;
  }
}

// Every element becomes the sum of 2 * radius + 1 above and below it; the first row follows the last. Rows of
// running sums do not wait for each other as a running sum along a row would.
void box_sums(const float* in, float* out, int rows, int columns, int radius, float* sums) {
  const auto row = [&](int y) {
    return in + static_cast<size_t>(y < 0 ? y + rows : y < rows ? y : y - rows) * columns;
  };
  std::memset(sums, 0, columns * sizeof(float));
  for (int y = -radius; y <= radius; ++y) {
    for (int x = 0; x < columns; ++x) sums[x] += row(y)[x];
  }
  for (int y = 0; y < rows; ++y, out += columns) {
    const float* const enters = row(y + radius + 1);
    const float* const leaves = row(y - radius);
    for (int x = 0; x < columns; ++x) {
      const float sum = sums[x];
      out[x] = sum;
      sums[x] = sum + (enters[x] - leaves[x]);
    }
  }
}

void transpose(const float* in, float* out, int rows, int columns) {
  for (int y = 0; y < rows; ++y) {
    for (int x = 0; x < columns; ++x) out[static_cast<size_t>(x) * rows + y] = *in++;
  }
}

// The weights of four neighbours at a place t after the second: Catmull-Rom (Keys 1981, a = -1/2). Strokes stay
// sharp where bilinear weights would blur them.
struct Cubic {
  float taps[4];
  explicit Cubic(float t)
      : taps{((2 - t) * t - 1) * t * 0.5f, ((3 * t - 5) * t * t + 2) * 0.5f, ((4 - 3 * t) * t + 1) * t * 0.5f,
             (t - 1) * t * t * 0.5f} {}
};

float clamped(float v, float low, float high) { return v > low ? (v < high ? v : high) : low; }

}  // namespace

// Numbers by SplitMix64 (Steele, Lea, Flood 2014), started from a hash of where the image stands.
struct Augmenter::Random {
  uint64_t state;

  Random(uint64_t seed, uint64_t epoch, uint64_t index) : state(seed) {
    state = next() ^ epoch;
    state = next() ^ index;
    state = next();
  }
  uint64_t next() {
    uint64_t z = state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  float unit() { return static_cast<float>(next() >> 40) * (1.0f / (1 << 24)); }  // [0, 1)
  float between(float low, float high) { return low + (high - low) * unit(); }
  bool happens(float probability) { return unit() < probability; }
};

Augmenter::Augmenter(const AugmentOptions& options, int64_t channels, int64_t height, int64_t width)
    : o_(options), cell_(1), radius_(), elastic_(0) {
  const struct {
    const char* name;
    float value, low, high;
  } limits[] = {
      {"degrees", o_.degrees, 0, 180},
      {"scale", o_.scale, 0, 0.9f},
      {"stretch", o_.stretch, 0, 0.9f},
      {"shear", o_.shear, 0, 60},
      {"translate", o_.translate, 0, longest_side},
      {"square", o_.square, 0, 1},
      {"alpha", o_.alpha, 0, 1e6f},
      {"sigma", o_.sigma, 0.5f, 1000},
      {"thinner", o_.thinner, 0, 8},
      {"thicker", o_.thicker, 0, 8},
      {"blur", o_.blur, 0, 8},
      {"contrast", o_.contrast, 0, 1},
      {"background", o_.background, 0, 1},
      {"noise", o_.noise, 0, 1},
      {"probability of affine", o_.affine_probability, 0, 1},
      {"probability of square", o_.square_probability, 0, 1},
      {"probability of elastic", o_.elastic_probability, 0, 1},
      {"probability of thickness", o_.thickness_probability, 0, 1},
      {"probability of blur", o_.blur_probability, 0, 1},
      {"probability of contrast", o_.contrast_probability, 0, 1},
      {"probability of background", o_.background_probability, 0, 1},
      {"probability of noise", o_.noise_probability, 0, 1},
  };
  for (const auto& limit : limits) {
    // Written so that NaN fails.
    if (!(limit.value >= limit.low && limit.value <= limit.high)) {
      fail("ERR_ARGUMENT", {"augment: expected ", limit.name, " to be from ", limit.low, " to ", limit.high,
                            " but received ", limit.value});
    }
  }
  if (!(o_.low < o_.high) || !std::isfinite(o_.high - o_.low)) {
    fail("ERR_ARGUMENT", {"augment: expected the level of ink to be above that of paper"});
  }
  if (height < 1 || height > longest_side || width < 1 || width > longest_side || channels < 1 ||
      channels > 1024) {
    fail("ERR_SHAPE", {"augment: expected images of at most 1024x4096x4096 but received ", channels, "x",
                       height, "x", width});
  }
  channels_ = static_cast<int>(channels);
  height_ = static_cast<int>(height);
  width_ = static_cast<int>(width);
  if (o_.alpha == 0) return;

  // Three boxes in a row are a Gaussian to a few percent; r (r + 1) / 3 each is their share of sigma squared.
  // A field as smooth as most are needs no more than every other pixel of it.
  cell_ = o_.sigma >= 3 ? 2 : 1;
  const int most = std::max(0, (std::min(height_, width_) / cell_ + cell_ - 2) / 2);
  const double wanted = 3.0 * (o_.sigma / cell_) * (o_.sigma / cell_);
  int first = static_cast<int>((std::sqrt(1 + 4 * wanted / 3) - 1) / 2);
  first = std::min(first, most);
  int larger = 0;
  if (first < most)
    larger = static_cast<int>((wanted - 3.0 * first * (first + 1)) / (2.0 * (first + 1)) + 0.5);
  std::vector<double> kernel(1, 1.0);
  for (int i = 0; i < 3; ++i) {
    radius_[i] = first + (i < larger ? 1 : 0);
    std::vector<double> wider(kernel.size() + 2 * static_cast<size_t>(radius_[i]));
    for (size_t k = 0; k < wider.size(); ++k) {
      for (size_t j = 0; j < kernel.size(); ++j) {
        if (k >= j && k - j <= 2 * static_cast<size_t>(radius_[i])) wider[k] += kernel[j];
      }
    }
    kernel.swap(wider);
  }
  double sum = 0, squares = 0;
  for (const double k : kernel) sum += k, squares += k * k;
  squares /= sum * sum;
  // A field of uniform numbers under a normalized Gaussian has the deviation 1 / sqrt(3) / (2 sigma sqrt(pi)).
  elastic_ = static_cast<float>(o_.alpha / (2 * o_.sigma * 1.7724538509055160) / squares / 255);
}

size_t Augmenter::scratch_floats() const {
  const size_t plane = static_cast<size_t>(height_) * width_;
  return (channels_ + 3) * plane + static_cast<size_t>(height_ + 5) * (width_ + 5);
}

void Augmenter::run(uint64_t seed, uint64_t epoch, uint64_t index, const float* image, float* out,
                    float* scratch) const {
  Random random(seed, epoch, index);
  const size_t size = static_cast<size_t>(channels_) * height_ * width_;
  float* const work = scratch;
  scratch += size;
  std::memcpy(work, image, size * sizeof(float));
  thicken(random, work, scratch);
  warp(random, work, out, scratch);
  blur(random, out, scratch);
  levels(random, out);
}

// A grey dilation (or erosion) a pixel at a time, the last one in part: v + t * (highest around - v).
void Augmenter::thicken(Random& random, float* image, float* scratch) const {
  if (o_.thinner == 0 && o_.thicker == 0) return;
  if (!random.happens(o_.thickness_probability)) return;
  const float amount = random.between(-o_.thinner, o_.thicker);
  const bool thinner = amount < 0;
  const int h = height_, w = width_;
  int pass = 0;
  for (float rest = thinner ? -amount : amount; rest > 0; rest -= 1, ++pass) {
    for (int c = 0; c < channels_; ++c) {
      float* const plane = image + static_cast<size_t>(c) * h * w;
      float before = 0, after = 0;
      for (int y = 0; y < h; ++y) {
        const float* const here = plane + static_cast<size_t>(y) * w;
        const float* const above = y > 0 ? here - w : here;
        const float* const below = y + 1 < h ? here + w : here;
        for (int x = 0; x < w; ++x) {
          const int l = x > 0 ? x - 1 : x, r = x + 1 < w ? x + 1 : x;
          // A cross and a square by turns: together nearly a disc.
          float v[9] = {here[x],  here[l],  here[r],  above[x], below[x],
                        above[l], above[r], below[l], below[r]};
          float m = v[0];
          const int neighbours = pass % 2 == 0 ? 5 : 9;
          for (int k = 1; k < neighbours; ++k) m = (thinner ? v[k] < m : v[k] > m) ? v[k] : m;
          scratch[static_cast<size_t>(y) * w + x] = m;
          before += here[x] - o_.low;
          after += m - o_.low;
        }
      }
      float t = std::min(rest, 1.0f);
      if (thinner && before - t * (before - after) < ink_kept * before) {
        t = std::min(t, (1 - ink_kept) * before / (before - after));
      }
      for (size_t i = 0; i < static_cast<size_t>(h) * w; ++i) plane[i] += t * (scratch[i] - plane[i]);
    }
  }
}

// Every pixel of `out` looks up where it comes from: the inverse of the affine map, bent by the elastic field.
void Augmenter::warp(Random& random, const float* image, float* out, float* scratch) const {
  const int h = height_, w = width_;
  const size_t plane = static_cast<size_t>(h) * w;
  const bool has_affine =
      o_.degrees > 0 || o_.scale > 0 || o_.stretch > 0 || o_.shear > 0 || o_.translate > 0;
  const bool affine = has_affine && random.happens(o_.affine_probability);
  const bool square = o_.square > 0 && random.happens(o_.square_probability);
  const bool elastic = o_.alpha > 0 && random.happens(o_.elastic_probability);
  if (!affine && !square && !elastic && !o_.mnist_form) {
    std::memcpy(out, image, channels_ * plane * sizeof(float));
    return;
  }

  // x' = a x + b y, y' = c x + d y, from the image to what becomes of it.
  double a = 1, b = 0, c = 0, d = 1, size = 1, move_x = 0, move_y = 0;
  if (affine) {
    double sine, cosine, lean_sine, lean_cosine;
    sine_cosine(random.between(-o_.degrees, o_.degrees), sine, cosine);
    sine_cosine(random.between(-o_.shear, o_.shear), lean_sine, lean_cosine);
    const double lean = lean_sine / lean_cosine;
    size += random.between(-o_.scale, o_.scale);
    const double across = std::sqrt(1.0 + random.between(-o_.stretch, o_.stretch)), down = 1 / across;
    a = cosine * across;
    b = (cosine * lean - sine) * down;
    c = sine * across;
    d = (sine * lean + cosine) * down;
    move_x = random.between(-o_.translate, o_.translate);
    move_y = random.between(-o_.translate, o_.translate);
  }
  // The points that come to lie on each other: the middle, or the centre of mass.
  double from_x = (w - 1) * 0.5, from_y = (h - 1) * 0.5, to_x = from_x, to_y = from_y;
  const bool moves = affine || square || elastic;
  if (square || o_.mnist_form) {
    const Ink ink = find_ink(image, a, b, c, d);
    double longest = std::max(ink.width, ink.height);
    if (square && longest > 0) {
      const double share = random.between(0, o_.square);
      const double across = 1 + share * (longest / ink.width - 1),
                   down = 1 + share * (longest / ink.height - 1);
      a *= across, b *= across, c *= down, d *= down;
    }
    if (longest > 0 && o_.mnist_form) {
      const double fit = std::min(h, w) * (20.0 / 28) / longest;
      // Digits that fit already stay sharp: not a hundredth of a pixel's change, and whole pixels below.
      if (moves || std::fabs(fit - 1) > 0.01) size *= fit;
      from_x = ink.x;
      from_y = ink.y;
    }
  }
  if (o_.mnist_form) {
    to_x = w / 2;
    to_y = h / 2;
    if (moves || size != 1) {
      // Where MNIST rounds to whole pixels a digit's place is as good as anywhere within half a pixel.
      to_x += random.between(-0.5f, 0.5f);
      to_y += random.between(-0.5f, 0.5f);
    } else {
      from_x = to_x + std::floor(from_x - to_x + 0.5);
      from_y = to_y + std::floor(from_y - to_y + 0.5);
    }
  }
  a *= size, b *= size, c *= size, d *= size;

  float* const source_x = scratch;
  float* const source_y = scratch + plane;
  float* const bordered = scratch + 3 * plane;
  if (elastic) {
    displace(random, source_x, scratch + 2 * plane);
    displace(random, source_y, scratch + 2 * plane);
  } else {
    std::memset(source_x, 0, 2 * plane * sizeof(float));
  }
  const double determinant = a * d - b * c;
  const float xx = static_cast<float>(d / determinant), xy = static_cast<float>(-b / determinant);
  const float yx = static_cast<float>(-c / determinant), yy = static_cast<float>(a / determinant);
  const float left = static_cast<float>(-(to_x + move_x)), top = static_cast<float>(-(to_y + move_y));
  const float centre_x = static_cast<float>(from_x), centre_y = static_cast<float>(from_y);
  for (int y = 0; y < h; ++y) {
    for (int x = 0; x < w; ++x) {
      const size_t i = static_cast<size_t>(y) * w + x;
      const float u = static_cast<float>(x) + left, v = static_cast<float>(y) + top;
      // Counted from the border's first pixel.
      source_x[i] = clamped(centre_x + xx * u + xy * v + source_x[i], -1, static_cast<float>(w)) + 1;
      source_y[i] = clamped(centre_y + yx * u + yy * v + source_y[i], -1, static_cast<float>(h)) + 1;
    }
  }

  const int stride = w + 5;
  for (int channel = 0; channel < channels_; ++channel) {
    const float* const from = image + channel * plane;
    float* const to = out + channel * plane;
    for (size_t i = 0; i < static_cast<size_t>(h + 5) * stride; ++i) bordered[i] = o_.low;
    float lowest = o_.low, highest = o_.low;
    // The box of what is not empty, in bordered pixels: most of a digit's image is outside.
    int left_ink = stride, right_ink = -1, top_ink = h + 5, bottom_ink = -1;
    for (int y = 0; y < h; ++y) {
      float* const row = bordered + static_cast<size_t>(y + 2) * stride + 2;
      for (int x = 0; x < w; ++x) {
        const float v = from[static_cast<size_t>(y) * w + x];
        row[x] = v;
        lowest = v < lowest ? v : lowest;
        highest = v > highest ? v : highest;
        if (v == o_.low) continue;
        left_ink = std::min(left_ink, x + 2), right_ink = std::max(right_ink, x + 2);
        top_ink = std::min(top_ink, y + 2), bottom_ink = y + 2;
      }
    }
    for (size_t i = 0; i < plane; ++i) {
      const int column = static_cast<int>(source_x[i]), row = static_cast<int>(source_y[i]);
      if (column > right_ink || column + 3 < left_ink || row > bottom_ink || row + 3 < top_ink) {
        to[i] = o_.low;
        continue;
      }
      const float* p = bordered + static_cast<size_t>(row) * stride + column;
      const Cubic across(source_x[i] - static_cast<float>(column)),
          down(source_y[i] - static_cast<float>(row));
      float sum = 0;
      for (int k = 0; k < 4; ++k, p += stride) {
        const float* const t = across.taps;
        sum += down.taps[k] * (t[0] * p[0] + t[1] * p[1] + t[2] * p[2] + t[3] * p[3]);
      }
      to[i] = clamped(sum, lowest, highest);
    }
  }
}

// Centre of mass, and the box that ink would have after (a b; c d); no box where there is no ink.
Augmenter::Ink Augmenter::find_ink(const float* image, double a, double b, double c, double d) const {
  const float least = o_.low + 0.02f * (o_.high - o_.low);
  double mass = 0, mass_x = 0, mass_y = 0;
  double left = 1e9, right = -1e9, top = 1e9, bottom = -1e9;
  for (int y = 0; y < height_ * channels_; ++y) {
    const float* const row = image + static_cast<size_t>(y) * width_;
    const int at = y % height_;
    float row_mass = 0, row_x = 0;
    int first = -1, last = -1;
    for (int x = 0; x < width_; ++x) {
      if (!(row[x] > least)) continue;
      if (first < 0) first = x;
      last = x;
      row_mass += row[x] - o_.low;
      row_x += (row[x] - o_.low) * static_cast<float>(x);
    }
    if (first < 0) continue;
    mass += row_mass;
    mass_x += row_x;
    mass_y += static_cast<double>(row_mass) * at;
    for (const int x : {first, last}) {
      const double across = a * x + b * at, down = c * x + d * at;
      left = std::min(left, across), right = std::max(right, across);
      top = std::min(top, down), bottom = std::max(bottom, down);
    }
  }
  // Infinities in the image would make a centre that is no number; it then has none.
  if (!(mass > 0) || !std::isfinite(mass_x / mass) || !std::isfinite(mass_y / mass)) return {0, 0, 0, 0};
  return {mass_x / mass, mass_y / mass, right - left + 1, bottom - top + 1};
}

// One coordinate of the elastic field: noise, smoothed by three boxes each way. The field's ends meet, so that
// it is as strong at the edges as anywhere.
void Augmenter::displace(Random& random, float* field, float* scratch) const {
  // One point more each way than there are cells begun: every pixel then lies between points.
  const int margin = cell_ == 1 ? 0 : 1;
  const int rows = (height_ + cell_ - 1) / cell_ + margin, columns = (width_ + cell_ - 1) / cell_ + margin;
  const size_t points = static_cast<size_t>(rows) * columns;
  float* const grid = cell_ == 1 ? field : scratch;
  float* const other = cell_ == 1 ? scratch : scratch + points;
  float* const sums = other + points;
  uint64_t bytes = 0;
  for (size_t i = 0; i < points; ++i, bytes >>= 8) {
    if (i % 8 == 0) bytes = random.next();
    grid[i] = static_cast<float>(2 * static_cast<int>(bytes & 255) - 255);
  }
  float all = elastic_;
  for (int way = 0; way < 2; ++way) {
    const int m = way == 0 ? rows : columns, n = way == 0 ? columns : rows;
    box_sums(grid, other, m, n, radius_[0], sums);
    box_sums(other, grid, m, n, radius_[1], sums);
    box_sums(grid, other, m, n, radius_[2], sums);
    transpose(other, grid, m, n);
  }
  for (const int radius : radius_) {
    all /= static_cast<float>(2 * radius + 1) * static_cast<float>(2 * radius + 1);
  }
  for (size_t i = 0; i < points; ++i) grid[i] *= all;
  if (cell_ == 1) return;
  for (int y = 0; y < height_; ++y) {
    const float* const above = grid + static_cast<size_t>(y / 2) * columns;
    const float* const below = y % 2 == 0 ? above : above + columns;
    for (int x = 0; x < width_; ++x) {
      const int left = x / 2, right = left + x % 2;
      *field++ = 0.25f * ((above[left] + above[right]) + (below[left] + below[right]));
    }
  }
}

// (1 - 2s, s) either way, as often as the deviation asks for.
void Augmenter::blur(Random& random, float* image, float* scratch) const {
  if (o_.blur == 0 || !random.happens(o_.blur_probability)) return;
  const float deviation = random.between(0, o_.blur);
  const float variance = deviation * deviation;
  const int passes = 1 + static_cast<int>(variance / 0.5f);
  const float side = variance / static_cast<float>(2 * passes), middle = 1 - 2 * side;
  const int h = height_, w = width_;
  for (int pass = 0; pass < passes; ++pass) {
    for (int c = 0; c < channels_; ++c) {
      float* const plane = image + static_cast<size_t>(c) * h * w;
      for (int y = 0; y < h; ++y) {
        const float* const row = plane + static_cast<size_t>(y) * w;
        float* const to = scratch + static_cast<size_t>(y) * w;
        for (int x = 0; x < w; ++x) {
          to[x] = middle * row[x] + side * (row[x > 0 ? x - 1 : x] + row[x + 1 < w ? x + 1 : x]);
        }
      }
      for (int y = 0; y < h; ++y) {
        const float* const row = scratch + static_cast<size_t>(y) * w;
        const float* const above = y > 0 ? row - w : row;
        const float* const below = y + 1 < h ? row + w : row;
        float* const to = plane + static_cast<size_t>(y) * w;
        for (int x = 0; x < w; ++x) to[x] = middle * row[x] + side * (above[x] + below[x]);
      }
    }
  }
}

// What does not move ink but changes levels.
void Augmenter::levels(Random& random, float* image) const {
  const int h = height_, w = width_;
  const size_t size = static_cast<size_t>(channels_) * h * w;
  const float range = o_.high - o_.low;
  if (o_.mnist_form) {
    float highest = o_.low;
    for (size_t i = 0; i < size; ++i) highest = image[i] > highest ? image[i] : highest;
    const float gain = range / (highest - o_.low);
    if (highest > o_.low && gain != 1 && std::isfinite(gain)) {
      for (size_t i = 0; i < size; ++i) image[i] = o_.low + (image[i] - o_.low) * gain;
    }
  }
  if (o_.contrast > 0 && random.happens(o_.contrast_probability)) {
    const float gain = 1 + random.between(-o_.contrast, o_.contrast);
    float mean = 0;
    for (size_t i = 0; i < size; ++i) mean += image[i];
    mean /= static_cast<float>(size);
    for (size_t i = 0; i < size; ++i) image[i] = clamped(mean + gain * (image[i] - mean), o_.low, o_.high);
  }
  if (o_.background > 0 && random.happens(o_.background_probability)) {
    // Paper from `level - slopes` to `level + slopes`, corner to corner; ink is laid over it.
    const float most = random.between(0, o_.background);
    const float share = random.unit();
    const float level = most * (1 - share / 2);
    const float along_x = random.between(-0.25f, 0.25f) * most * share / static_cast<float>(w);
    const float along_y = random.between(-0.25f, 0.25f) * most * share / static_cast<float>(h);
    for (int y = 0; y < h * channels_; ++y) {
      float* const row = image + static_cast<size_t>(y) * w;
      const float here = level + along_y * static_cast<float>(2 * (y % h) - h);
      for (int x = 0; x < w; ++x) {
        row[x] += (here + along_x * static_cast<float>(2 * x - w)) * (o_.high - row[x]);
      }
    }
  }
  if (o_.noise > 0 && random.happens(o_.noise_probability)) {
    // Four bytes added up: nearly normal, with mean 510 and deviation 147.8.
    const float deviation = random.between(0, o_.noise) * range / 147.8f;
    uint64_t bytes = 0;
    for (size_t i = 0; i < size; ++i, bytes >>= 32) {
      if (i % 2 == 0) bytes = random.next();
      const int sum =
          static_cast<int>((bytes & 255) + (bytes >> 8 & 255) + (bytes >> 16 & 255) + (bytes >> 24 & 255));
      image[i] = clamped(image[i] + deviation * static_cast<float>(sum - 510), o_.low, o_.high);
    }
  }
}

}  // namespace kernelet
