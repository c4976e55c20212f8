// Weights that lie in files.
#include "base/error.h"
#include "graph.h"

#if defined(__unix__) || defined(__APPLE__)
#include <unistd.h>

#include <cerrno>
#include <cstring>
#endif

namespace kernelet {

void Floats::read(size_t begin, size_t count, float* to) const {
#if defined(__unix__) || defined(__APPLE__)
  // More is not asked of the system at once: its limit is a little below 2^31.
  constexpr size_t most = size_t{1} << 30;
  char* at = reinterpret_cast<char*>(to);
  int64_t from = offset + static_cast<int64_t>(begin * sizeof(float));
  for (size_t left = count * sizeof(float); left > 0;) {
    const ssize_t got = ::pread(file, at, left < most ? left : most, static_cast<off_t>(from));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail("ERR_IO", {"weights cannot be read from their file: ", std::strerror(errno)});
    if (got == 0) fail("ERR_IO", {"weights cannot be read from their file: it ends before them"});
    at += got;
    from += got;
    left -= static_cast<size_t>(got);
  }
#else
  (void)begin;
  (void)count;
  (void)to;
  fail("ERR_IO", {"weights are not read from files on this system"});
#endif
}

}  // namespace kernelet
