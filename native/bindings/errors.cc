#include "errors.h"

#include <new>
#include <stdexcept>

#include "instance.h"

namespace kernelet {
namespace bindings {

Failure current_failure() {
  try {
    throw;
  } catch (const Error& e) {
    return {e.code(), e.what()};
  } catch (const std::bad_alloc&) {
    return {"ERR_UNSUPPORTED", "not enough memory for a model or batch of this size"};
  } catch (const std::length_error&) {
    return {"ERR_UNSUPPORTED", "not enough memory for a model or batch of this size"};
  } catch (const std::exception& e) {
    return {"ERR_INTERNAL", e.what()};
  } catch (...) {
    return {"ERR_INTERNAL", "an unknown C++ exception"};
  }
}

napi_value error_of(napi_env env, const Failure& failure) {
  napi_value arguments[2], error;
  Instance* instance = nullptr;
  napi_value error_class = nullptr;
  if (napi_get_instance_data(env, reinterpret_cast<void**>(&instance)) == napi_ok && instance != nullptr &&
      napi_get_reference_value(env, instance->error_class, &error_class) == napi_ok &&
      error_class != nullptr &&
      napi_create_string_utf8(env, failure.code.c_str(), failure.code.size(), &arguments[0]) == napi_ok &&
      napi_create_string_utf8(env, failure.message.c_str(), failure.message.size(), &arguments[1]) ==
          napi_ok &&
      napi_new_instance(env, error_class, 2, arguments, &error) == napi_ok) {
    return error;
  }
  return nullptr;
}

void throw_in_js(napi_env env, const Failure& failure) {
  const napi_value error = error_of(env, failure);
  if (error != nullptr) napi_throw(env, error);
}

}  // namespace bindings
}  // namespace kernelet
