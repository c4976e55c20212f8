#include "error.h"

namespace kernelet {

void Text::append_to(std::string& sentence) const {
  switch (kind_) {
    case Kind::text: sentence += text_; break;
    case Kind::integer: sentence += std::to_string(integer_); break;
    case Kind::number: sentence += std::to_string(number_); break;
  }
}

std::string sentence_of(std::initializer_list<Text> pieces) {
  std::string sentence;
  for (const Text& piece : pieces) piece.append_to(sentence);
  return sentence;
}

void fail(const char* code, std::initializer_list<Text> pieces) { throw Error(code, sentence_of(pieces)); }

}  // namespace kernelet
