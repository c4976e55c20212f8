// What tuning found, to JavaScript and back: NativeTuning in lib/backend/backend.ts.
#pragma once

#include "convert.h"
#include "plan/tune.h"

namespace kernelet {
namespace bindings {

// The options choices, lanes, divideFrom and tuneBatch; is the plan to be tuned?
bool read_tuning(const Napi::Value& options, PlanOptions& plan, TuneOptions& how);
Napi::Object tuning_to_js(Napi::Env env, const Tuned& tuned);

}  // namespace bindings
}  // namespace kernelet
