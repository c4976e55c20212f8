// Every kernel, compiled once per ISA tier; all that leaves this object is the tier's table.
#include "conv.h"
#include "elementwise.h"
#include "linear.h"
#include "pool.h"
#include "softmax.h"

#define KERNELET_STRING(x) #x
#define KERNELET_NAME(x) KERNELET_STRING(x)

namespace kernelet {
namespace KERNELET_ISA {

const KernelTable table = {
    KERNELET_NAME(KERNELET_ISA),
    lanes,
    tile_rows,
    tile_vectors,
    F32::has_fma,
    conv_weights_size,
    conv_pack,
    conv_scratch_size,
    conv,
    linear_weights_size,
    linear_bias_size,
    linear_pack,
    linear,
    max_pool,
    avg_pool,
    activate,
    softmax,
    add,
};

}  // namespace KERNELET_ISA
}  // namespace kernelet
