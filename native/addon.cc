// What the addon exports: NativeAddon in lib/backend/backend.ts. Node-API only; the work is in plan/ and train/.
#include <napi.h>

#include <string>
#include <vector>

#include "base/cpu.h"
#include "base/thread_pool.h"
#include "bindings/augment.h"
#include "bindings/convert.h"
#include "bindings/errors.h"
#include "bindings/instance.h"
#include "bindings/measure.h"
#include "bindings/plan_object.h"
#include "bindings/trainer_object.h"
#include "kernels/isa.h"
#include "ops/definition.h"

namespace kernelet {
namespace bindings {
namespace {

std::string compiler() {
#if defined(__clang__)
  return "clang " __clang_version__;
#elif defined(__GNUC__)
  return "GCC " __VERSION__;
#elif defined(_MSC_VER)
  return "MSVC " + std::to_string(_MSC_VER);
#else
  return "unknown";
#endif
}

// Argument: KerneletError. Until it is called errors cannot be made, and are lost.
void initialize(const Napi::CallbackInfo& info) {
  Instance* const instance = info.Env().GetInstanceData<Instance>();
  if (instance->error_class == nullptr && info[0].IsFunction()) {
    napi_create_reference(info.Env(), info[0], 1, &instance->error_class);
  }
}

Napi::Value isa(const Napi::CallbackInfo& info) {
  return translating_errors(info.Env(), [&]() -> Napi::Value {
    const IsaChoice choice = choose_isa("");
    Napi::Object o = Napi::Object::New(info.Env());
    put(o, "compiled", strings_to_js(info.Env(), compiled_isas()));
    put(o, "supported", strings_to_js(info.Env(), supported_isas()));
    put(o, "chosen", choice.table->isa);
    put(o, "reason", choice.reason);
    return o;
  });
}

Napi::Value threads(const Napi::CallbackInfo& info) {
  return translating_errors(info.Env(), [&]() -> Napi::Value {
    Napi::Object o = Napi::Object::New(info.Env());
    put(o, "affinity", cpu_affinity());
    put(o, "quota", Napi::Number::New(info.Env(), cpu_quota()));
    put(o, "usable", usable_cpus());
    put(o, "default", default_threads());
    return o;
  });
}

void set_threads(const Napi::CallbackInfo& info) {
  translating_errors(info.Env(), [&] {
    set_default_threads(static_cast<int>(integer_of(info[0], "threads", 0, max_threads)));
  });
}

Napi::Value compile(const Napi::CallbackInfo& info) {
  return info.Env().GetInstanceData<Instance>()->plan_class.New({info[0], info[1]});
}

Napi::Value trainer(const Napi::CallbackInfo& info) {
  return info.Env().GetInstanceData<Instance>()->trainer_class.New({info[0], info[1]});
}

InputShapes pointers_to(const std::vector<Shape>& shapes) {
  InputShapes pointers;
  for (const Shape& shape : shapes) pointers.push_back(&shape);
  return pointers;
}

// The rule that graphs are validated by, for one op.
Napi::Value infer_shape(const Napi::CallbackInfo& info) {
  return translating_errors(info.Env(), [&]() -> Napi::Value {
    Node node;
    Arrays arrays;
    read_node(info[0], node, arrays, true);
    const std::vector<Shape> inputs = shapes_of(info[1], (node.name + ": input").c_str());
    arrays.find();
    return shape_to_js(info.Env(), kernelet::infer_shape(node, pointers_to(inputs)));
  });
}

// One op on its own, through a plan of one step: eager and compiled cannot differ.
Napi::Value evaluate(const Napi::CallbackInfo& info) {
  return translating_errors(info.Env(), [&]() -> Napi::Value {
    const Napi::Array inputs = array_of(info[1], "inputs");
    const std::vector<Shape> shapes = shapes_of(info[2], "inputShapes");
    const int64_t batch = integer_of(info[3], "batch", 1, Shape::max_elements);
    const size_t count = shapes.size();
    if (count < 1 || inputs.Length() != count) {
      fail("ERR_ARGUMENT", {"evaluate: expected a shape for each of one or more inputs"});
    }
    Graph graph;
    graph.nodes.resize(count + 1);  // in their final places: `arrays` points there
    graph.output = static_cast<int>(count);
    Arrays arrays;
    Node& op = graph.nodes[count];
    read_node(info[0], op, arrays);
    op.inputs.clear();
    for (size_t i = 0; i < count; ++i) {
      Node& input = graph.nodes[i];
      input.op = i == 0 ? Op::input : Op::constant;
      input.name = "input";
      input.shape = shapes[i];
      arrays.add(inputs.Get(static_cast<uint32_t>(i)), "input", input.weight);
      op.inputs.push_back(static_cast<int>(i));
    }
    PlanOptions options;
    read_options(info[4], options, arrays);
    arrays.find();
    op.shape = kernelet::infer_shape(op, pointers_to(shapes));
    const Floats& first = graph.nodes[0].weight;
    const int64_t per_image = shapes[0].elements();
    if (first.length / static_cast<size_t>(per_image) != static_cast<size_t>(batch) ||
        first.length % static_cast<size_t>(per_image) != 0) {
      fail("ERR_SHAPE",
           {op.name, ": expected ", batch, " x ", per_image, " values but received ", first.length});
    }
    const auto plan = Plan::make(graph, options);
    const int64_t length = plan->output_length();
    if (length > Shape::max_elements / batch) throw std::bad_alloc();
    Napi::Float32Array output = Napi::Float32Array::New(info.Env(), static_cast<size_t>(batch * length));
    plan->run(first.data, output.Data(), batch);
    Napi::Object result = Napi::Object::New(info.Env());
    put(result, "data", output);
    put(result, "shape", shape_to_js(info.Env(), op.shape));
    return result;
  });
}

Napi::Object load(Napi::Env env, Napi::Object exports) {
  auto* const instance = new Instance;
  env.SetInstanceData(instance);
  instance->plan_class = Napi::Persistent(PlanObject::define(env));
  instance->trainer_class = Napi::Persistent(TrainerObject::define(env));
  exports.Set("compiler", Napi::String::New(env, compiler()));
  exports.Set("cpu", Napi::String::New(env, cpu_name()));
  exports.Set("initialize", Napi::Function::New<initialize>(env, "initialize"));
  exports.Set("isa", Napi::Function::New<isa>(env, "isa"));
  exports.Set("threads", Napi::Function::New<threads>(env, "threads"));
  exports.Set("setThreads", Napi::Function::New<set_threads>(env, "setThreads"));
  exports.Set("compile", Napi::Function::New<compile>(env, "compile"));
  exports.Set("trainer", Napi::Function::New<trainer>(env, "trainer"));
  exports.Set("inferShape", Napi::Function::New<infer_shape>(env, "inferShape"));
  exports.Set("evaluate", Napi::Function::New<evaluate>(env, "evaluate"));
  exports.Set("augment", Napi::Function::New<augment>(env, "augment"));
  exports.Set("measurePeak", Napi::Function::New<measure_peak>(env, "measurePeak"));
  exports.Set("measureBandwidth", Napi::Function::New<measure_bandwidth>(env, "measureBandwidth"));
  return exports;
}

}  // namespace
}  // namespace bindings
}  // namespace kernelet

static Napi::Object load_kernelet(Napi::Env env, Napi::Object exports) {
  return kernelet::bindings::load(env, exports);
}

NODE_API_MODULE(kernelet, load_kernelet)
