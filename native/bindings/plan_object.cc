#include "plan_object.h"

#include <chrono>
#include <cstring>
#include <utility>
#include <vector>

#include "async.h"
#include "convert.h"
#include "errors.h"
#include "tuning.h"

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
  try {
    if (!bound.plan) throw disposed();
    if (bound.batch == 0) fail("ERR_ARGUMENT", {"execute: bind() comes first"});
    bound.plan->run(bound.input, bound.output, bound.batch);
  } catch (...) {
    throw_in_js(env, current_failure());
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
class PlanCall : public AsyncCall {
 public:
  PlanCall(std::shared_ptr<const Plan> plan, const Buffers& b, const Napi::Value& output)
      : plan_(std::move(plan)), batch_(b.batch), array_(Napi::Persistent(output.As<Napi::Object>())) {
    const int64_t values = b.batch * plan_->input_length();
    if (plan_->byte_input()) {
      bytes_.assign(b.input.bytes, b.input.bytes + values);
    } else {
      floats_.assign(b.input.floats, b.input.floats + values);
    }
    output_.resize(static_cast<size_t>(b.batch * plan_->output_length()));
  }

 protected:
  void run() override {
    const Plan::Input input = plan_->byte_input() ? Plan::Input(bytes_.data()) : Plan::Input(floats_.data());
    plan_->run(input, output_.data(), batch_);
  }

  napi_value result(Napi::Env env) override {
    size_t length = 0;
    float* const to = writable_floats_of(array_.Value(), "output", length);
    if (length < output_.size()) {
      fail("ERR_ARGUMENT", {"output: the array was detached or shrunk while the call was in flight"});
    }
    std::memcpy(to, output_.data(), output_.size() * sizeof(float));
    return env.Undefined();
  }

 private:
  std::shared_ptr<const Plan> plan_;
  std::vector<float> floats_, output_;
  std::vector<uint8_t> bytes_;
  int64_t batch_;
  Napi::ObjectReference array_;
};

Napi::Object quantization_to_js(Napi::Env env, const Quantization& bytes) {
  Napi::Object o = Napi::Object::New(env);
  put(o, "scale", Napi::Number::New(env, static_cast<double>(bytes.scale)));
  put(o, "zero", Napi::Number::New(env, bytes.zero));
  return o;
}

Napi::Object step_to_js(Napi::Env env, const StepDescription& step) {
  Napi::Object o = Napi::Object::New(env);
  put(o, "names", strings_to_js(env, step.names));
  put(o, "ops", strings_to_js(env, step.ops));
  put(o, "problem", step.problem);
  put(o, "algorithm", step.algorithm);
  put(o, "isa", step.isa);
  put(o, "tile", step.tile);
  put(o, "epilogue", step.epilogue);
  put(o, "layout", std::string(step.layout));
  put(o, "parts", step.parts);
  if (step.strip > 0) put(o, "strip", step.strip);
  if (step.cost > 0) {
    put(o, "cost", Napi::Number::New(env, step.cost));
    if (step.macs > 0)
      put(o, "predicted", Napi::Number::New(env, static_cast<double>(step.macs) / step.cost));
  }
  put(o, "inputShape", shape_to_js(env, step.input));
  put(o, "outputShape", shape_to_js(env, step.output));
  put(o, "macs", Napi::Number::New(env, static_cast<double>(step.macs)));
  if (!step.during.empty()) put(o, "during", step.during);
  if (step.int8) {
    Napi::Object int8 = Napi::Object::New(env);
    put(int8, "input", quantization_to_js(env, step.in));
    if (step.bytes_out) put(int8, "output", quantization_to_js(env, step.out));
    put(o, "int8", int8);
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
    : Napi::ObjectWrap<PlanObject>(info), bound_(new BoundPlan()) {
  translating_errors(info.Env(), [&] {
    Graph graph;
    PlanOptions options;
    Arrays arrays;
    read_graph(info[0], graph, arrays, true);
    read_options(info[1], options, arrays);
    TuneOptions how;
    const bool to_be_tuned = read_tuning(info[1], options, how);
    arrays.find();
    Tuned tuned;
    if (to_be_tuned) tuned = tune(graph, options, how);
    bound_->plan = to_be_tuned ? std::move(tuned.plan) : Plan::make(graph, options);
    external_bytes_ = static_cast<int64_t>(bound_->plan->weight_bytes() + bound_->plan->arena_bytes());
    Napi::MemoryManagement::AdjustExternalMemory(info.Env(), external_bytes_);
    Napi::Object self = info.This().As<Napi::Object>();
    const Plan& plan = *bound_->plan;
    const auto set = [&](const char* name, double value) {
      put(self, name, Napi::Number::New(info.Env(), value));
    };
    set("inputLength", static_cast<double>(plan.input_length()));
    set("outputLength", static_cast<double>(plan.output_length()));
    set("threads", plan.threads());
    set("batchLanes", plan.batch_lanes());
    set("arenaBytes", static_cast<double>(plan.arena_bytes()));
    set("weightBytes", static_cast<double>(plan.weight_bytes()));
    put(self, "outputShape", shape_to_js(info.Env(), plan.output_shape()));
    put(self, "isa", plan.kernels().isa);
    if (to_be_tuned) put(self, "tuning", tuning_to_js(info.Env(), tuned));
    put(self, "execute", bound_function(info.Env(), bound_));
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
    return AsyncCall::start(env, "kernelet.runAsync", std::make_unique<PlanCall>(bound_->plan, b, info[1]));
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
      put_at(array, i, step_to_js(info.Env(), steps[i]));
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
