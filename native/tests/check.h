// The tests' own harness: suites that run once per ISA tier (or once for the core), cases named by their
// problem. A case (tier, suite and problem) passes where it makes a check at least and none of its checks fails; what is
// counted are cases.
//
//   kernelet_tests [WORD…]     runs the cases whose line "tier suite problem" has every word in it:
//                              a FAIL line names tier, suite and problem, which run that case alone
#pragma once

#include <string>

#include "kernels/table.h"

namespace kernelet {
namespace test {

#if defined(__MINGW32__)  // whose libstdc++ takes a printf of its own, as C99 has it, and not Windows'
#define KERNELET_PRINTF(text, first) __attribute__((format(gnu_printf, text, first)))
#elif defined(__GNUC__)
#define KERNELET_PRINTF(text, first) __attribute__((format(printf, text, first)))
#else
#define KERNELET_PRINTF(text, first)
#endif

// Starts a case; false where the command line did not ask for it. Its data must depend on its name alone
// (Random below takes it as a seed), so that the case alone is the case among all.
bool begin(const std::string& problem);
// One check of the current case; prints it where it failed. Main thread only.
bool check(bool ok, const char* what, ...) KERNELET_PRINTF(2, 3);
// A line of figures, after the suite's name.
void note(const char* format, ...) KERNELET_PRINTF(1, 2);

struct Suite {
  Suite(const char* name, void (*per_tier)(const KernelTable&), void (*once)());
  const char* name;
  void (*per_tier)(const KernelTable&);
  void (*once)();
};

// PER_TIER(pool) { … uses t, the tier's table … }      ONCE(graph) { … }
#define PER_TIER(name)                                                \
  static void name##_suite(const KernelTable&);                       \
  static const Suite name##_registered(#name, name##_suite, nullptr); \
  static void name##_suite([[maybe_unused]] const KernelTable& t)
#define ONCE(name)                                                    \
  static void name##_suite();                                         \
  static const Suite name##_registered(#name, nullptr, name##_suite); \
  static void name##_suite()

// Is this program slowed down (a sanitizer)? The longest loops are cut then.
extern const bool slow;

}  // namespace test
}  // namespace kernelet
