#include "async.h"

namespace kernelet {
namespace bindings {

Napi::Value AsyncCall::start(Napi::Env env, const char* name, std::unique_ptr<AsyncCall> call) {
  napi_value promise, text;
  const auto check = [&](napi_status status) {
    if (status == napi_ok) return;
    if (call->work_ != nullptr) napi_delete_async_work(env, call->work_);
    throw Napi::Error::New(env);
  };
  check(napi_create_string_utf8(env, name, NAPI_AUTO_LENGTH, &text));
  check(napi_create_promise(env, &call->deferred_, &promise));
  check(napi_create_async_work(env, nullptr, text, execute, complete, call.get(), &call->work_));
  check(napi_queue_async_work(env, call->work_));
  call.release();  // `complete` owns it now
  return Napi::Value(env, promise);
}

void AsyncCall::execute(napi_env, void* data) {
  AsyncCall& call = *static_cast<AsyncCall*>(data);
  try {
    call.run();
  } catch (...) {
    call.failure_ = current_failure();
  }
}

void AsyncCall::complete(napi_env env, napi_status status, void* data) {
  std::unique_ptr<AsyncCall> call(static_cast<AsyncCall*>(data));
  napi_handle_scope scope;
  if (napi_open_handle_scope(env, &scope) != napi_ok) return;
  call->finished(env);
  napi_value result = nullptr;
  if (status == napi_ok && call->failure_.code.empty()) {
    try {
      result = call->result(env);
    } catch (const Napi::Error& error) {
      // What JavaScript threw, such as for want of memory; an environment that ends has nothing to give here.
      try {
        napi_reject_deferred(env, call->deferred_, error.Value());
      } catch (const Napi::Error&) {
      }
    } catch (...) {
      call->failure_ = current_failure();
    }
  }
  if (result != nullptr) {
    napi_resolve_deferred(env, call->deferred_, result);
  } else if (status == napi_ok && !call->failure_.code.empty()) {
    const napi_value error = error_of(env, call->failure_);
    if (error != nullptr) napi_reject_deferred(env, call->deferred_, error);
  }
  napi_delete_async_work(env, call->work_);
  napi_close_handle_scope(env, scope);
}

}  // namespace bindings
}  // namespace kernelet
