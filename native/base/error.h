// The core's one exception: a code that the facade knows, and a sentence.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <type_traits>

namespace kernelet {

class Error : public std::runtime_error {
 public:
  Error(const char* code, const std::string& message) : std::runtime_error(message), code_(code) {}
  const char* code() const { return code_; }

 private:
  const char* code_;  // a string literal: ERR_SHAPE, ERR_ARGUMENT, …
};

// A piece of a sentence; it refers to its text, which outlives the call it is an argument of.
class Text {
 public:
  Text(const char* text) : text_(text), kind_(Kind::text) {}
  Text(const std::string& text) : text_(text.c_str()), kind_(Kind::text) {}
  template <class Integer, class = std::enable_if_t<std::is_integral_v<Integer>>>
  Text(Integer n) : integer_(static_cast<int64_t>(n)), kind_(Kind::integer) {}
  Text(double x) : number_(x), kind_(Kind::number) {}

  void append_to(std::string& sentence) const;

 private:
  enum class Kind { text, integer, number };
  union {
    const char* text_;
    int64_t integer_;
    double number_;
  };
  Kind kind_;
};

std::string sentence_of(std::initializer_list<Text> pieces);

// Throws an Error. Out of line: put together where they are thrown, the sentences cost fourteen kilobytes.
[[noreturn]] void fail(const char* code, std::initializer_list<Text> pieces);

}  // namespace kernelet
