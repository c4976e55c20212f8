// Int8 steps of the avx512 tier where the CPU has VNNI: the kernels of floats over int8x4 (vec/vnni.h). Elsewhere
// the same integers come out of the float kernels themselves, see rescale.h.
#include "kernels/table.h"

#if defined(KERNELET_ISA_AVX512) && !defined(KERNELET_EMULATE_AVX512)
#undef KERNELET_ISA
#define KERNELET_ISA avx512_vnni
#define KERNELET_VEC vnni
#define KERNELET_VNNI 1

#if defined(__GNUC__)
#pragma GCC diagnostic ignored "-Wunused-function"
#endif

#include "kernels/batched.h"
#include "kernels/conv/direct_channels.h"
#include "kernels/conv/direct_pixels.h"
#include "kernels/int8/int8x4.h"
#include "kernels/linear.h"

namespace kernelet {
namespace avx512 {
extern const Int8Kernels int8_kernels;
const Int8Kernels int8_kernels = {
    {"int8-direct-pixels", avx512_vnni::direct_pixels::fits, avx512_vnni::direct_pixels::weights_size,
     avx512_vnni::direct_pixels::pack, avx512_vnni::direct_pixels::scratch_size,
     avx512_vnni::direct_pixels::run, avx512_vnni::direct_pixels::most_channels,
     avx512_vnni::direct_pixels::most_rows* avx512_vnni::lanes, nullptr, nullptr, nullptr, nullptr},
    {"int8-direct-channels", avx512_vnni::direct_channels::fits, avx512_vnni::direct_channels::weights_size,
     avx512_vnni::direct_channels::pack, avx512_vnni::direct_channels::scratch_size,
     avx512_vnni::direct_channels::run, avx512_vnni::direct_channels::most_pixels_of_two,
     avx512_vnni::direct_channels::width, nullptr, nullptr, nullptr, nullptr},
    {"int8-gemm", avx512_vnni::linear_weights_size, avx512_vnni::linear_bias_size, avx512_vnni::linear_pack,
     avx512_vnni::linear, 1, avx512_vnni::row_registers* avx512_vnni::lanes, nullptr, nullptr, nullptr,
     nullptr, nullptr},
    {"int8-lanes", avx512_vnni::batched::conv_fits, avx512_vnni::batched::conv_weights_size,
     avx512_vnni::batched::conv_pack, avx512_vnni::batched::conv_scratch_size, avx512_vnni::batched::conv,
     avx512_vnni::tile_rows, avx512_vnni::tile_width, nullptr, nullptr, nullptr, nullptr},
    {"int8-lanes", avx512_vnni::batched::linear_weights_size, avx512_vnni::batched::linear_bias_size,
     avx512_vnni::batched::linear_pack, avx512_vnni::batched::linear, avx512_vnni::batched::most_outputs,
     avx512_vnni::lanes, nullptr, nullptr, nullptr, nullptr, nullptr},
    avx512_vnni::int8x4::pack<false>,
    avx512_vnni::int8x4::pack_rows,
    avx512_vnni::int8x4::pack<true>,
    avx512_vnni::int8x4::to_floats,
};
}  // namespace avx512
}  // namespace kernelet

#endif
