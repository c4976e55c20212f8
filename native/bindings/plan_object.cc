#include "plan_object.h"

#include <chrono>
#include <cstring>
#include <string>
#include <vector>

#include "convert.h"

namespace kernelet {
namespace bindings {
namespace {

Error disposed() { return Error("ERR_DISPOSED", "this compiled model was disposed"); }

// The two arrays of a call, long enough for `batch` images.
struct Buffers {
  Plan::Input input;
  size_t input_length;
  float* output;
  size_t output_length;
  int64_t batch;
};

Buffers buffers_of(const Plan& plan, const Napi::CallbackInfo& info) {
  Buffers b = {Plan::Input(static_cast<const float*>(nullptr)), 0, nullptr, 0, 0};
  if (plan.byte_input()) {
    b.input = Plan::Input(bytes_of(info[0], "input", b.input_length));
  } else {
    const Floats floats = floats_of(info[0], "input");
    b.input = floats.data;
    b.input_length = floats.length;
  }
  b.output = writable_floats_of(info[1], "output", b.output_length);
  b.batch = integer_of(info[2], "batch", 1, int64_t{1} << 31);
  const auto check = [&](const char* what, size_t length, int64_t per_image) {
    if (length / static_cast<size_t>(per_image) >= static_cast<size_t>(b.batch)) return;
    fail("ERR_SHAPE", {what, ": expected ", b.batch, " x ", per_image, " values but received ", length});
  };
  check("input", b.input_length, plan.input_length());
  check("output", b.output_length, plan.output_length());
  return b;
}

// The call that costs nanoseconds: no arguments, no look-up, the plan is the function's own data.
napi_value execute(napi_env env, napi_callback_info info) {
  void* data = nullptr;
  napi_get_cb_info(env, info, nullptr, nullptr, nullptr, &data);
  const BoundPlan& bound = **static_cast<std::shared_ptr<BoundPlan>*>(data);
  const char* code = nullptr;
  std::string message;
  try {
    if (!bound.plan) throw disposed();
    if (bound.batch == 0) fail("ERR_ARGUMENT", {"execute: bind() comes first"});
    bound.plan->run(bound.input, bound.output, bound.batch);
    return nullptr;
  } catch (const Error& e) {
    code = e.code();
    message = e.what();
  } catch (const std::bad_alloc&) {
    code = "ERR_UNSUPPORTED";
    message = "not enough memory for a batch of this size";
  }
  napi_value text, code_value, error;
  if (napi_create_string_utf8(env, message.c_str(), message.size(), &text) == napi_ok &&
      napi_create_string_utf8(env, code, NAPI_AUTO_LENGTH, &code_value) == napi_ok &&
      napi_create_error(env, nullptr, text, &error) == napi_ok &&
      napi_set_named_property(env, error, "code", code_value) == napi_ok) {
    napi_throw(env, error);
  }
  return nullptr;
}

Napi::Function bound_function(Napi::Env env, const std::shared_ptr<BoundPlan>& bound) {
  auto* const data = new std::shared_ptr<BoundPlan>(bound);
  napi_value function;
  if (napi_create_function(env, "execute", NAPI_AUTO_LENGTH, execute, data, &function) != napi_ok ||
      napi_add_finalizer(
          env, function, data,
          [](napi_env, void* finalized, void*) {
            delete static_cast<std::shared_ptr<BoundPlan>*>(finalized);
          },
          nullptr, nullptr) != napi_ok) {
    delete data;
    throw Napi::Error::New(env);
  }
  return Napi::Function(env, function);
}

// One call in flight. Input and output are its own copies: nothing JavaScript does to its arrays meanwhile
// (transfer, resize, collection) can reach the thread that computes.
struct AsyncRun {
  std::shared_ptr<const Plan> plan;
  std::vector<float> floats, output;
  std::vector<uint8_t> bytes;
  int64_t batch = 0;
  std::string error_code, error_message;
  napi_deferred deferred = nullptr;
  napi_async_work work = nullptr;
  napi_ref output_array = nullptr;
};

void async_execute(napi_env, void* data) {
  AsyncRun& run = *static_cast<AsyncRun*>(data);
  try {
    const Plan::Input input =
        run.plan->byte_input() ? Plan::Input(run.bytes.data()) : Plan::Input(run.floats.data());
    run.plan->run(input, run.output.data(), run.batch);
  } catch (const Error& e) {
    run.error_code = e.code();
    run.error_message = e.what();
  } catch (const std::bad_alloc&) {
    run.error_code = "ERR_UNSUPPORTED";
    run.error_message = "not enough memory for a batch of this size";
  }
}

// Copies the result back, or says why not. An environment that is shutting down runs no JavaScript any
// more: every status is checked, and a promise that cannot be settled is left alone.
bool deliver(napi_env env, AsyncRun& run) {
  napi_value array;
  if (napi_get_reference_value(env, run.output_array, &array) != napi_ok || array == nullptr) return false;
  size_t length = 0;
  void* to = nullptr;
  if (napi_get_typedarray_info(env, array, nullptr, &length, &to, nullptr, nullptr) != napi_ok) return false;
  if (length < run.output.size()) {
    run.error_code = "ERR_ARGUMENT";
    run.error_message = "output: the array was detached or shrunk while the call was in flight";
    return true;
  }
  std::memcpy(to, run.output.data(), run.output.size() * sizeof(float));
  return true;
}

void async_complete(napi_env env, napi_status status, void* data) {
  std::unique_ptr<AsyncRun> run(static_cast<AsyncRun*>(data));
  napi_handle_scope scope;
  if (napi_open_handle_scope(env, &scope) != napi_ok) return;
  bool settle = status == napi_ok;
  if (settle && run->error_code.empty()) settle = deliver(env, *run);
  if (settle && run->error_code.empty()) {
    napi_value undefined;
    napi_get_undefined(env, &undefined);
    napi_resolve_deferred(env, run->deferred, undefined);
  } else if (settle) {
    napi_value text, code, error;
    if (napi_create_string_utf8(env, run->error_message.c_str(), NAPI_AUTO_LENGTH, &text) == napi_ok &&
        napi_create_string_utf8(env, run->error_code.c_str(), NAPI_AUTO_LENGTH, &code) == napi_ok &&
        napi_create_error(env, nullptr, text, &error) == napi_ok &&
        napi_set_named_property(env, error, "code", code) == napi_ok) {
      napi_reject_deferred(env, run->deferred, error);
    }
  }
  napi_delete_reference(env, run->output_array);
  napi_delete_async_work(env, run->work);
  napi_close_handle_scope(env, scope);
}

Napi::Object quantization_to_js(Napi::Env env, const Quantization& bytes) {
  Napi::Object o = Napi::Object::New(env);
  o.Set("scale", Napi::Number::New(env, static_cast<double>(bytes.scale)));
  o.Set("zero", Napi::Number::New(env, bytes.zero));
  return o;
}

Napi::Object step_to_js(Napi::Env env, const StepDescription& step) {
  Napi::Object o = Napi::Object::New(env);
  o.Set("names", strings_to_js(env, step.names));
  o.Set("ops", strings_to_js(env, step.ops));
  o.Set("problem", step.problem);
  o.Set("algorithm", step.algorithm);
  o.Set("isa", step.isa);
  o.Set("tile", step.tile);
  o.Set("epilogue", step.epilogue);
  o.Set("inputShape", shape_to_js(env, step.input));
  o.Set("outputShape", shape_to_js(env, step.output));
  o.Set("macs", Napi::Number::New(env, static_cast<double>(step.macs)));
  if (!step.during.empty()) o.Set("during", step.during);
  if (step.int8) {
    Napi::Object int8 = Napi::Object::New(env);
    int8.Set("input", quantization_to_js(env, step.in));
    if (step.bytes_out) int8.Set("output", quantization_to_js(env, step.out));
    o.Set("int8", int8);
  }
  return o;
}

}  // namespace

Napi::Function PlanObject::define(Napi::Env env) {
  return DefineClass(env, "NativePlan",
                     {
                         InstanceMethod<&PlanObject::bind>("bind"),
                         InstanceMethod<&PlanObject::run_async>("runAsync"),
                         InstanceMethod<&PlanObject::profile>("profile"),
                         InstanceMethod<&PlanObject::time>("time"),
                         InstanceMethod<&PlanObject::describe>("describe"),
                         InstanceMethod<&PlanObject::dispose>("dispose"),
                     });
}

PlanObject::PlanObject(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<PlanObject>(info), bound_(std::make_shared<BoundPlan>()) {
  translating_errors(info.Env(), [&] {
    bound_->plan = Plan::make(graph_of(info[0]), options_of(info[1]));
    external_bytes_ = static_cast<int64_t>(bound_->plan->weight_bytes() + bound_->plan->arena_bytes());
    Napi::MemoryManagement::AdjustExternalMemory(info.Env(), external_bytes_);
    Napi::Object self = info.This().As<Napi::Object>();
    const Plan& plan = *bound_->plan;
    const auto set = [&](const char* name, double value) {
      self.Set(name, Napi::Number::New(info.Env(), value));
    };
    set("inputLength", static_cast<double>(plan.input_length()));
    set("outputLength", static_cast<double>(plan.output_length()));
    set("threads", plan.threads());
    set("batchLanes", plan.batch_lanes());
    set("arenaBytes", static_cast<double>(plan.arena_bytes()));
    set("weightBytes", static_cast<double>(plan.weight_bytes()));
    self.Set("outputShape", shape_to_js(info.Env(), plan.output_shape()));
    self.Set("isa", plan.kernels().isa);
    self.Set("execute", bound_function(info.Env(), bound_));
  });
}

PlanObject::~PlanObject() { release(Env()); }

const Plan& PlanObject::plan() const {
  if (!bound_->plan) throw disposed();
  return *bound_->plan;
}

void PlanObject::release(Napi::BasicEnv env) {
  bound_->plan.reset();
  bound_->batch = 0;
  if (external_bytes_ != 0) Napi::MemoryManagement::AdjustExternalMemory(env, -external_bytes_);
  external_bytes_ = 0;
}

void PlanObject::bind(const Napi::CallbackInfo& info) {
  translating_errors(info.Env(), [&] {
    const Buffers b = buffers_of(plan(), info);
    bound_->input = b.input;
    bound_->output = b.output;
    bound_->batch = b.batch;
    input_ = Napi::Persistent(info[0].As<Napi::Object>());
    output_ = Napi::Persistent(info[1].As<Napi::Object>());
  });
}

Napi::Value PlanObject::run_async(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return translating_errors(env, [&]() -> Napi::Value {
    const Buffers b = buffers_of(plan(), info);
    auto run = std::make_unique<AsyncRun>();
    run->plan = bound_->plan;
    run->batch = b.batch;
    const int64_t values = b.batch * plan().input_length();
    if (plan().byte_input()) {
      run->bytes.assign(b.input.bytes, b.input.bytes + values);
    } else {
      run->floats.assign(b.input.floats, b.input.floats + values);
    }
    run->output.resize(static_cast<size_t>(b.batch * plan().output_length()));
    napi_value promise, name;
    const auto check = [&](napi_status status) {
      if (status != napi_ok) throw Napi::Error::New(env);
    };
    check(napi_create_string_utf8(env, "kernelet.runAsync", NAPI_AUTO_LENGTH, &name));
    check(napi_create_reference(env, info[1], 1, &run->output_array));
    check(napi_create_async_work(env, nullptr, name, async_execute, async_complete, run.get(), &run->work));
    check(napi_create_promise(env, &run->deferred, &promise));
    check(napi_queue_async_work(env, run->work));
    run.release();  // async_complete owns it now
    return Napi::Value(env, promise);
  });
}

Napi::Value PlanObject::profile(const Napi::CallbackInfo& info) {
  return translating_errors(info.Env(), [&]() -> Napi::Value {
    const Buffers b = buffers_of(plan(), info);
    const int iterations = static_cast<int>(integer_of(info[3], "iterations", 1, 1000000));
    const std::vector<double> ns = plan().profile(b.input, b.output, b.batch, iterations);
    Napi::Float64Array array = Napi::Float64Array::New(info.Env(), ns.size());
    for (size_t i = 0; i < ns.size(); ++i) array.Data()[i] = ns[i];
    return array;
  });
}

Napi::Value PlanObject::time(const Napi::CallbackInfo& info) {
  return translating_errors(info.Env(), [&]() -> Napi::Value {
    const Buffers b = buffers_of(plan(), info);
    const size_t iterations = static_cast<size_t>(integer_of(info[3], "iterations", 1, 10000000));
    Napi::Float64Array ns = Napi::Float64Array::New(info.Env(), iterations);
    double* const to = ns.Data();
    auto before = std::chrono::steady_clock::now();
    for (size_t i = 0; i < iterations; ++i) {
      plan().run(b.input, b.output, b.batch);
      const auto after = std::chrono::steady_clock::now();
      to[i] = std::chrono::duration<double, std::nano>(after - before).count();
      before = after;
    }
    return ns;
  });
}

Napi::Value PlanObject::describe(const Napi::CallbackInfo& info) {
  return translating_errors(info.Env(), [&]() -> Napi::Value {
    const std::vector<StepDescription>& steps = plan().steps();
    const Napi::Array array = Napi::Array::New(info.Env(), steps.size());
    for (size_t i = 0; i < steps.size(); ++i) {
      array.Set(static_cast<uint32_t>(i), step_to_js(info.Env(), steps[i]));
    }
    return array;
  });
}

void PlanObject::dispose(const Napi::CallbackInfo& info) {
  release(info.Env());
  input_.Reset();
  output_.Reset();
}

}  // namespace bindings
}  // namespace kernelet
