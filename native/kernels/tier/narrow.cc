// Half-width kernels of the avx512 tier: registers of 256 bits, but all 32 of them. Rows of 8 or 24 pixels fill
// them where they would leave a third or half of a full register empty; Zen 4 runs both widths at one speed.
#include "kernels/table.h"

#if defined(KERNELET_ISA_AVX512)
#undef KERNELET_ISA
#define KERNELET_ISA avx512_narrow
#define KERNELET_VEC avx2
#define KERNELET_NARROW 1

#include "kernels/conv/direct_pixels.h"

namespace kernelet {
namespace avx512 {
extern const ConvAlgorithm narrow_pixels;
const ConvAlgorithm narrow_pixels = {
    "direct-pixels",
    avx512_narrow::direct_pixels::fits,
    avx512_narrow::direct_pixels::weights_size,
    avx512_narrow::direct_pixels::pack,
    avx512_narrow::direct_pixels::scratch_size,
    avx512_narrow::direct_pixels::run,
    avx512_narrow::direct_pixels::most_channels,
    avx512_narrow::direct_pixels::most_rows* avx512_narrow::lanes,
    avx512_narrow::direct_pixels::complete,
    nullptr,
    nullptr,
    nullptr,
};
}  // namespace avx512
}  // namespace kernelet
#endif
