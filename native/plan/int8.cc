// Pass: steps that run on bytes sum integers instead of floats.
#include "int8.h"

#include <cstring>

#include "draft.h"
#include "ops/conv.h"
#include "ops/linear.h"

namespace kernelet {
namespace {

constexpr int four = 4;  // bytes a lane

int words_of(int n) { return (n + four - 1) / four; }

float as_float(const void* four_bytes) {
  float x;
  std::memcpy(&x, four_bytes, sizeof x);
  return x;
}

}  // namespace

void Int8Layer::prepare(ConvArgs& a) {
  is_conv_ = true;
  ic_ = a.ic;
  ih_ = a.ih;
  iw_ = a.iw;
  kh_ = a.kh;
  kw_ = a.kw;
  outputs_ = a.oc;
  out_positions_ = static_cast<size_t>(a.ph) * a.pw;
  if (int8x4_ == nullptr) return;
  a.zero = group_.in.zero;
  by_rows_ = !group_.bytes_in && a.dw == 1 && ic_ * words_of(kw_) < words_of(ic_) * kw_;
  if (!by_rows_) {
    a.ic = words_of(ic_);
    return;
  }
  // a window's row of kw taps is so many int8x4, four columns apart; whole tiles of lanes, which read past the row
  const bool tiles = width_ > 1 && a.epilogue.pool == Pool::none;
  const int outputs = tiles ? words_of(a.ow) * four : a.ow;
  left_ = a.pl;
  a.pl = 0;
  a.kw = words_of(kw_);
  a.dw = four;
  a.iw = row_int8x4_ = (outputs - 1) * a.sw + (a.kw - 1) * four + 1;
}

void Int8Layer::prepare(LinearArgs& a) {
  ic_ = group_.bytes_in ? group_.channels : a.in;
  iw_ = a.in / ic_;
  outputs_ = a.out;
  if (int8x4_ != nullptr) a.in = words_of(ic_) * iw_;
}

RescaleArgs Int8Layer::in_args() const {
  RescaleArgs s = RescaleArgs();
  s.channels = ic_;
  s.rows = ih_;
  s.columns = iw_;
  s.positions = static_cast<size_t>(ih_) * iw_ * width_;
  s.left = left_;
  s.row_int8x4 = row_int8x4_;
  s.to_bytes = true;
  s.zero = group_.in.zero;
  s.low = static_cast<float>(-s.zero);
  s.high = static_cast<float>(255 - s.zero);
  return s;
}

RescaleArgs Int8Layer::out_args() const {
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

std::unique_ptr<Requantization> Int8Layer::requantization(const KernelTable& kernels) const {
  std::unique_ptr<Requantization> r(new Requantization);
  r->in = in_args();
  r->out = out_args();
  size_t end = 0;
  if (int8x4_ != nullptr) {
    if (!group_.bytes_in) {
      r->before = by_rows_ ? int8x4_->int8x4_rows_of_floats : int8x4_->int8x4_of_floats;
      const size_t width = by_rows_ ? width_ : 1;
      end = by_rows_ ? static_cast<size_t>(ic_) * ih_ * row_int8x4_ * width : words_of(ic_) * r->in.positions;
    }
    r->after = group_.bytes_out ? int8x4_->int8x4_of_sums : int8x4_->floats_of_sums;
    r->sums_in_place = !group_.bytes_out;
  } else {
    if (!group_.bytes_in && !group_.raw) {
      r->before = kernels.rescale;
      end = static_cast<size_t>(ic_) * r->in.positions;
    }
    r->after = kernels.rescale;
    r->sums_in_place = true;
  }
  r->sums = AlignedFloats::round_up(end);
  r->scratch = r->sums;
  if (!r->sums_in_place) {
    r->scratch += AlignedFloats::round_up(static_cast<size_t>(outputs_) * r->out.positions);
  }
  return r;
}

float Int8Layer::in_scale() const {
  return group_.raw ? 1.0f : static_cast<float>(1.0 / static_cast<double>(group_.in.scale));
}

std::vector<float> Int8Layer::weights() const {
  std::vector<float> all;
  const int8_t* w = group_.weights.data();
  if (int8x4_ == nullptr) {
    all.assign(w, w + group_.weights.size());
    return all;
  }
  // [outputs][channels][taps, or the positions of a linear layer's input]: neighbouring taps, or channels, by four
  const int taps = is_conv_ ? kh_ * kw_ : iw_;
  const int rows = by_rows_ ? ic_ * kh_ : words_of(ic_);
  const int columns = by_rows_ ? words_of(kw_) : taps;
  for (int o = 0; o < outputs_; ++o) {
    for (int row = 0; row < rows; ++row) {
      for (int column = 0; column < columns; ++column) {
        int8_t bytes[four] = {};
        for (int j = 0; j < four; ++j) {
          const int channel = four * row + j, tap = four * column + j;
          if (by_rows_ && tap < kw_) bytes[j] = w[row * kw_ + tap];
          if (!by_rows_ && channel < ic_) bytes[j] = w[channel * taps + column];
        }
        all.push_back(as_float(bytes));
      }
    }
    w += ic_ * taps;
  }
  return all;
}

std::vector<float> Int8Layer::bias() const {
  if (int8x4_ == nullptr) return std::vector<float>(group_.bias.begin(), group_.bias.end());
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

void lower_to_int8(Draft& draft) {
  for (DraftStep& step : draft.steps) {
    if (step.quantized == nullptr) continue;
    std::unique_ptr<Int8Layer> int8(new Int8Layer(
        *step.quantized, draft.int8x4, draft.is_batched() ? static_cast<size_t>(draft.kernels->lanes) : 1));
    if (ConvStep* const conv = step.conv()) int8->prepare(conv->args);
    if (LinearStep* const layer = step.linear()) int8->prepare(layer->args);
    step.weighted()->requantization = int8->requantization(*draft.kernels);
    step.int8 = std::move(int8);
  }
}

}  // namespace kernelet
