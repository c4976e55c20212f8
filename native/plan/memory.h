// Where values lie in one arena while each lives only for a while: for plans and for training.
#pragma once

#include <vector>

#include "base/aligned.h"

namespace kernelet {

// First-fit over the gaps between live values; offsets in floats, all aligned.
class Arena {
 public:
  size_t place(size_t count);
  void release(size_t begin);
  size_t size() const { return size_; }

 private:
  struct Span {
    size_t begin, end;
  };
  std::vector<Span> live_;  // by offset
  size_t size_ = 0;
};

}  // namespace kernelet
