// What the core knows of the kernels: plain arguments, shapes first, and one complete table of function
// pointers per ISA tier. No STL and no inline functions here: this header is compiled under every ISA's flags.
//
// Letters as in oneDNN: n image, ic/oc channels in/out, ih iw / oh ow planes, kh kw window, sh sw stride,
// dh dw dilation (1 = dense), pt pl padding at the top and left (bottom and right follow from oh, ow).
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace kernelet {

enum class Activation : int32_t { none, relu, tanh, sigmoid };
enum class Pool : int32_t { none, max, average };

// What happens to a sum before it is stored: before(sum + bias), reduced over 2x2 windows, then after(…).
// All zero is "nothing". (No initialisers here: they would make a weak constructor under each ISA's flags.)
struct Epilogue {
  Activation before;
  Pool pool;
  Activation after;
};

// src [ic][ih][iw] -> dst [oc][ph][pw], where ph pw = oh ow, or oh/2 ow/2 when a 2x2 pool is fused.
struct ConvArgs {
  int32_t ic, ih, iw, oc, oh, ow, kh, kw;
  int32_t sh, sw, dh, dw, pt, pl, groups;
  int32_t ph, pw;
  Epilogue epilogue;
  const float* weights;  // packed by pack_conv
  const float* bias;     // [oc], zeros where the layer has none
};

// src [rows][in] -> dst [rows][out], one row per image unless the input has further dimensions.
struct LinearArgs {
  int32_t rows, in, out;
  Activation activation;
  const float* weights;  // packed by pack_linear
  const float* bias;     // packed likewise: zeros beyond `out` up to the panel's width
};

// src [c][ih][iw] -> dst [c][oh][ow]
struct PoolArgs {
  int32_t c, ih, iw, oh, ow, kh, kw, sh, sw, dh, dw, pt, pl, pb, pr;
  bool count_include_pad;
};

// softmax over the middle of [outer][n][inner]
struct SoftmaxArgs {
  int32_t outer, n, inner;
  bool log;
};

struct KernelTable {
  const char* isa;
  int32_t lanes;
  // Register tile of the GEMM: rows x (vectors * lanes).
  int32_t tile_rows, tile_vectors;
  bool has_fma;

  // im2col + packed GEMM. Floats of packed weights; of scratch a call needs.
  size_t (*conv_weights_size)(const ConvArgs&);
  void (*conv_pack)(const ConvArgs&, const float* weight_oihw, float* packed);
  size_t (*conv_scratch_size)(const ConvArgs&);
  void (*conv)(const ConvArgs&, const float* src, float* dst, float* scratch);

  size_t (*linear_weights_size)(const LinearArgs&);
  size_t (*linear_bias_size)(const LinearArgs&);
  void (*linear_pack)(const LinearArgs&, const float* weight_oi, float* packed);
  void (*linear)(const LinearArgs&, const float* src, float* dst);

  void (*max_pool)(const PoolArgs&, const float* src, float* dst);
  void (*avg_pool)(const PoolArgs&, const float* src, float* dst);
  void (*activate)(Activation, size_t n, const float* src, float* dst);  // src may be dst
  void (*softmax)(const SoftmaxArgs&, const float* src, float* dst);
  void (*add)(size_t n, const float* a, const float* b, float* dst);
};

// One per tier compiled into this binary.
#if defined(_MSC_VER)
#define KERNELET_HIDDEN
#else
#define KERNELET_HIDDEN __attribute__((visibility("hidden")))
#endif
namespace scalar {
extern KERNELET_HIDDEN const KernelTable table;
}
namespace sse {
extern KERNELET_HIDDEN const KernelTable table;
}
namespace avx2 {
extern KERNELET_HIDDEN const KernelTable table;
}
namespace avx512 {
extern KERNELET_HIDDEN const KernelTable table;
}
namespace neon {
extern KERNELET_HIDDEN const KernelTable table;
}

}  // namespace kernelet
