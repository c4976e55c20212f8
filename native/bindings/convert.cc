#include "convert.h"

#include <algorithm>
#include <cmath>
#include <initializer_list>

namespace kernelet {
namespace bindings {
namespace {

[[noreturn]] void bad_argument(const char* what, std::initializer_list<Text> expected) {
  fail("ERR_ARGUMENT", {what, ": expected ", sentence_of(expected)});
}

Napi::Object object_of(const Napi::Value& value, const char* what) {
  if (!value.IsObject()) bad_argument(what, {"an object"});
  return value.As<Napi::Object>();
}

Napi::Array array_of(const Napi::Value& value, const char* what) {
  if (!value.IsArray()) bad_argument(what, {"an array"});
  return value.As<Napi::Array>();
}

std::string string_of(const Napi::Value& value, const char* what) {
  if (!value.IsString()) bad_argument(what, {"a string"});
  return value.As<Napi::String>().Utf8Value();
}

bool given(const Napi::Value& value) { return !value.IsUndefined() && !value.IsNull(); }

template <size_t N>
void integers_into(const Napi::Object& from, const char* key, int (&to)[N]) {
  const Napi::Value value = from.Get(key);
  if (!given(value)) return;
  const Napi::Array array = array_of(value, key);
  if (array.Length() != N) bad_argument(key, {N, " integers"});
  for (uint32_t i = 0; i < N; ++i)
    to[i] = static_cast<int>(integer_of(array.Get(i), key, -(1 << 30), 1 << 30));
}

// One integer a dimension of the node.
template <class Integer>
void dimensions_into(const Napi::Object& from, const char* key, int64_t most,
                     Integer (&to)[Shape::max_rank]) {
  const Napi::Value value = from.Get(key);
  if (!given(value)) return;
  const Napi::Array array = array_of(value, key);
  if (array.Length() > Shape::max_rank) bad_argument(key, {"at most 6 integers"});
  for (uint32_t i = 0; i < array.Length(); ++i)
    to[i] = static_cast<Integer>(integer_of(array.Get(i), key, -most, most));
}

bool boolean_of(const Napi::Object& from, const char* key, bool otherwise) {
  const Napi::Value value = from.Get(key);
  if (!given(value)) return otherwise;
  if (!value.IsBoolean()) bad_argument(key, {"true or false"});
  return value.As<Napi::Boolean>().Value();
}

int small_integer_of(const Napi::Object& from, const char* key, int otherwise) {
  const Napi::Value value = from.Get(key);
  return given(value) ? static_cast<int>(integer_of(value, key, -(1 << 30), 1 << 30)) : otherwise;
}

float number_of(const Napi::Object& from, const char* key, float otherwise) {
  const Napi::Value value = from.Get(key);
  if (!given(value)) return otherwise;
  if (!value.IsNumber()) bad_argument(key, {"a number"});
  return value.As<Napi::Number>().FloatValue();
}

std::string optional_string_of(const Napi::Object& from, const char* key, const char* otherwise) {
  const Napi::Value value = from.Get(key);
  return given(value) ? string_of(value, key) : otherwise;
}

}  // namespace

int64_t integer_of(const Napi::Value& value, const char* what, int64_t low, int64_t high) {
  if (!value.IsNumber()) bad_argument(what, {"an integer from ", low, " to ", high});
  const double number = value.As<Napi::Number>().DoubleValue();
  if (!(number >= static_cast<double>(low) && number <= static_cast<double>(high)) ||
      number != std::floor(number)) {
    bad_argument(what,
                 {"an integer from ", low, " to ", high, " but received ", value.ToString().Utf8Value()});
  }
  return static_cast<int64_t>(number);
}

namespace {

// Not through Napi::TypedArray: its ArrayBuffer type check refuses shared memory on some runtimes.
void* elements_of(const Napi::Value& value, const char* what, const char* expected,
                  std::initializer_list<napi_typedarray_type> types, size_t& length) {
  if (!value.IsTypedArray()) bad_argument(what, {expected});
  napi_typedarray_type type;
  void* data = nullptr;
  if (napi_get_typedarray_info(value.Env(), value, &type, &length, &data, nullptr, nullptr) != napi_ok ||
      std::find(types.begin(), types.end(), type) == types.end()) {
    bad_argument(what, {expected});
  }
  return data;
}

}  // namespace

float* writable_floats_of(const Napi::Value& value, const char* what, size_t& length) {
  return static_cast<float*>(elements_of(value, what, "a Float32Array", {napi_float32_array}, length));
}

const uint8_t* bytes_of(const Napi::Value& value, const char* what, size_t& length) {
  return static_cast<const uint8_t*>(elements_of(value, what, "a Uint8Array or Uint8ClampedArray",
                                                 {napi_uint8_array, napi_uint8_clamped_array}, length));
}

Floats floats_of(const Napi::Value& value, const char* what) {
  Floats floats;
  floats.data = writable_floats_of(value, what, floats.length);
  return floats;
}

Shape shape_of(const Napi::Value& value, const char* what) {
  const Napi::Array array = array_of(value, what);
  Shape shape;
  if (array.Length() < 1 || array.Length() > Shape::max_rank) {
    fail("ERR_SHAPE", {what, ": expected 1 to 6 dimensions but received ", array.Length()});
  }
  shape.rank = static_cast<int>(array.Length());
  for (int i = 0; i < shape.rank; ++i) {
    shape.dims[i] = integer_of(array.Get(static_cast<uint32_t>(i)), what, 1, Shape::max_elements);
  }
  shape.check(what);
  return shape;
}

Node node_of(const Napi::Value& value) {
  const Napi::Object from = object_of(value, "node");
  Node node;
  node.op = op_of(string_of(from.Get("op"), "op"));
  node.name = optional_string_of(from, "name", op_name(node.op));
  const Napi::Array inputs = array_of(from.Get("inputs"), "inputs");
  for (uint32_t i = 0; i < inputs.Length(); ++i) {
    node.inputs.push_back(static_cast<int>(integer_of(inputs.Get(i), "inputs", 0, 1 << 30)));
  }
  node.shape = shape_of(from.Get("shape"), "shape");
  if (given(from.Get("weight"))) node.weight = floats_of(from.Get("weight"), "weight");
  if (given(from.Get("bias"))) node.bias = floats_of(from.Get("bias"), "bias");
  integers_into(from, "kernelSize", node.kernel);
  integers_into(from, "stride", node.stride);
  integers_into(from, "dilation", node.dilation);
  integers_into(from, "padding", node.padding);
  node.groups = small_integer_of(from, "groups", 1);
  node.ceil_mode = boolean_of(from, "ceilMode", false);
  node.count_include_pad = boolean_of(from, "countIncludePad", true);
  node.axis = small_integer_of(from, "axis", 0);
  node.p = number_of(from, "p", 0.0f);
  if (given(from.Get("mean"))) node.mean = floats_of(from.Get("mean"), "mean");
  if (given(from.Get("variance"))) node.variance = floats_of(from.Get("variance"), "variance");
  node.alpha = number_of(from, "alpha", node.alpha);
  node.beta = number_of(from, "beta", node.beta);
  node.training = boolean_of(from, "training", false);
  node.momentum = number_of(from, "momentum", node.momentum);
  node.epsilon = number_of(from, "epsilon", node.epsilon);
  node.value = number_of(from, "value", node.value);
  dimensions_into(from, "axes", 1 << 30, node.axes);
  dimensions_into(from, "starts", int64_t{1} << 31, node.starts);
  dimensions_into(from, "steps", int64_t{1} << 31, node.steps);
  return node;
}

Graph graph_of(const Napi::Value& value) {
  const Napi::Object from = object_of(value, "graph");
  const Napi::Array nodes = array_of(from.Get("nodes"), "nodes");
  Graph graph;
  for (uint32_t i = 0; i < nodes.Length(); ++i) {
    const Napi::HandleScope scope(value.Env());
    graph.nodes.push_back(node_of(nodes.Get(i)));
  }
  graph.output = static_cast<int>(integer_of(from.Get("output"), "output", 0, 1 << 30));
  return graph;
}

PlanOptions options_of(const Napi::Value& value) {
  PlanOptions options;
  if (!given(value)) return options;
  const Napi::Object from = object_of(value, "options");
  options.isa = optional_string_of(from, "isa", "");
  options.algorithm = optional_string_of(from, "algorithm", "auto");
  options.fuse = boolean_of(from, "fuse", true);
  options.threads = small_integer_of(from, "threads", 0);
  options.byte_input = boolean_of(from, "byteInput", false);
  options.scale = number_of(from, "scale", 1.0f);
  options.shift = number_of(from, "shift", 0.0f);
  options.int8 = boolean_of(from, "int8", false);
  if (given(from.Get("ranges"))) options.ranges = floats_of(from.Get("ranges"), "ranges");
  return options;
}

void rethrow_to_js(Napi::Env env) {
  const auto thrown = [&](const char* code, const char* message) {
    Napi::Error error = Napi::Error::New(env, message);
    error.Set("code", Napi::String::New(env, code));
    return error;
  };
  try {
    throw;
  } catch (const Error& e) {
    throw thrown(e.code(), e.what());
  } catch (const std::bad_alloc&) {
    throw thrown("ERR_UNSUPPORTED", "not enough memory for a model or batch of this size");
  }
}

Napi::Array shape_to_js(Napi::Env env, const Shape& shape) {
  const Napi::Array array = Napi::Array::New(env, static_cast<size_t>(shape.rank));
  for (int i = 0; i < shape.rank; ++i) {
    array.Set(static_cast<uint32_t>(i), Napi::Number::New(env, static_cast<double>(shape.dims[i])));
  }
  return array;
}

Napi::Array strings_to_js(Napi::Env env, const std::vector<std::string>& strings) {
  const Napi::Array array = Napi::Array::New(env, strings.size());
  for (size_t i = 0; i < strings.size(); ++i) {
    array.Set(static_cast<uint32_t>(i), Napi::String::New(env, strings[i]));
  }
  return array;
}

}  // namespace bindings
}  // namespace kernelet
