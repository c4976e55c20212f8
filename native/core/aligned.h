// Floats on a cache line's boundary, so that our own vectors never straddle two.
#pragma once

#include <cstdlib>
#include <new>
#include <utility>

namespace kernelet {

class AlignedFloats {
 public:
  static constexpr size_t alignment = 64;

  AlignedFloats() = default;
  explicit AlignedFloats(size_t count) : size_(count) {
    if (count == 0) return;
    if (count > (~size_t{0} - alignment) / sizeof(float)) throw std::bad_alloc();
    data_ = static_cast<float*>(::operator new(count * sizeof(float), std::align_val_t(alignment)));
  }
  AlignedFloats(AlignedFloats&& other) noexcept { swap(other); }
  AlignedFloats& operator=(AlignedFloats&& other) noexcept {
    swap(other);
    return *this;
  }
  ~AlignedFloats() { ::operator delete(data_, std::align_val_t(alignment)); }

  float* data() const { return data_; }
  size_t size() const { return size_; }

  // Rounds a count up so that what follows it is aligned too.
  static size_t round_up(size_t count) { return (count + 15) / 16 * 16; }

 private:
  void swap(AlignedFloats& other) {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
  }

  float* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace kernelet
