// Floats on a cache line's boundary, so that our own vectors never straddle two.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <new>
#include <utility>

#if defined(__unix__) || defined(__APPLE__)
#include <sys/mman.h>
#define KERNELET_HAVE_MMAP 1
#endif

namespace kernelet {

class AlignedFloats {
 public:
  static constexpr size_t alignment = 64;

  AlignedFloats() = default;
  explicit AlignedFloats(size_t count) : size_(count) {
    if (count == 0) return;
    if (count > (~size_t{0} - alignment) / sizeof(float)) throw std::bad_alloc();
    data_ = static_cast<float*>(allocate(count * sizeof(float)));
  }
  AlignedFloats(AlignedFloats&& other) noexcept { swap(other); }
  AlignedFloats& operator=(AlignedFloats&& other) noexcept {
    swap(other);
    return *this;
  }
  ~AlignedFloats() {
    if (data_ != nullptr) release(data_, size_ * sizeof(float));
  }

  float* data() const { return data_; }
  size_t size() const { return size_; }

  // A new one: are all its floats +0 already, as the system's own pages are?
  bool is_zero() const {
#if defined(KERNELET_HAVE_MMAP)
    return size_ * sizeof(float) >= mapped_from;
#else
    return size_ == 0;
#endif
  }
  // Of a new one that will be filled from end to end: pages of megabytes, as the system finds each page that is first
  // touched in as much time as it takes to fill it.
  void in_large_pages() const {
#if defined(KERNELET_HAVE_MMAP) && defined(MADV_HUGEPAGE)
    if (size_ * sizeof(float) >= large_from) madvise(data_, size_ * sizeof(float), MADV_HUGEPAGE);
#endif
  }

  // Rounds a count up so that what follows it is aligned too.
  static size_t round_up(size_t count) { return (count + 15) / 16 * 16; }

 private:
  // Weights and arenas live as long as a model: given straight back to the system they cannot leave the heap
  // in pieces. Thousands of models loaded and disposed kept hundreds of megabytes otherwise.
  static constexpr size_t mapped_from = 64 * 1024, large_from = 4 * 1024 * 1024;

  static void* allocate(size_t bytes) {
#if defined(KERNELET_HAVE_MMAP)
    if (bytes >= mapped_from) {
      void* const p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      if (p == MAP_FAILED) throw std::bad_alloc();
      return p;
    }
#endif
    return ::operator new(bytes, std::align_val_t(alignment));
  }

  static void release(void* p, size_t bytes) {
#if defined(KERNELET_HAVE_MMAP)
    if (bytes >= mapped_from) {
      munmap(p, bytes);
      return;
    }
#endif
    (void)bytes;
    ::operator delete(p, std::align_val_t(alignment));
  }

  void swap(AlignedFloats& other) {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
  }

  float* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace kernelet
