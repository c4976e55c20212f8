// Pass, post-training quantisation: which steps run on bytes, and with which integers. All of it is decided here, from
// the graph and the ranges its values had in calibration, so that every tier sums the same integers.
//
//   value  ~ (byte - zero) * scale             bytes of 0 ... 255, one scale a value
//   weight ~ integer * scale of its output     -127 ... 127, symmetric, one scale an output
//   sum    = bias + sum of (byte - zero) * weight, in units of value scale * weight scale
//   output = sum * scale, a float; or its byte, cut to 0 ... 255 and rounded to the nearest, ties to even
//
// After Jacob et al., Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
// Inference, 2018; the scale between sum and byte is a float here.
#pragma once

#include <cstdint>
#include <vector>

#include "fuse.h"
#include "plan.h"

namespace kernelet {

struct QuantizedGroup {
  bool runs = false;       // on bytes; else as ever
  bool bytes_in = false;   // its input lies there as bytes, else they are made of floats
  bool bytes_out = false;  // all that read its output want bytes
  Quantization in, out;
  // As the node's: [oc][ic][kh][kw] or [out][in]; [oc]. |bias| + 255 * sum of |weight| stays below 2^24.
  std::vector<int8_t> weights;
  std::vector<int32_t> bias;
  std::vector<float> scale;  // [oc], from sums to floats or bytes
  bool raw = false;          // its input is the caller's bytes
  int32_t channels = 0;      // bytes_in: of the value as what made it left it
};

struct QuantizedGraph {
  std::vector<QuantizedGroup> groups;  // one for each of the graph's
  // The input is bytes (PlanOptions::byte_input), and what reads them runs on them as they are.
  bool byte_input = false;
  int32_t zero_of_input = 0;
};

// Throws ERR_ARGUMENT unless there are two ranges, least and largest, for each node.
QuantizedGraph quantize(const Graph& graph, const std::vector<Group>& groups, const PlanOptions& options);

}  // namespace kernelet
