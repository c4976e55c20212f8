// JavaScript values to the core's types. Everything is checked here or in the core: a wrong type is a
// KerneletError, never undefined behaviour.
#pragma once

#include <napi.h>

#include "graph/graph.h"
#include "plan/plan.h"

namespace kernelet {
namespace bindings {

// The floats of a Float32Array; throws ERR_ARGUMENT for anything else. `what` names it in the sentence.
Floats floats_of(const Napi::Value& value, const char* what);
// The same, writable.
float* writable_floats_of(const Napi::Value& value, const char* what, size_t& length);

// The bytes of a Uint8Array (a Buffer is one) or Uint8ClampedArray.
const uint8_t* bytes_of(const Napi::Value& value, const char* what, size_t& length);

Shape shape_of(const Napi::Value& value, const char* what);
Node node_of(const Napi::Value& value);
Graph graph_of(const Napi::Value& value);
PlanOptions options_of(const Napi::Value& value);
// An integer in [low, high].
int64_t integer_of(const Napi::Value& value, const char* what, int64_t low, int64_t high);

Napi::Array shape_to_js(Napi::Env env, const Shape& shape);
Napi::Array strings_to_js(Napi::Env env, const std::vector<std::string>& strings);

// The exception being handled, as a JavaScript Error with a `code`; anything but the core's goes on as it is.
[[noreturn]] void rethrow_to_js(Napi::Env env);

// Runs `body`, turning the core's errors (and a failed allocation) into JavaScript's.
template <typename Body>
auto translating_errors(Napi::Env env, Body&& body) -> decltype(body()) {
  try {
    return body();
  } catch (...) {
    rethrow_to_js(env);
  }
}

}  // namespace bindings
}  // namespace kernelet
