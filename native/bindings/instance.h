// What the addon keeps for each environment (the main thread, each worker): no state is shared between them.
#pragma once

#include <napi.h>

namespace kernelet {
namespace bindings {

struct Instance {
  napi_ref error_class = nullptr;  // KerneletError; freed with the environment
  Napi::FunctionReference plan_class, trainer_class;
};

}  // namespace bindings
}  // namespace kernelet
