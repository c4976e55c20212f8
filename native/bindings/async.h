// Work off the event loop, and the promise of what it gives.
#pragma once

#include <napi.h>

#include <memory>

#include "errors.h"

namespace kernelet {
namespace bindings {

class AsyncCall {
 public:
  virtual ~AsyncCall() = default;

  // Runs `call` on another thread and then settles the promise that is returned. `name` is for tools that follow
  // asynchronous work. In an environment that ends meanwhile the promise is left alone: only `finished` is called.
  static Napi::Value start(Napi::Env env, const char* name, std::unique_ptr<AsyncCall> call);

 protected:
  // The work, on another thread: no JavaScript. May throw what the core throws.
  virtual void run() = 0;
  // On the event loop again, before the promise is settled, however the work went.
  virtual void finished(napi_env) {}
  // What the promise resolves with. May throw as `run`, or a Napi::Error.
  virtual napi_value result(Napi::Env env) = 0;

 private:
  static void execute(napi_env, void* data);
  static void complete(napi_env env, napi_status status, void* data);

  Failure failure_;
  napi_deferred deferred_ = nullptr;
  napi_async_work work_ = nullptr;
};

}  // namespace bindings
}  // namespace kernelet
