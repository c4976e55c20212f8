// kernelet_tests WORD…             the cases whose line "tier suite problem" has every word
// kernelet_tests --tier avx2 WORD… those of one tier; "core" is what belongs to none
// kernelet_tests --tiers           the tiers of this machine, a line each
#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <set>
#include <string>
#include <vector>

#include "check.h"
#include "kernels/isa.h"
#if defined(_WIN32)
#include <io.h>
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#else
#include <unistd.h>
#endif

namespace kernelet {
namespace test {
namespace {

struct Count {
  long passed = 0, failed = 0;  // cases
  long checks = 0;
};

std::vector<const Suite*>& suites() {
  static std::vector<const Suite*> all;
  return all;
}

constexpr int most_printed = 12;  // failures per tier and suite
std::vector<std::string> words;
std::string tier, suite;
Count count;        // of the tier
long suite_failed;  // checks of the suite
char current[512];  // "tier suite problem", where a signal handler can read it
// The case being run: it has passed where it made a check at least, and none failed.
std::set<std::string> cases, failed_cases;  // of the tier
bool is_new_case = true;                    // no check yet

void say(const char* text) {
#if defined(_WIN32)
  if (_write(1, text, static_cast<unsigned>(std::strlen(text))) < 0) _exit(1);
#else
  if (write(1, text, std::strlen(text)) < 0) _exit(1);
#endif
}

// An access beyond a guarded buffer, most likely: name the case, which alone will do it again.
void die(bool out_of_bounds) {
  say("FAIL ");
  say(current);
  say(out_of_bounds ? ": reads or writes out of bounds\n" : ": died of a signal\n");
  say("the tests ended here\n0 passed, 1 failed\n");
  _exit(1);
}

#if defined(_WIN32)
LONG WINAPI on_exception(EXCEPTION_POINTERS* exception) {
  die(exception->ExceptionRecord->ExceptionCode == EXCEPTION_ACCESS_VIOLATION);
  return EXCEPTION_CONTINUE_SEARCH;
}
#else
void on_signal(int number) { die(number == SIGSEGV || number == SIGBUS); }
#endif

void run(const Suite& s, const KernelTable* table) {
  suite = s.name;
  suite_failed = 0;
  std::snprintf(current, sizeof current, "%s %s", tier.c_str(), suite.c_str());
  is_new_case = true;
  if (table != nullptr) s.per_tier(*table);
  else s.once();
  if (suite_failed > most_printed)
    std::printf("     %s %s: %ld failed in all\n", tier.c_str(), suite.c_str(), suite_failed);
}

Count run_tier(const std::string& name, const KernelTable* table) {
  const auto start = std::chrono::steady_clock::now();
  tier = name;
  count = Count();
  cases.clear();
  failed_cases.clear();
  for (const Suite* s : suites()) {
    if ((s->per_tier != nullptr) == (table != nullptr)) run(*s, table);
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  count.failed = static_cast<long>(failed_cases.size());
  count.passed = static_cast<long>(cases.size()) - count.failed;
  std::printf("%s: %ld passed, %ld failed (%ld checks, %.1f s)\n", name.c_str(), count.passed, count.failed,
              count.checks, seconds);
  std::fflush(stdout);
  return count;
}

}  // namespace

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
const bool slow = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
const bool slow = true;
#else
const bool slow = false;
#endif
#else
const bool slow = false;
#endif

Suite::Suite(const char* n, void (*p)(const KernelTable&), void (*o)()) : name(n), per_tier(p), once(o) {
  suites().push_back(this);
}

bool begin(const std::string& problem) {
  is_new_case = true;
  std::snprintf(current, sizeof current, "%s %s %s", tier.c_str(), suite.c_str(), problem.c_str());
  for (const std::string& word : words) {
    if (std::strstr(current, word.c_str()) == nullptr) return false;
  }
  return true;
}

bool check(bool ok, const char* what, ...) {
  ++count.checks;
  if (is_new_case) {
    cases.insert(current);
    is_new_case = false;
  }
  if (ok) return true;
  failed_cases.insert(current);
  if (++suite_failed > most_printed) return false;
  std::printf("FAIL %s: ", current);
  va_list arguments;
  va_start(arguments, what);
  std::vprintf(what, arguments);
  va_end(arguments);
  std::printf("\n");
  return false;
}

void note(const char* format, ...) {
  std::printf("     %s %s: ", tier.c_str(), suite.c_str());
  va_list arguments;
  va_start(arguments, format);
  std::vprintf(format, arguments);
  va_end(arguments);
  std::printf("\n");
}

int run_all(int argc, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF, 1 << 16);  // a signal handler writes behind it
  words.assign(argv + 1, argv + argc);
  std::vector<std::string> tiers = supported_isas();
  tiers.push_back("core");
  if (words.size() == 1 && words[0] == "--tiers") {
    for (const std::string& one : tiers) std::printf("%s\n", one.c_str());
    return 0;
  }
  if (words.size() > 1 && words[0] == "--tier") {
    const std::string only = words[1];
    if (std::find(tiers.begin(), tiers.end(), only) == tiers.end()) {
      std::printf("no tier %s on this machine\n0 passed, 1 failed\n", only.c_str());
      return 2;
    }
    tiers = {only};
    words.erase(words.begin(), words.begin() + 2);
  }
#if defined(_WIN32)
  SetUnhandledExceptionFilter(on_exception);
#else
  for (int number : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT}) std::signal(number, on_signal);
#endif
  Count total;
  const auto add = [&](Count c) {
    total.passed += c.passed;
    total.failed += c.failed;
    total.checks += c.checks;
  };
  for (const std::string& one : tiers) add(run_tier(one, one == "core" ? nullptr : choose_isa(one).table));
  if (total.passed + total.failed == 0) std::printf("no case has these words in it\n");
  std::printf("%ld passed, %ld failed\n", total.passed, total.failed);
  return total.failed == 0 && total.passed > 0 ? 0 : 1;
}

}  // namespace test
}  // namespace kernelet

int main(int argc, char** argv) { return kernelet::test::run_all(argc, argv); }
