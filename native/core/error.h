// The core's one exception: a code that the facade knows, and a sentence.
#pragma once

#include <stdexcept>
#include <string>

namespace kernelet {

class Error : public std::runtime_error {
 public:
  Error(const char* code, const std::string& message) : std::runtime_error(message), code_(code) {}
  const char* code() const { return code_; }

 private:
  const char* code_;  // a string literal: ERR_SHAPE, ERR_ARGUMENT, …
};

}  // namespace kernelet
