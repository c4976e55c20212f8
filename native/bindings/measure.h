// What benchmarks ask of the addon: the roof of this machine.
#pragma once

#include <napi.h>

namespace kernelet {
namespace bindings {

// Arguments: isa, threads. GFLOP/s.
Napi::Value measure_peak(const Napi::CallbackInfo& info);
// Arguments: isa, bytes. GB/s.
Napi::Value measure_bandwidth(const Napi::CallbackInfo& info);

}  // namespace bindings
}  // namespace kernelet
