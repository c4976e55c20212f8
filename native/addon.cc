// What the addon exports: NativeAddon in lib/native.ts. Node-API only; the work is in core/.
#include <napi.h>

#include <cmath>

#include "base/cpu.h"
#include "base/thread_pool.h"
#include "bindings/augment.h"
#include "bindings/convert.h"
#include "bindings/measure.h"
#include "bindings/plan_object.h"
#include "bindings/trainer_object.h"
#include "kernels/isa.h"

namespace kernelet {
namespace bindings {

// One instance an environment (main thread, each worker): no state is shared between them.
class Addon : public Napi::Addon<Addon> {
 public:
  Addon(Napi::Env env, Napi::Object exports)
      : plan_class_(Napi::Persistent(PlanObject::define(env))),
        trainer_class_(Napi::Persistent(TrainerObject::define(env))) {
    DefineAddon(exports, {
                             InstanceValue("compiler", Napi::String::New(env, compiler())),
                             InstanceValue("cpu", Napi::String::New(env, cpu_name())),
                             InstanceMethod("isa", &Addon::isa),
                             InstanceMethod("threads", &Addon::threads),
                             InstanceMethod("setThreads", &Addon::set_threads),
                             InstanceMethod("compile", &Addon::compile),
                             InstanceMethod("trainer", &Addon::trainer),
                             InstanceMethod("evaluate", &Addon::evaluate),
                             InstanceMethod("augment", &Addon::augment),
                             InstanceMethod("measurePeak", &Addon::peak),
                             InstanceMethod("measureBandwidth", &Addon::bandwidth),
                         });
  }

 private:
  static std::string compiler() {
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

  Napi::Value isa(const Napi::CallbackInfo& info) {
    return translating_errors(info.Env(), [&]() -> Napi::Value {
      const IsaChoice choice = choose_isa("");
      Napi::Object o = Napi::Object::New(info.Env());
      o.Set("compiled", strings_to_js(info.Env(), compiled_isas()));
      o.Set("supported", strings_to_js(info.Env(), supported_isas()));
      o.Set("chosen", choice.table->isa);
      o.Set("reason", choice.reason);
      return o;
    });
  }

  Napi::Value threads(const Napi::CallbackInfo& info) {
    return translating_errors(info.Env(), [&]() -> Napi::Value {
      Napi::Object o = Napi::Object::New(info.Env());
      o.Set("affinity", cpu_affinity());
      o.Set("quota", Napi::Number::New(info.Env(), cpu_quota()));
      o.Set("usable", usable_cpus());
      o.Set("default", default_threads());
      return o;
    });
  }

  void set_threads(const Napi::CallbackInfo& info) {
    translating_errors(info.Env(), [&] {
      set_default_threads(static_cast<int>(integer_of(info[0], "threads", 0, max_threads)));
    });
  }

  Napi::Value compile(const Napi::CallbackInfo& info) { return plan_class_.New({info[0], info[1]}); }

  Napi::Value trainer(const Napi::CallbackInfo& info) { return trainer_class_.New({info[0], info[1]}); }

  // One op on its own, through a plan of one step: eager and compiled cannot differ.
  Napi::Value evaluate(const Napi::CallbackInfo& info) {
    return translating_errors(info.Env(), [&]() -> Napi::Value {
      if (!info[1].IsArray() || !info[2].IsArray()) {
        fail("ERR_ARGUMENT", {"evaluate: expected arrays of inputs and input shapes"});
      }
      const Napi::Array inputs = info[1].As<Napi::Array>(), shapes = info[2].As<Napi::Array>();
      const int64_t batch = integer_of(info[3], "batch", 1, Shape::max_elements);
      if (inputs.Length() < 1 || inputs.Length() != shapes.Length()) {
        fail("ERR_ARGUMENT", {"evaluate: expected a shape for each of one or more inputs"});
      }
      Graph graph;
      Node op = node_of(info[0]);
      op.inputs.clear();
      for (uint32_t i = 0; i < inputs.Length(); ++i) {
        Node input;
        input.op = i == 0 ? Op::input : Op::constant;
        input.name = "input";
        input.shape = shape_of(shapes.Get(i), "inputShapes");
        input.weight = floats_of(inputs.Get(i), "input");
        op.inputs.push_back(static_cast<int>(i));
        graph.nodes.push_back(input);
      }
      graph.nodes.push_back(op);
      graph.output = static_cast<int>(inputs.Length());
      const Floats& first = graph.nodes[0].weight;
      const int64_t per_image = graph.nodes[0].shape.elements();
      if (first.length / static_cast<size_t>(per_image) != static_cast<size_t>(batch) ||
          first.length % static_cast<size_t>(per_image) != 0) {
        fail("ERR_SHAPE",
             {op.name, ": expected ", batch, " x ", per_image, " values but received ", first.length});
      }
      const auto plan = Plan::make(graph, options_of(info[4]));
      const int64_t length = plan->output_length();
      if (length > Shape::max_elements / batch) throw std::bad_alloc();
      Napi::Float32Array output = Napi::Float32Array::New(info.Env(), static_cast<size_t>(batch * length));
      plan->run(first.data, output.Data(), batch);
      return output;
    });
  }

  Napi::Value augment(const Napi::CallbackInfo& info) { return bindings::augment(info); }
  Napi::Value peak(const Napi::CallbackInfo& info) { return measure_peak(info); }
  Napi::Value bandwidth(const Napi::CallbackInfo& info) { return measure_bandwidth(info); }

  Napi::FunctionReference plan_class_, trainer_class_;
};

}  // namespace bindings
}  // namespace kernelet

using KerneletAddon = kernelet::bindings::Addon;
NODE_API_NAMED_ADDON(kernelet, KerneletAddon)
