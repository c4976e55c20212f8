// Lets a binary built on a current Linux run on an older one.
//
// The prebuilt binaries promise glibc 2.28 and the libstdc++ of GCC 8 (RHEL 8), but the headers of a newer
// GCC and glibc refer to three symbols that came later. They are defined here instead, and exports.map keeps
// the definitions inside kernelet.node, so nobody else's are replaced. scripts/check-binary.mjs fails the build
// when a further one appears: define it here too, or do without it, as without std::make_shared, which asks for
// GLIBCXX_3.4.26 where there is no run-time type information.
#if defined(__linux__)
#include <new>

#if defined(__GLIBC__) && __has_include(<sys/single_threaded.h>)
// glibc 2.32: std::shared_ptr skips the atomic instruction while the process has one thread. Ours never skips.
extern "C" char __libc_single_threaded;
char __libc_single_threaded = 0;
#endif

#if defined(__GLIBCXX__) && defined(_GLIBCXX_RELEASE)
#include <condition_variable>
#include <mutex>

namespace std {

#if _GLIBCXX_RELEASE >= 11
// GLIBCXX_3.4.29: what std::vector throws for an absurd size.
void __throw_bad_array_new_length() { throw bad_array_new_length(); }
#endif

#if _GLIBCXX_RELEASE >= 12
// GLIBCXX_3.4.30, the same function as 3.4.11 under a new version.
void condition_variable::wait(unique_lock<mutex>& lock) { _M_cond.wait(*lock.mutex()); }
#endif

}  // namespace std
#endif
#endif
