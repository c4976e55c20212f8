// Where values lie in one arena while each lives only for a while.
#pragma once

#include <algorithm>
#include <vector>

#include "base/aligned.h"

namespace kernelet {

// First-fit over the gaps between live values; offsets in floats, all aligned.
class ArenaLayout {
 public:
  size_t place(size_t count) {
    count = AlignedFloats::round_up(count);
    size_t at = 0;
    auto next = live_.begin();
    for (; next != live_.end(); ++next) {
      if (next->begin - at >= count) break;
      at = next->end;
    }
    live_.insert(next, {at, at + count});
    size_ = std::max(size_, at + count);
    return at;
  }
  void release(size_t begin) {
    live_.erase(std::find_if(live_.begin(), live_.end(), [&](const Span& s) { return s.begin == begin; }));
  }
  size_t size() const { return size_; }

 private:
  struct Span {
    size_t begin, end;
  };
  std::vector<Span> live_;  // by offset
  size_t size_ = 0;
};

}  // namespace kernelet
