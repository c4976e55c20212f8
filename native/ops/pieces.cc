// Convolutions whose sums are cut into pieces. What one chain of n products errs by grows with n.
#include "pieces.h"

#include <algorithm>
#include <cstring>

#include "base/aligned.h"

namespace kernelet {
namespace {

// A sum of more than `long_sum` products is cut between input channels, as evenly as can be, into the fewest pieces of whole
// sixteens of them (as blocks want it) with at most so many products, or one sixteen. (Tiles of blocks read the weights of a
// piece from the nearest cache.)
constexpr int64_t most_products = 576, unit = 16;

// One piece of one group, the weights of which follow those of the group before.
ConvArgs piece_args(const ConvArgs& a) {
  ConvArgs one = a;
  one.groups = 1;
  one.oc = a.oc / a.groups;
  one.ic = one.whole_ic = a.ic / a.groups;
  one.piece = 0;
  one.epilogue = Epilogue();
  return one;
}

size_t outputs_of(const ConvArgs& one, size_t width) {
  return static_cast<size_t>(one.oc) * static_cast<size_t>(one.ph) * static_cast<size_t>(one.pw) * width;
}

// Floats from the weights of a group to the next one's; behind the last ones there may be more.
size_t group_weights(const ConvAlgorithm& algorithm, const ConvArgs& a) {
  if (a.groups == 1) return 0;
  ConvArgs fewer = a;
  fewer.groups -= 1;
  fewer.ic -= a.ic / a.groups;
  fewer.oc -= a.oc / a.groups;
  return algorithm.weights_size(a) - algorithm.weights_size(fewer);
}

}  // namespace

int32_t piece_of(int64_t channels, int64_t taps) {
  const int64_t units = (channels + unit - 1) / unit,
                most = std::max(most_products / unit / taps, int64_t{1});
  if (channels * taps <= long_sum || units <= most) return 0;
  const int64_t pieces = (units + most - 1) / most;
  return static_cast<int32_t>((units + pieces - 1) / pieces * unit);
}

// [biases of zero][sums of a piece][scratch of the kernel]
size_t scratch_in_pieces(const ConvAlgorithm& algorithm, const ConvArgs& a, size_t width) {
  ConvArgs one = piece_args(a);
  one.ic = a.piece;
  return AlignedFloats::round_up(static_cast<size_t>(one.oc)) +
         AlignedFloats::round_up(outputs_of(one, width)) + algorithm.scratch_size(one);
}

void run_in_pieces(const KernelTable& kernels, const ConvAlgorithm& algorithm, const ConvArgs& a,
                   size_t width, const float* src, float* dst, float* scratch) {
  ConvArgs one = piece_args(a);
  const size_t outputs = outputs_of(one, width);
  const size_t plane = static_cast<size_t>(a.ih) * static_cast<size_t>(a.iw) * width;
  std::memset(scratch, 0, sizeof(float) * static_cast<size_t>(one.oc));
  one.bias = scratch;
  float* const sums = scratch + AlignedFloats::round_up(static_cast<size_t>(one.oc));
  float* const rest = sums + AlignedFloats::round_up(outputs);
  const size_t weights = group_weights(algorithm, a);
  float* to = dst;
  for (int g = 0; g < a.groups; ++g, to += outputs) {
    one.weights = a.weights + static_cast<size_t>(g) * weights;
    for (one.from_ic = 0; one.from_ic < one.whole_ic; one.from_ic += a.piece) {
      one.ic = std::min(a.piece, one.whole_ic - one.from_ic);
      const bool first = one.from_ic == 0;
      algorithm.run(one, src, first ? to : sums, rest);
      if (!first) kernels.add(outputs, to, sums, to);
      src += static_cast<size_t>(one.ic) * plane;
    }
  }
  BinaryArgs finish = BinaryArgs();
  finish.f = Binary::add;
  finish.after = a.epilogue.after;
  finish.rank = 2;
  finish.dims[0] = static_cast<size_t>(a.oc);
  finish.dims[1] = finish.a[0] = outputs / static_cast<size_t>(one.oc);
  finish.a[1] = finish.b[0] = 1;
  finish.b[1] = 0;
  kernels.binary(finish, dst, a.bias, a.bias, dst);
}

}  // namespace kernelet
