#include "trainer_object.h"

#include <cstring>
#include <string>
#include <utility>

#include "async.h"
#include "augment.h"
#include "convert.h"
#include "errors.h"
#include "train/names.h"

namespace kernelet {
namespace bindings {
namespace {

constexpr int64_t most_safe = (int64_t{1} << 53) - 1;

// Those of Trainer, in its order, and one that is of images.
constexpr const char* states[] = {
#define KERNELET_STATE(name, text) text,
#include "train/states.inc"
#undef KERNELET_STATE
    "inputGradient"};
constexpr int input_gradient_state = sizeof states / sizeof *states - 1;

// More than any network has.
constexpr uint32_t max_parameters = 1 << 18;

// `data` gets the arrays, in order.
void read_parameters(const Napi::Value& list, const char* what, std::vector<TrainedParameter>& parameters,
                     std::vector<Napi::Object>& data, Arrays& arrays) {
  const Napi::Array array = array_of(list, what);
  const uint32_t count = array.Length();
  if (count > max_parameters) fail("ERR_ARGUMENT", {what, ": at most ", max_parameters});
  parameters.resize(count);
  for (uint32_t i = 0; i < count; ++i) {
    const Napi::Object one = object_of(array.Get(i), what);
    TrainedParameter& p = parameters[i];
    const Napi::Value name = one.Get("name");
    if (!name.IsString()) fail("ERR_ARGUMENT", {what, ": expected a name"});
    p.name = name.As<Napi::String>().Utf8Value();
    const Napi::Value values = one.Get("data");
    data.push_back(object_of(values, p.name.c_str()));
    arrays.add(values, p.name, p.data);
    p.frozen = boolean_of(one, "frozen", false);
    const Napi::Value mask = one.Get("mask");
    if (given(mask)) {
      const Elements bytes = elements_of(mask, "mask", "a Uint8Array", {napi_uint8_array});
      const uint8_t* const from = static_cast<const uint8_t*>(bytes.data);
      p.mask.assign(from, from + bytes.length);
    }
    p.lr_multiplier = static_cast<float>(number_of(one, "lrMultiplier", 1));
    const Napi::Value since = one.Get("since");
    if (given(since)) p.since = static_cast<uint64_t>(integer_of(since, "since", 0, most_safe));
  }
}

// `data` gets the arrays of all parameters and then of all buffers.
void read_trainer_options(const Napi::Value& value, TrainerOptions& o, std::vector<Napi::Object>& data,
                          Arrays& arrays) {
  const Napi::Object from = object_of(value, "options");
  read_parameters(from.Get("parameters"), "parameters", o.parameters, data, arrays);
  const Napi::Value buffers = from.Get("buffers");
  if (given(buffers)) read_parameters(buffers, "buffers", o.buffers, data, arrays);
  const Napi::Object loss = object_of(from.Get("loss"), "loss");
  o.loss = static_cast<Loss>(choice_of(loss.Get("kind"), "loss", loss_names));
  o.label_smoothing = static_cast<float>(number_of(loss, "labelSmoothing", 0));
  const Napi::Object optimizer = object_of(from.Get("optimizer"), "optimizer");
  o.optimizer = static_cast<Optimizer>(choice_of(optimizer.Get("kind"), "optimizer", optimizer_names));
  o.momentum = number_of(optimizer, "momentum", 0);
  o.dampening = number_of(optimizer, "dampening", 0);
  o.nesterov = boolean_of(optimizer, "nesterov", false);
  o.beta1 = number_of(optimizer, "beta1", 0.9);
  o.beta2 = number_of(optimizer, "beta2", 0.999);
  o.eps = number_of(optimizer, "eps", 1e-8);
  o.weight_decay = number_of(optimizer, "weightDecay", 0);
  o.clip_norm = number_of(from, "clipNorm", 0);
  o.clip_value = number_of(from, "clipValue", 0);
  o.ema_decay = number_of(from, "emaDecay", -1);
  const Napi::Value seed = from.Get("seed");
  if (given(seed)) o.seed = static_cast<uint64_t>(integer_of(seed, "seed", 0, most_safe));
  o.input_gradient = boolean_of(from, "inputGradient", false);
  PlanOptions plan;
  read_options(value, plan, arrays);
  o.isa = plan.isa;
  o.threads = plan.threads;
  o.fuse = plan.fuse;
}

Napi::Value doubles_to_js(Napi::Env env, const std::vector<double>& values) {
  Napi::Float64Array array = Napi::Float64Array::New(env, values.size());
  if (!values.empty()) std::memcpy(array.Data(), values.data(), values.size() * sizeof(double));
  return array;
}

Napi::Value floats_to_js(Napi::Env env, const float* values, size_t length) {
  Napi::Float32Array array = Napi::Float32Array::New(env, length);
  if (length > 0) std::memcpy(array.Data(), values, length * sizeof(float));
  return array;
}

Napi::Object health_to_js(Napi::Env env, const TrainHealth& health) {
  const auto number = [&](double x) { return Napi::Number::New(env, x); };
  const Napi::Array parameters = Napi::Array::New(env, health.parameters.size());
  for (size_t i = 0; i < health.parameters.size(); ++i) {
    const TrainHealth::OfParameter& p = health.parameters[i];
    Napi::Object o = Napi::Object::New(env);
    put(o, "gradientNorm", number(p.gradient_norm));
    put(o, "weightNorm", number(p.weight_norm));
    put(o, "updateNorm", number(p.update_norm));
    put_at(parameters, i, o);
  }
  const Napi::Array nodes = Napi::Array::New(env, health.nodes.size());
  for (size_t i = 0; i < health.nodes.size(); ++i) {
    const TrainHealth::OfNode& n = health.nodes[i];
    Napi::Object o = Napi::Object::New(env);
    put(o, "name", n.name);
    put(o, "op", op_name(n.op));
    put(o, "rms", number(n.rms));
    put(o, "gradientNorm", number(n.gradient_norm));
    put(o, "zeros", number(n.zeros));
    put_at(nodes, i, o);
  }
  Napi::Object o = Napi::Object::New(env);
  put(o, "parameters", parameters);
  put(o, "nodes", nodes);
  return o;
}

Napi::Value report_to_js(Napi::Env env, const TrainReport& report) {
  Napi::Object o = Napi::Object::New(env);
  put(o, "steps", Napi::Number::New(env, static_cast<double>(report.losses.size())));
  put(o, "losses", doubles_to_js(env, report.losses));
  put(o, "gradientNorms", doubles_to_js(env, report.gradient_norms));
  Napi::Uint32Array correct = Napi::Uint32Array::New(env, report.correct.size());
  for (size_t i = 0; i < report.correct.size(); ++i) correct.Data()[i] = report.correct[i];
  put(o, "correct", correct);
  if (report.has_health) put(o, "health", health_to_js(env, report.health));
  if (!report.non_finite.empty()) {
    Napi::Object n = Napi::Object::New(env);
    put(n, "step", report.non_finite_step);
    put(n, "what", report.non_finite);
    put(n, "where", report.where);
    put(o, "nonFinite", n);
  }
  return o;
}

size_t samples_of(const Elements& e, int64_t per_sample, const char* what) {
  if (e.length % static_cast<size_t>(per_sample) == 0) return e.length / static_cast<size_t>(per_sample);
  fail("ERR_SHAPE", {what, ": expected ", per_sample, " values a sample but received ", e.length});
}

}  // namespace

// The samples of a call, gathered: nothing JavaScript does to its arrays later can reach them.
struct TrainerObject::Job {
  std::shared_ptr<Trainer> trainer;
  TrainCall call;
  std::vector<float> images, targets;
  std::vector<uint8_t> bytes;
  std::vector<int32_t> classes;
  std::vector<uint32_t> samples;
  TrainReport report;

  template <class T>
  void gather(const void* from, size_t per_sample, std::vector<T>& to) const {
    to.resize(samples.size() * per_sample);
    for (size_t i = 0; i < samples.size(); ++i) {
      std::memcpy(to.data() + i * per_sample, static_cast<const T*>(from) + samples[i] * per_sample,
                  per_sample * sizeof(T));
    }
  }
};

std::unique_ptr<TrainerObject::Job> TrainerObject::job_of(const Napi::Value& value) {
  const Napi::Object from = object_of(value, "call");
  auto job = std::make_unique<Job>();
  TrainCall& call = job->call;
  const Napi::Value given_images = from.Get("images"), given_targets = from.Get("targets");
  const Napi::Value given_indices = from.Get("indices");
  call.batch = static_cast<int>(integer_of(from.Get("batch"), "batch", 1, 1 << 24));
  call.scale = static_cast<float>(number_of(from, "scale", 1));
  call.shift = static_cast<float>(number_of(from, "shift", 0));
  const Napi::Value epoch = from.Get("epoch");
  if (given(epoch)) call.epoch = static_cast<uint64_t>(integer_of(epoch, "epoch", 0, most_safe));
  call.update = boolean_of(from, "update", true);
  call.health = boolean_of(from, "health", false);
  const Napi::Object rates = object_of(from.Get("learningRates"), "learningRates");
  const int64_t count = integer_of(rates.Get("length"), "learningRates", 0, 1 << 28);
  for (uint32_t i = 0; i < count; ++i) {
    const Napi::HandleScope scope(value.Env());
    const Napi::Value rate = rates.Get(i);
    if (!rate.IsNumber()) fail("ERR_ARGUMENT", {"learningRates: expected numbers"});
    call.learning_rates.push_back(rate.As<Napi::Number>().DoubleValue());
  }
  // All of JavaScript has been read: it may have disposed of this trainer, or set it to work.
  idle_trainer();
  job->trainer = trainer_;
  const Elements images = elements_of(given_images, "images", "a Float32Array or Uint8Array",
                                      {napi_float32_array, napi_uint8_array, napi_uint8_clamped_array});
  const Elements targets = elements_of(given_targets, "targets", "an Int32Array, Uint8Array or Float32Array",
                                       {napi_int32_array, napi_uint8_array, napi_float32_array});
  const Elements indices = elements_of(given_indices, "indices", "a Uint32Array", {napi_uint32_array});
  const size_t per_image = static_cast<size_t>(trainer_->input_length());
  const bool float_targets = targets.type == napi_float32_array;
  const size_t per_target =
      static_cast<size_t>(float_targets ? trainer_->output_length() : trainer_->positions());
  const size_t samples = samples_of(images, trainer_->input_length(), "images");
  const size_t targeted = samples_of(targets, static_cast<int64_t>(per_target), "targets");
  if (samples != targeted) {
    fail("ERR_SHAPE", {"targets: expected those of ", samples, " samples but received ", targeted});
  }
  job->samples.resize(indices.length);
  if (indices.length > 0) std::memcpy(job->samples.data(), indices.data, indices.length * sizeof(uint32_t));
  for (uint32_t i : job->samples) {
    if (i >= samples) {
      fail("ERR_ARGUMENT", {"indices: expected samples from 0 to less than ", samples, " but received ", i});
    }
  }
  if (images.type == napi_float32_array) {
    job->gather(images.data, per_image, job->images);
    call.images = job->images.data();
  } else {
    job->gather(images.data, per_image, job->bytes);
    call.bytes = job->bytes.data();
  }
  if (float_targets) {
    job->gather(targets.data, per_target, job->targets);
    call.targets = job->targets.data();
  } else {
    if (targets.type == napi_int32_array) {
      job->gather(targets.data, per_target, job->classes);
    } else {
      std::vector<uint8_t> bytes;
      job->gather(targets.data, per_target, bytes);
      job->classes.assign(bytes.begin(), bytes.end());
    }
    call.classes = job->classes.data();
  }
  call.samples = job->samples.data();
  call.count = static_cast<int64_t>(job->samples.size());
  trainer_->check(call);
  return job;
}

class TrainerObject::Call : public AsyncCall {
 public:
  Call(TrainerObject& object, const Napi::Object& self, std::unique_ptr<Job> job)
      : object_(object), self_(Napi::Persistent(self)), job_(std::move(job)) {
    object_.busy_ = true;
  }
  // Where the work could not be started.
  ~Call() override {
    if (!finished_) object_.busy_ = false;
  }

 protected:
  void run() override { job_->report = job_->trainer->run(job_->call); }
  // Once: JavaScript that runs as the promise is settled (a getter `then`) may set the trainer to work again.
  void finished(napi_env) override {
    finished_ = true;
    object_.busy_ = false;
  }
  napi_value result(Napi::Env env) override {
    object_.store();
    object_.account(env);
    return report_to_js(env, job_->report);
  }

 private:
  TrainerObject& object_;
  Napi::ObjectReference self_;  // the object lives as long as its work
  std::unique_ptr<Job> job_;
  bool finished_ = false;
};

Napi::Function TrainerObject::define(Napi::Env env) {
  return DefineClass(env, "NativeTrainer",
                     {
                         InstanceMethod<&TrainerObject::run>("run"),
                         InstanceMethod<&TrainerObject::run_async>("runAsync"),
                         InstanceMethod<&TrainerObject::interrupt>("interrupt"),
                         InstanceMethod<&TrainerObject::read>("read"),
                         InstanceMethod<&TrainerObject::write>("write"),
                         InstanceMethod<&TrainerObject::dispose>("dispose"),
                         InstanceAccessor<&TrainerObject::step, &TrainerObject::set_step>("step"),
                     });
}

TrainerObject::TrainerObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<TrainerObject>(info) {
  translating_errors(info.Env(), [&] {
    Graph graph;
    TrainerOptions options;
    std::vector<Napi::Object> data;
    Arrays arrays;
    read_graph(info[0], graph, arrays);
    read_trainer_options(info[1], options, data, arrays);
    const Napi::Value augment = info[1].As<Napi::Object>().Get("augment");
    if (given(augment) && !graph.nodes.empty()) {
      options.preparation = augment_preparation_of(augment, graph.nodes[0].shape);
    }
    arrays.find();
    trainer_ = Trainer::make(graph, options);
    for (const Napi::Object& array : data) parameters_.push_back(Napi::Persistent(array));
    account(info.Env());
    Napi::Object self = info.This().As<Napi::Object>();
    put(self, "inputLength", Napi::Number::New(info.Env(), static_cast<double>(trainer_->input_length())));
    put(self, "outputLength", Napi::Number::New(info.Env(), static_cast<double>(trainer_->output_length())));
    put(self, "isa", trainer_->isa());
    put(self, "threads", trainer_->threads());
  });
}

TrainerObject::~TrainerObject() {
  if (external_bytes_ != 0) Napi::MemoryManagement::AdjustExternalMemory(Env(), -external_bytes_);
}

void TrainerObject::account(Napi::BasicEnv env) {
  const int64_t now = trainer_ ? static_cast<int64_t>(trainer_->bytes()) : 0;
  if (now != external_bytes_) Napi::MemoryManagement::AdjustExternalMemory(env, now - external_bytes_);
  external_bytes_ = now;
}

Trainer& TrainerObject::idle_trainer() {
  if (!trainer_) fail("ERR_DISPOSED", {"this trainer was disposed"});
  if (busy_) fail("ERR_BUSY", {"runAsync is under way: wait for its promise first"});
  return *trainer_;
}

float* TrainerObject::parameter_data(size_t i) {
  size_t length = 0;
  float* const data = writable_floats_of(parameters_[i].Value(), trainer_->parameter_name(i).c_str(), length);
  if (length == trainer_->parameter_length(i)) return data;
  fail("ERR_ARGUMENT", {trainer_->parameter_name(i), ": expected ", trainer_->parameter_length(i),
                        " values but received ", length, ": was its buffer detached?"});
}

void TrainerObject::load() {
  trainer_->interrupt(false);  // here and not where it runs: an interrupt may come before that
  for (size_t i = 0; i < parameters_.size(); ++i) trainer_->load(i, parameter_data(i));
}

// All or nothing.
void TrainerObject::store() {
  for (size_t i = 0; i < parameters_.size(); ++i) parameter_data(i);
  for (size_t i = 0; i < parameters_.size(); ++i) trainer_->store(i, parameter_data(i));
}

Napi::Value TrainerObject::run(const Napi::CallbackInfo& info) {
  return translating_errors(info.Env(), [&]() -> Napi::Value {
    idle_trainer();
    const std::unique_ptr<Job> job = job_of(info[0]);
    load();
    job->report = trainer_->run(job->call);
    store();
    account(info.Env());
    return report_to_js(info.Env(), job->report);
  });
}

Napi::Value TrainerObject::run_async(const Napi::CallbackInfo& info) {
  return translating_errors(info.Env(), [&]() -> Napi::Value {
    idle_trainer();
    std::unique_ptr<Job> job = job_of(info[0]);
    load();
    return AsyncCall::start(info.Env(), "kernelet.train",
                            std::make_unique<Call>(*this, info.This().As<Napi::Object>(), std::move(job)));
  });
}

void TrainerObject::interrupt(const Napi::CallbackInfo&) {
  if (trainer_ && busy_) trainer_->interrupt();
}

Napi::Value TrainerObject::step(const Napi::CallbackInfo& info) {
  return translating_errors(info.Env(), [&]() -> Napi::Value {
    return Napi::Number::New(info.Env(), static_cast<double>(idle_trainer().step()));
  });
}

void TrainerObject::set_step(const Napi::CallbackInfo& info, const Napi::Value& value) {
  translating_errors(info.Env(), [&] {
    idle_trainer().set_step(static_cast<uint64_t>(integer_of(value, "step", 0, most_safe)));
  });
}

Napi::Value TrainerObject::read(const Napi::CallbackInfo& info) {
  return translating_errors(info.Env(), [&]() -> Napi::Value {
    const Napi::Env env = info.Env();
    const Trainer& trainer = idle_trainer();
    const int kind = choice_of(info[0], "read", states);
    const Napi::Array list = Napi::Array::New(env);
    if (kind == input_gradient_state) {
      const std::vector<float>& gradient = trainer.input_gradient();
      if (!gradient.empty()) put_at(list, 0, floats_to_js(env, gradient.data(), gradient.size()));
      return list;
    }
    const Trainer::State state = static_cast<Trainer::State>(kind);
    if (!trainer.has(state)) return list;
    for (size_t i = 0; i < trainer.parameters(); ++i) {
      const float* const values = trainer.read(state, i);
      put_at(list, i, floats_to_js(env, values, values != nullptr ? trainer.parameter_length(i) : 0));
    }
    return list;
  });
}

void TrainerObject::write(const Napi::CallbackInfo& info) {
  translating_errors(info.Env(), [&] {
    const int kind = choice_of(info[0], "write", states);
    if (kind == static_cast<int>(Trainer::State::gradient) || kind == input_gradient_state) {
      fail("ERR_ARGUMENT", {"write: gradients cannot be written"});
    }
    const size_t count = idle_trainer().parameters();
    if (!info[1].IsArray() || info[1].As<Napi::Array>().Length() != count) {
      fail("ERR_ARGUMENT", {"write: expected an array of one Float32Array a parameter"});
    }
    const Napi::Array list = info[1].As<Napi::Array>();
    std::vector<Napi::Value> arrays;
    for (size_t i = 0; i < count; ++i) arrays.push_back(list.Get(static_cast<uint32_t>(i)));
    Trainer& trainer = idle_trainer();  // once more: a getter may have disposed of it
    std::vector<Floats> values;
    for (size_t i = 0; i < count; ++i) {
      values.push_back(floats_of(arrays[i], trainer.parameter_name(i).c_str()));
      // One that nothing reads has no state, frozen or not.
      const size_t expected = trainer.parameter_length(i);
      if (trainer.is_trained(i) && values[i].length != expected) {
        fail("ERR_SHAPE",
             {trainer.parameter_name(i), ": expected ", expected, " values but received ", values[i].length});
      }
    }
    for (size_t i = 0; i < values.size(); ++i) {
      if (trainer.is_trained(i)) trainer.write(static_cast<Trainer::State>(kind), i, values[i].data);
    }
  });
}

void TrainerObject::dispose(const Napi::CallbackInfo& info) {
  translating_errors(info.Env(), [&] {
    if (!trainer_) return;
    idle_trainer();
    trainer_.reset();
    parameters_.clear();
    account(info.Env());
  });
}

}  // namespace bindings
}  // namespace kernelet
