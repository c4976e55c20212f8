// What the tests feed to kernels: integers-only random numbers (alike on every machine), and buffers that end
// or begin on a page nobody may touch.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace kernelet {
namespace test {

constexpr uint64_t fnv_start = 0xcbf29ce484222325u;
uint64_t fnv(const void* bytes, size_t length, uint64_t hash = fnv_start);

// SplitMix64.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  explicit Random(const std::string& name) : Random(fnv(name.data(), name.size())) {}
  // A fuzzer's choices: two of its bytes for each as long as there are some. The numbers of real() are not among
  // them: they would use them up.
  Random(const uint8_t* bytes, size_t length) : Random(fnv(bytes, length)) {
    bytes_ = bytes;
    left_ = length;
  }

  uint64_t next() {
    if (left_ < 2) return mixed();
    const uint64_t choice = bytes_[0] | bytes_[1] << 8;
    bytes_ += 2;
    left_ -= 2;
    return choice;
  }
  uint64_t mixed() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  // from, …, to
  int range(int from, int to) {
    return from + static_cast<int>(next() % static_cast<uint64_t>(to - from + 1));
  }
  bool chance(int percent) { return range(1, 100) <= percent; }
  template <size_t N>
  int pick(const int (&values)[N]) {
    return values[next() % N];
  }
  // A multiple of 2^-23 in [-1, 1)
  float real() { return static_cast<float>(static_cast<int64_t>(mixed() >> 40) - (1 << 23)) / (1 << 23); }

 private:
  uint64_t state_;
  const uint8_t* bytes_ = nullptr;
  size_t left_ = 0;
};

uint32_t bits_of(float x);
float float_of(uint32_t bits);

// Nothing computes these: what was not written, or was read without having been written, shows.
constexpr uint32_t garbage_bits = 0x7fc0dead;  // a NaN

enum class Place {
  ends_at_page,    // the float after the last one lies on a PROT_NONE page
  begins_at_page,  // so does the one before the first
  misaligned,      // 4 bytes past a vector's boundary, canaries on both sides
};
constexpr Place all_places[] = {Place::ends_at_page, Place::begins_at_page, Place::misaligned};

// `count` floats, all garbage at first. What of the pages is not theirs holds canaries.
class Guarded {
 public:
  Guarded(size_t count, Place place);
  Guarded(const std::vector<float>& values, Place place);  // and sealed
  ~Guarded();
  Guarded(Guarded&& other) noexcept;
  Guarded& operator=(Guarded&&) = delete;

  float* data() const { return data_; }
  size_t size() const { return count_; }
  float& operator[](size_t i) const { return data_[i]; }
  void fill_with_garbage();
  void seal();            // read-only from here on: who writes dies
  bool canaries() const;  // are they all alive?

 private:
  char* region_ = nullptr;  // guard page, pages_ pages, guard page
  size_t pages_ = 0, count_ = 0;
  float* data_ = nullptr;
  bool sealed_ = false;
};

std::vector<float> random_floats(Random& random, size_t count);

// Bytes that end or begin where floats would.
class GuardedBytes {
 public:
  GuardedBytes(const std::vector<uint8_t>& bytes, Place place);
  const uint8_t* data() const { return data_; }

 private:
  Guarded floats_;
  uint8_t* data_;
};

std::vector<uint8_t> random_bytes(Random& random, size_t count);

// Three images made of one: itself, backwards, negated. In a block of images they take turns, so
// that a lane that takes its neighbour's value shows.
std::vector<std::vector<float>> variants_of(const std::vector<float>& image);
// [n][lanes], lane j holding image j mod 3.
std::vector<float> in_lanes(const std::vector<std::vector<float>>& images, int lanes);

// [c][plane] -> [ceil(c / lanes)][plane][lanes], the rest of the last block garbage; and back.
std::vector<float> blocks_of_planes(const std::vector<float>& planes, size_t plane, int lanes);
std::vector<float> planes_of_blocks(const std::vector<float>& blocks, size_t channels, size_t plane,
                                    int lanes);

// The index of the first float that differs in bits, count where none does; all NaNs are equal unless strict.
size_t difference(const float* a, const float* b, size_t count, bool strict = false);
// Checks that `got` is `want`, to the bit; the failure shows where and how.
bool check_same(const float* got, const float* want, size_t count, const char* what, bool strict = false);

// Blocks that plans hold now: AlignedFloats below 64 KiB lie in Guarded memory here, filled with garbage.
size_t aligned_blocks_alive();
bool aligned_canaries_alive();

}  // namespace test
}  // namespace kernelet
