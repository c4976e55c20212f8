#include "data.h"

#include <atomic>
#include <cstdlib>
#include <map>
#include <mutex>
#include <new>

#include "check.h"

#if !defined(_WIN32)
#include <sys/mman.h>
#include <unistd.h>
#endif

namespace kernelet {
namespace test {
namespace {

constexpr unsigned char canary = 0xa5;

#if defined(_WIN32)
// No guard pages here yet: canaries alone.
size_t page_size() { return 4096; }
char* map_region(size_t pages) { return static_cast<char*>(std::malloc((pages + 2) * page_size())); }
void protect(char*, size_t, bool) {}
#else
size_t page_size() {
  static const size_t size = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return size;
}

char* map_region(size_t pages) {
  const size_t page = page_size();
  void* const at = mmap(nullptr, (pages + 2) * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) throw std::bad_alloc();
  char* const region = static_cast<char*>(at);
  if (mprotect(region + page, pages * page, PROT_READ | PROT_WRITE) != 0) throw std::bad_alloc();
  return region;
}

void protect(char* at, size_t length, bool writable) {
  if (mprotect(at, length, writable ? PROT_READ | PROT_WRITE : PROT_READ) != 0) std::abort();
}
#endif

// Bytes between a buffer and the page behind it, by the environment: 0 but for emulators that read more than they were asked.
size_t room_behind() {
  static const size_t room = [] {
    const char* const given = std::getenv("KERNELET_TESTS_ROOM");
    return given ? static_cast<size_t>(std::atoi(given)) : 0;
  }();
  return room;
}

// Regions are used again: tests ask for very many.
std::mutex regions_mutex;
std::multimap<size_t, char*>& idle_regions() {
  static auto* const all = new std::multimap<size_t, char*>;
  return *all;
}

char* take_region(size_t pages) {
  {
    std::lock_guard<std::mutex> lock(regions_mutex);
    const auto found = idle_regions().find(pages);
    if (found != idle_regions().end()) {
      char* const region = found->second;
      idle_regions().erase(found);
      return region;
    }
  }
  return map_region(pages);
}

void give_region(char* region, size_t pages) {
  std::lock_guard<std::mutex> lock(regions_mutex);
  idle_regions().emplace(pages, region);
}

bool all_canaries(const char* from, const char* to) {
  for (; from < to; ++from) {
    if (static_cast<unsigned char>(*from) != canary) return false;
  }
  return true;
}

}  // namespace

uint64_t fnv(const void* bytes, size_t length, uint64_t hash) {
  const unsigned char* p = static_cast<const unsigned char*>(bytes);
  for (size_t i = 0; i < length; ++i) hash = (hash ^ p[i]) * 0x100000001b3u;
  return hash;
}

uint32_t bits_of(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return bits;
}

float float_of(uint32_t bits) {
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

Guarded::Guarded(size_t count, Place place) : count_(count) {
  const size_t page = page_size(), bytes = count * sizeof(float);
  const size_t before = place == Place::misaligned ? 64 + sizeof(float) : 0;
  const size_t behind = place == Place::misaligned ? 64 : room_behind();
  pages_ = (before + bytes + behind + page - 1) / page;
  if (pages_ == 0) pages_ = 1;
  region_ = take_region(pages_);
  char* const first = region_ + page;
  char* const at = place == Place::ends_at_page ? first + pages_ * page - behind - bytes : first + before;
  std::memset(first, canary, static_cast<size_t>(at - first));
  std::memset(at + bytes, canary, static_cast<size_t>(first + pages_ * page - at) - bytes);
  data_ = reinterpret_cast<float*>(at);
  fill_with_garbage();
}

Guarded::Guarded(const std::vector<float>& values, Place place) : Guarded(values.size(), place) {
  if (!values.empty()) std::memcpy(data_, values.data(), values.size() * sizeof(float));
  seal();
}

Guarded::Guarded(Guarded&& other) noexcept
    : region_(other.region_),
      pages_(other.pages_),
      count_(other.count_),
      data_(other.data_),
      sealed_(other.sealed_) {
  other.region_ = nullptr;
}

Guarded::~Guarded() {
  if (region_ == nullptr) return;
  if (sealed_) protect(region_ + page_size(), pages_ * page_size(), true);
  give_region(region_, pages_);
}

void Guarded::fill_with_garbage() {
  const float garbage = float_of(garbage_bits);
  for (size_t i = 0; i < count_; ++i) std::memcpy(data_ + i, &garbage, sizeof garbage);
}

void Guarded::seal() {
  protect(region_ + page_size(), pages_ * page_size(), false);
  sealed_ = true;
}

bool Guarded::canaries() const {
  const char* const first = region_ + page_size();
  return all_canaries(first, reinterpret_cast<const char*>(data_)) &&
         all_canaries(reinterpret_cast<const char*>(data_ + count_), first + pages_ * page_size());
}

GuardedBytes::GuardedBytes(const std::vector<uint8_t>& bytes, Place place)
    : floats_((bytes.size() + 3) / 4, place) {
  data_ = reinterpret_cast<uint8_t*>(floats_.data());
  if (place == Place::ends_at_page) data_ += floats_.size() * sizeof(float) - bytes.size();
  if (!bytes.empty()) std::memcpy(data_, bytes.data(), bytes.size());
  floats_.seal();
}

std::vector<uint8_t> random_bytes(Random& random, size_t count) {
  std::vector<uint8_t> values(count);
  for (uint8_t& x : values) x = static_cast<uint8_t>(random.mixed() >> 56);
  return values;
}

std::vector<float> random_floats(Random& random, size_t count) {
  std::vector<float> values(count);
  for (float& x : values) x = random.real();
  return values;
}

std::vector<std::vector<float>> variants_of(const std::vector<float>& image) {
  std::vector<std::vector<float>> all = {image, {image.rbegin(), image.rend()}, image};
  for (float& x : all[2]) x = -x;
  return all;
}

std::vector<float> blocks_of_planes(const std::vector<float>& planes, size_t plane, int lanes) {
  const size_t width = static_cast<size_t>(lanes), channels = planes.size() / plane;
  std::vector<float> all((channels + width - 1) / width * plane * width, float_of(garbage_bits));
  for (size_t c = 0; c < channels; ++c) {
    for (size_t i = 0; i < plane; ++i)
      all[(c / width * plane + i) * width + c % width] = planes[c * plane + i];
  }
  return all;
}
std::vector<float> planes_of_blocks(const std::vector<float>& blocks, size_t channels, size_t plane,
                                    int lanes) {
  const size_t width = static_cast<size_t>(lanes);
  std::vector<float> all(channels * plane);
  for (size_t c = 0; c < channels; ++c) {
    for (size_t i = 0; i < plane; ++i)
      all[c * plane + i] = blocks[(c / width * plane + i) * width + c % width];
  }
  return all;
}

std::vector<float> in_lanes(const std::vector<std::vector<float>>& images, int lanes) {
  std::vector<float> all;
  for (size_t i = 0; i < images[0].size(); ++i) {
    for (int lane = 0; lane < lanes; ++lane)
      all.push_back(images[static_cast<size_t>(lane) % images.size()][i]);
  }
  return all;
}

size_t difference(const float* a, const float* b, size_t count, bool strict) {
  for (size_t i = 0; i < count; ++i) {
    if (bits_of(a[i]) == bits_of(b[i])) continue;
    if (!strict && a[i] != a[i] && b[i] != b[i]) {
      // a NaN that was never computed is not equal to one that was
      if ((bits_of(a[i]) == garbage_bits) == (bits_of(b[i]) == garbage_bits)) continue;
    }
    return i;
  }
  return count;
}

bool check_same(const float* got, const float* want, size_t count, const char* what, bool strict) {
  const size_t at = difference(got, want, count, strict);
  if (at == count) return check(true, "%s", what);
  size_t differing = 0;
  for (size_t i = at; i < count; ++i) differing += difference(got + i, want + i, 1, strict) == 0;
  return check(false, "%s: [%zu] is %a (%.9g), not %a (%.9g)%s; %zu of %zu differ", what, at,
               static_cast<double>(got[at]), static_cast<double>(got[at]), static_cast<double>(want[at]),
               static_cast<double>(want[at]), bits_of(got[at]) == garbage_bits ? ", never written" : "",
               differing, count);
}

// ---------------------------------------------------------------- what AlignedFloats allocates
namespace {

struct Blocks {
  std::mutex mutex;
  std::map<void*, Guarded> alive;
  bool canaries = true;
};
Blocks& blocks() {
  static auto* const all = new Blocks;
  return *all;
}

void* allocate_aligned(size_t bytes) {
  Guarded block((bytes + 63) / 64 * 16, Place::ends_at_page);
  void* const at = block.data();
  std::lock_guard<std::mutex> lock(blocks().mutex);
  blocks().alive.emplace(at, std::move(block));
  return at;
}

void free_aligned(void* at) {
  if (at == nullptr) return;
  std::lock_guard<std::mutex> lock(blocks().mutex);
  const auto found = blocks().alive.find(at);
  if (found == blocks().alive.end()) std::abort();  // freed twice, or never allocated
  blocks().canaries = blocks().canaries && found->second.canaries();
  blocks().alive.erase(found);
}

}  // namespace

size_t aligned_blocks_alive() {
  std::lock_guard<std::mutex> lock(blocks().mutex);
  return blocks().alive.size();
}

bool aligned_canaries_alive() {
  std::lock_guard<std::mutex> lock(blocks().mutex);
  for (const auto& block : blocks().alive) blocks().canaries = blocks().canaries && block.second.canaries();
  return blocks().canaries;
}

}  // namespace test
}  // namespace kernelet

// The core's only over-aligned allocations are AlignedFloats: arenas and packed weights. Their ends, in whole
// cache lines, lie on the guard page. (What is larger than AlignedFloats::mapped_from comes from the system.)
void* operator new(size_t bytes, std::align_val_t) { return kernelet::test::allocate_aligned(bytes); }
void operator delete(void* at, std::align_val_t) noexcept { kernelet::test::free_aligned(at); }
void operator delete(void* at, size_t, std::align_val_t) noexcept { kernelet::test::free_aligned(at); }
