// Errors on their way to JavaScript: each is a KerneletError, the class of which the library hands over when it
// loads the addon. An environment that is ending (a worker that is terminated, process.exit) runs no JavaScript any
// more, so that making or throwing one fails there: then nothing is thrown, and nobody is left to miss it.
#pragma once

#include <napi.h>

#include <string>

#include "base/error.h"

namespace kernelet {
namespace bindings {

// What went wrong, in the words of the core.
struct Failure {
  std::string code, message;  // no code: nothing did
};

// The C++ exception being handled, which must be one of the core's or the standard library's.
Failure current_failure();

// A new KerneletError, or null where no JavaScript can run.
napi_value error_of(napi_env env, const Failure& failure);

// Throws it in JavaScript, once C++ has returned to it.
void throw_in_js(napi_env env, const Failure& failure);

// Runs `body`. What the core throws in it is thrown in JavaScript; what JavaScript threw goes on as it is.
template <typename Body>
auto translating_errors(napi_env env, Body&& body) -> decltype(body()) {
  try {
    return body();
  } catch (const Napi::Error&) {
    throw;
  } catch (...) {
    throw_in_js(env, current_failure());
  }
  return decltype(body())();
}

}  // namespace bindings
}  // namespace kernelet
