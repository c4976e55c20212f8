#include "measure.h"

#include <string>

#include "base/thread_pool.h"
#include "convert.h"
#include "errors.h"
#include "kernels/isa.h"
#include "kernels/roof.h"

namespace kernelet {
namespace bindings {
namespace {

const KernelTable& kernels_of(const Napi::Value& isa) {
  if (!isa.IsString()) fail("ERR_ARGUMENT", {"isa: expected a string"});
  return *choose_isa(isa.As<Napi::String>().Utf8Value()).table;
}

}  // namespace

Napi::Value measure_peak(const Napi::CallbackInfo& info) {
  return translating_errors(info.Env(), [&]() -> Napi::Value {
    const KernelTable& kernels = kernels_of(info[0]);
    const int threads = static_cast<int>(integer_of(info[1], "threads", 1, max_threads));
    return Napi::Number::New(info.Env(), measure_muladds(kernels, threads));
  });
}

Napi::Value measure_bandwidth(const Napi::CallbackInfo& info) {
  return translating_errors(info.Env(), [&]() -> Napi::Value {
    const KernelTable& kernels = kernels_of(info[0]);
    const int64_t bytes = integer_of(info[1], "bytes", 4096, int64_t{1} << 31);
    return Napi::Number::New(info.Env(), measure_reads(kernels, static_cast<size_t>(bytes)));
  });
}

}  // namespace bindings
}  // namespace kernelet
