#include "int8_step.h"

#include <cstring>

namespace kernelet {
namespace {

constexpr int quad = 4;

int quads_of(int n) { return (n + quad - 1) / quad; }

float as_float(const void* four_bytes) {
  float x;
  std::memcpy(&x, four_bytes, sizeof x);
  return x;
}

}  // namespace

void Int8Step::prepare(ConvArgs& a) {
  is_conv_ = true;
  ic_ = a.ic;
  ih_ = a.ih;
  iw_ = a.iw;
  kh_ = a.kh;
  kw_ = a.kw;
  outputs_ = a.oc;
  out_positions_ = static_cast<size_t>(a.ph) * a.pw;
  if (quads_ == nullptr) return;
  a.zero = group_.in.zero;
  by_rows_ = !group_.bytes_in && a.dw == 1 && ic_ * quads_of(kw_) < quads_of(ic_) * kw_;
  if (!by_rows_) {
    a.ic = quads_of(ic_);
    return;
  }
  // a window's row of kw taps is so many quads, four columns apart; whole tiles of lanes, which read past the row
  const bool tiles = width_ > 1 && a.epilogue.pool == Pool::none;
  const int outputs = tiles ? quads_of(a.ow) * quad : a.ow;
  left_ = a.pl;
  a.pl = 0;
  a.kw = quads_of(kw_);
  a.dw = quad;
  a.iw = row_quads_ = (outputs - 1) * a.sw + (a.kw - 1) * quad + 1;
}

void Int8Step::prepare(LinearArgs& a) {
  ic_ = group_.bytes_in ? group_.channels : a.in;
  iw_ = a.in / ic_;
  outputs_ = a.out;
  if (quads_ != nullptr) a.in = quads_of(ic_) * iw_;
}

RescaleArgs Int8Step::in_args() const {
  RescaleArgs s = RescaleArgs();
  s.channels = ic_;
  s.rows = ih_;
  s.columns = iw_;
  s.positions = static_cast<size_t>(ih_) * iw_ * width_;
  s.left = left_;
  s.row_quads = row_quads_;
  s.to_bytes = true;
  s.zero = group_.in.zero;
  s.low = static_cast<float>(-s.zero);
  s.high = static_cast<float>(255 - s.zero);
  return s;
}

RescaleArgs Int8Step::out_args() const {
  RescaleArgs s = RescaleArgs();
  s.channels = outputs_;
  s.positions = out_positions_ * width_;
  s.to_bytes = group_.bytes_out;
  s.per_channel = true;
  s.zero = group_.out.zero;
  s.low = static_cast<float>(-s.zero);
  s.high = static_cast<float>(255 - s.zero);
  return s;
}

std::unique_ptr<Int8Ends> Int8Step::ends(const KernelTable& kernels, size_t& scratch) const {
  std::unique_ptr<Int8Ends> ends(new Int8Ends);
  ends->in = in_args();
  ends->out = out_args();
  size_t end = 0;
  if (quads_ != nullptr) {
    if (!group_.bytes_in) {
      ends->before = by_rows_ ? quads_->row_quads_of_floats : quads_->quads_of_floats;
      const size_t width = by_rows_ ? width_ : 1;
      end =
          by_rows_ ? static_cast<size_t>(ic_) * ih_ * row_quads_ * width : quads_of(ic_) * ends->in.positions;
    }
    ends->after = group_.bytes_out ? quads_->quads_of_sums : quads_->floats_of_sums;
    ends->sums_in_place = !group_.bytes_out;
  } else {
    if (!group_.bytes_in && !group_.raw) {
      ends->before = kernels.rescale;
      end = static_cast<size_t>(ic_) * ends->in.positions;
    }
    ends->after = kernels.rescale;
    ends->sums_in_place = true;
  }
  ends->sums = AlignedFloats::round_up(end);
  ends->scratch = ends->sums;
  if (!ends->sums_in_place) {
    ends->scratch += AlignedFloats::round_up(static_cast<size_t>(outputs_) * ends->out.positions);
  }
  scratch += ends->scratch;
  return ends;
}

float Int8Step::in_scale() const {
  return group_.raw ? 1.0f : static_cast<float>(1.0 / static_cast<double>(group_.in.scale));
}

std::vector<float> Int8Step::weights() const {
  std::vector<float> all;
  const int8_t* w = group_.weights.data();
  if (quads_ == nullptr) {
    all.assign(w, w + group_.weights.size());
    return all;
  }
  // [outputs][channels][taps, or the positions of a linear layer's input]: neighbouring taps, or channels, by four
  const int taps = is_conv_ ? kh_ * kw_ : iw_;
  const int rows = by_rows_ ? ic_ * kh_ : quads_of(ic_);
  const int columns = by_rows_ ? quads_of(kw_) : taps;
  for (int o = 0; o < outputs_; ++o) {
    for (int row = 0; row < rows; ++row) {
      for (int column = 0; column < columns; ++column) {
        int8_t four[quad] = {};
        for (int j = 0; j < quad; ++j) {
          const int channel = quad * row + j, tap = quad * column + j;
          if (by_rows_ && tap < kw_) four[j] = w[row * kw_ + tap];
          if (!by_rows_ && channel < ic_) four[j] = w[channel * taps + column];
        }
        all.push_back(as_float(four));
      }
    }
    w += ic_ * taps;
  }
  return all;
}

std::vector<float> Int8Step::bias() const {
  if (quads_ == nullptr) return std::vector<float>(group_.bias.begin(), group_.bias.end());
  // bytes are summed as they are: their zero is taken off here
  std::vector<float> all;
  const size_t taps = group_.weights.size() / group_.bias.size();
  for (size_t o = 0; o < group_.bias.size(); ++o) {
    int32_t bias = group_.bias[o];
    for (size_t k = 0; k < taps; ++k) bias -= group_.in.zero * group_.weights[o * taps + k];
    all.push_back(as_float(&bias));
  }
  return all;
}

}  // namespace kernelet
