// An environment variable that a test changes, put back at the end.
#pragma once

#include <cstdlib>
#include <string>

namespace kernelet {
namespace test {

class Environment {
 public:
  explicit Environment(const char* name) : name_(name) {
    const char* const value = std::getenv(name);
    was_set_ = value != nullptr;
    if (was_set_) was_ = value;
  }
  ~Environment() { was_set_ ? set(was_.c_str()) : unset(); }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

#if defined(_WIN32)
  void set(const char* value) const { _putenv_s(name_, value); }
  void unset() const { _putenv_s(name_, ""); }
#else
  void set(const char* value) const { setenv(name_, value, 1); }
  void unset() const { unsetenv(name_); }
#endif

 private:
  const char* name_;
  std::string was_;
  bool was_set_;
};

}  // namespace test
}  // namespace kernelet
