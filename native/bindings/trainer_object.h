// The JavaScript object of a trainer: NativeTrainer in lib/backend/backend.ts.
#pragma once

#include <napi.h>

#include <memory>
#include <vector>

#include "train/trainer.h"

namespace kernelet {
namespace bindings {

class TrainerObject : public Napi::ObjectWrap<TrainerObject> {
 public:
  static Napi::Function define(Napi::Env env);

  // Arguments: graph, options.
  explicit TrainerObject(const Napi::CallbackInfo& info);
  ~TrainerObject() override;

 private:
  struct Job;
  class Call;

  Napi::Value run(const Napi::CallbackInfo& info);
  Napi::Value run_async(const Napi::CallbackInfo& info);
  void interrupt(const Napi::CallbackInfo& info);
  Napi::Value read(const Napi::CallbackInfo& info);
  void write(const Napi::CallbackInfo& info);
  Napi::Value step(const Napi::CallbackInfo& info);
  void set_step(const Napi::CallbackInfo& info, const Napi::Value& value);
  void dispose(const Napi::CallbackInfo& info);

  Trainer& idle_trainer();  // throws ERR_DISPOSED, ERR_BUSY
  std::unique_ptr<Job> job_of(const Napi::Value& call);
  // The parameters' arrays; throws where one was detached or is not as long as it was.
  float* parameter_data(size_t i);
  void load();
  void store();
  void account(Napi::BasicEnv env);

  std::shared_ptr<Trainer> trainer_;
  std::vector<Napi::ObjectReference> parameters_;
  bool busy_ = false;
  int64_t external_bytes_ = 0;  // as reported to the collector
};

}  // namespace bindings
}  // namespace kernelet
