#include "problem.h"

#include <algorithm>
#include <cctype>
#include <fstream>
#include <map>
#include <stdexcept>

namespace kernelet {
namespace bench {
namespace {

const char* const letters[] = {"mb", "g",  "ic", "ih", "iw", "oc", "oh", "ow",
                               "kh", "kw", "sh", "sw", "dh", "dw", "ph", "pw"};

[[noreturn]] void wrong(const std::string& text, const std::string& reason) {
  throw std::invalid_argument("problem '" + text + "': " + reason);
}

using Sizes = std::map<std::string, int>;

// One direction of the window, `own` h or w; the other one fills in what is not given.
struct Side {
  int i, o, k, s, d, before, after;
};

Side side_of(const Sizes& given, char own, const std::string& text) {
  const auto find = [&](char letter, int otherwise) {
    for (char direction : {own, own == 'h' ? 'w' : 'h'}) {
      const auto at = given.find(std::string{letter, direction});
      if (at != given.end()) return at->second;
    }
    return otherwise;
  };
  Side side = {find('i', 0), find('o', 0), find('k', 1), find('s', 1), find('d', 1), find('p', -1), 0};
  const int extent = (side.k - 1) * side.d + 1, padding = std::max(side.before, 0);
  if (side.i == 0 && side.o == 0) wrong(text, std::string("i") + own + " or o" + own + " is missing");
  if (side.i == 0) side.i = (side.o - 1) * side.s + extent - 2 * padding;
  if (side.o == 0 && side.i + 2 * padding >= extent) side.o = (side.i + 2 * padding - extent) / side.s + 1;
  if (side.i < 1 || side.o < 1) wrong(text, "the window does not fit");
  const int needed = (side.o - 1) * side.s + extent - side.i;
  if (side.before < 0) side.before = std::max(0, needed / 2);
  side.after = std::max(0, needed - side.before);
  const bool whole = side.before >= extent || side.after >= extent;
  if (whole || (side.i + side.before + side.after - extent) / side.s + 1 != side.o) {
    wrong(text, std::string("o") + own + std::to_string(side.o) + " does not fit the input");
  }
  return side;
}

double taps(int i, int o, int k, int s, int d, int before) {
  double count = 0;
  for (int y = 0; y < o; ++y) {
    for (int t = 0; t < k; ++t) {
      const int at = y * s + t * d - before;
      if (at >= 0 && at < i) ++count;
    }
  }
  return count;
}

}  // namespace

Problem parse_problem(const std::string& text) {
  Sizes given;
  Problem p;
  for (size_t at = 0; at < text.size();) {
    if (text[at] == '_') ++at;
    if (text.compare(at, 2, "n\"") == 0) {
      const size_t end = text.find('"', at + 2);
      if (end == std::string::npos) wrong(text, "a name without its second quote");
      p.name = text.substr(at + 2, end - at - 2);
      at = end + 1;
      continue;
    }
    size_t digits = at;
    while (digits < text.size() && std::islower(static_cast<unsigned char>(text[digits]))) ++digits;
    size_t end = digits;
    while (end < text.size() && std::isdigit(static_cast<unsigned char>(text[end]))) ++end;
    const std::string letter = text.substr(at, digits - at);
    const bool known = std::find(std::begin(letters), std::end(letters), letter) != std::end(letters);
    if (!known || end == digits || end - digits > 7)
      wrong(text, "expected letters and a number at '" + text.substr(at) + "'");
    const int value = std::stoi(text.substr(digits, end - digits));
    if (value > 1 << 20 || (value == 0 && letter[0] != 'p')) wrong(text, letter + " is out of range");
    if (!given.emplace(letter, value).second) wrong(text, letter + " is given twice");
    at = end;
  }
  const auto get = [&](const char* letter, int otherwise) {
    const auto at = given.find(letter);
    return at == given.end() ? otherwise : at->second;
  };
  p.mb = get("mb", 1);
  p.g = get("g", 1);
  p.ic = get("ic", 0);
  p.oc = get("oc", 0);
  if (p.ic == 0 || p.oc == 0) wrong(text, "ic or oc is missing");
  if (p.ic % p.g != 0 || p.oc % p.g != 0) wrong(text, "ic and oc must be multiples of g");
  const Side h = side_of(given, 'h', text), w = side_of(given, 'w', text);
  p.ih = h.i, p.oh = h.o, p.kh = h.k, p.sh = h.s, p.dh = h.d, p.ph = h.before, p.pb = h.after;
  p.iw = w.i, p.ow = w.o, p.kw = w.k, p.sw = w.s, p.dw = w.d, p.pw = w.before, p.pr = w.after;
  return p;
}

std::vector<Problem> read_shapes(const std::string& file) {
  std::ifstream stream(file);
  if (!stream) throw std::invalid_argument(file + " cannot be read");
  std::vector<Problem> problems;
  for (std::string line; std::getline(stream, line);) {
    line.resize(std::min(line.size(), line.find('#')));
    while (!line.empty() && std::isspace(static_cast<unsigned char>(line.back()))) line.pop_back();
    if (!line.empty()) problems.push_back(parse_problem(line));
  }
  return problems;
}

std::string Problem::text() const {
  const auto n = [](const char* letter, int value) { return letter + std::to_string(value); };
  std::string s = n("mb", mb) + (g > 1 ? n("g", g) : "");
  s += n("ic", ic) + n("ih", ih) + n("iw", iw) + n("oc", oc) + n("oh", oh) + n("ow", ow) + n("kh", kh) +
       n("kw", kw);
  if (sh != 1 || sw != 1) s += n("sh", sh) + n("sw", sw);
  if (dh != 1 || dw != 1) s += n("dh", dh) + n("dw", dw);
  if (ph != 0 || pw != 0 || pb > 1 || pr > 1) s += n("ph", ph) + n("pw", pw);
  return s;
}

double Problem::macs() const {
  return double{1} * mb * oc * (ic / g) * taps(ih, oh, kh, sh, dh, ph) * taps(iw, ow, kw, sw, dw, pw);
}

}  // namespace bench
}  // namespace kernelet
