// Convolutions as strings, as benchdnn writes them: mb1ic6ih12oc16oh8kh5. The grammar is that of
// lib/bench/problem.ts, which documents it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace kernelet {
namespace bench {

struct Problem {
  std::string name;
  int mb = 1, g = 1, ic = 0, ih = 0, iw = 0, oc = 0, oh = 0, ow = 0, kh = 1, kw = 1;
  int sh = 1, sw = 1, dh = 1, dw = 1, ph = 0, pw = 0, pb = 0, pr = 0;

  std::string text() const;
  // Multiply-adds of the batch, without those that would meet the padding.
  double macs() const;
};

// Throws std::invalid_argument with a sentence.
Problem parse_problem(const std::string& text);
// One a line, # begins a comment.
std::vector<Problem> read_shapes(const std::string& file);

}  // namespace bench
}  // namespace kernelet
