// The JavaScript object of a compiled plan: NativePlan in lib/backend/backend.ts.
#pragma once

#include <napi.h>

#include <memory>

#include "plan/plan.h"

namespace kernelet {
namespace bindings {

// What the bound `execute` function works on. It outlives the object for as long as the function lives.
struct BoundPlan {
  std::shared_ptr<const Plan> plan;  // null once disposed
  Plan::Input input = static_cast<const float*>(nullptr);
  float* output = nullptr;
  int64_t batch = 0;  // 0 until bind()
};

class PlanObject : public Napi::ObjectWrap<PlanObject> {
 public:
  static Napi::Function define(Napi::Env env);

  // Arguments: graph, options.
  explicit PlanObject(const Napi::CallbackInfo& info);
  ~PlanObject() override;

 private:
  void bind(const Napi::CallbackInfo& info);
  Napi::Value run_async(const Napi::CallbackInfo& info);
  Napi::Value profile(const Napi::CallbackInfo& info);
  Napi::Value time(const Napi::CallbackInfo& info);
  Napi::Value describe(const Napi::CallbackInfo& info);
  void dispose(const Napi::CallbackInfo& info);

  const Plan& plan() const;  // throws ERR_DISPOSED
  void release(Napi::BasicEnv env);

  std::shared_ptr<BoundPlan> bound_;
  Napi::ObjectReference input_, output_;  // keep the bound arrays alive
  int64_t external_bytes_ = 0;            // as reported to the collector
};

}  // namespace bindings
}  // namespace kernelet
