#include "convert.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "ops/definition.h"

namespace kernelet {
namespace bindings {
namespace {

// More than any network has; a list of this length costs no more than some hundred megabytes.
constexpr uint32_t max_nodes = 1 << 18;
// Of one operation on its own.
constexpr uint32_t max_inputs = 1 << 16;

[[noreturn]] void bad_argument(const char* what, std::initializer_list<Text> expected) {
  fail("ERR_ARGUMENT", {what, ": expected ", sentence_of(expected)});
}

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
  const uint32_t count = array.Length();
  if (count > Shape::max_rank) bad_argument(key, {"at most 6 integers"});
  for (uint32_t i = 0; i < count; ++i)
    to[i] = static_cast<Integer>(integer_of(array.Get(i), key, -most, most));
}

int small_integer_of(const Napi::Object& from, const char* key, int otherwise) {
  const Napi::Value value = from.Get(key);
  return given(value) ? static_cast<int>(integer_of(value, key, -(1 << 30), 1 << 30)) : otherwise;
}

float float_of(const Napi::Object& from, const char* key, float otherwise) {
  return static_cast<float>(number_of(from, key, static_cast<double>(otherwise)));
}

std::string optional_string_of(const Napi::Object& from, const char* key, const char* otherwise) {
  const Napi::Value value = from.Get(key);
  return given(value) ? string_of(value, key) : otherwise;
}

void floats_into(const Napi::Object& from, const char* key, Floats& to, Arrays& arrays) {
  const Napi::Value value = from.Get(key);
  if (given(value)) arrays.add(value, key, to);
}

}  // namespace

bool given(const Napi::Value& value) { return !value.IsUndefined() && !value.IsNull(); }

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

int choice_of(const Napi::Value& value, const char* what, const char* const* names, size_t count) {
  const std::string name = value.IsString() ? value.As<Napi::String>().Utf8Value() : "";
  std::string list;
  for (size_t i = 0; i < count; ++i) {
    if (name == names[i]) return static_cast<int>(i);
    list += (i > 0 ? ", " : "") + std::string(names[i]);
  }
  fail("ERR_ARGUMENT", {what, ": expected one of ", list});
}

double number_of(const Napi::Object& from, const char* key, double otherwise) {
  const Napi::Value value = from.Get(key);
  if (!given(value)) return otherwise;
  if (!value.IsNumber()) bad_argument(key, {"a number"});
  return value.As<Napi::Number>().DoubleValue();
}

bool boolean_of(const Napi::Object& from, const char* key, bool otherwise) {
  const Napi::Value value = from.Get(key);
  if (!given(value)) return otherwise;
  if (!value.IsBoolean()) bad_argument(key, {"true or false"});
  return value.As<Napi::Boolean>().Value();
}

// Not through Napi::TypedArray: its ArrayBuffer type check refuses shared memory on some runtimes.
Elements elements_of(const Napi::Value& value, const char* what, const char* expected,
                     std::initializer_list<napi_typedarray_type> types) {
  if (!value.IsTypedArray()) bad_argument(what, {expected});
  Elements e = {napi_int8_array, nullptr, 0};
  if (napi_get_typedarray_info(value.Env(), value, &e.type, &e.length, &e.data, nullptr, nullptr) !=
          napi_ok ||
      std::find(types.begin(), types.end(), e.type) == types.end()) {
    bad_argument(what, {expected});
  }
  // An empty array, such as one that was detached, is not one that was not given, which a null stands for.
  alignas(8) static char nothing[8];
  if (e.data == nullptr) e.data = nothing;
  return e;
}

float* writable_floats_of(const Napi::Value& value, const char* what, size_t& length) {
  const Elements e = elements_of(value, what, "a Float32Array", {napi_float32_array});
  length = e.length;
  return static_cast<float*>(e.data);
}

const uint8_t* bytes_of(const Napi::Value& value, const char* what, size_t& length) {
  const Elements e = elements_of(value, what, "a Uint8Array or Uint8ClampedArray",
                                 {napi_uint8_array, napi_uint8_clamped_array});
  length = e.length;
  return static_cast<const uint8_t*>(e.data);
}

Floats floats_of(const Napi::Value& value, const char* what) {
  Floats floats;
  floats.data = writable_floats_of(value, what, floats.length);
  return floats;
}

void Arrays::add(const Napi::Value& value, std::string what, Floats& to) {
  entries_.push_back({value, std::move(what), &to});
}

void Arrays::find() const {
  for (const Entry& entry : entries_) *entry.to = floats_of(entry.value, entry.what.c_str());
}

Shape shape_of(const Napi::Value& value, const char* what) {
  const Napi::Array array = array_of(value, what);
  const uint32_t rank = array.Length();
  Shape shape;
  if (rank < 1 || rank > Shape::max_rank) {
    fail("ERR_SHAPE", {what, ": expected 1 to 6 dimensions but received ", rank});
  }
  shape.rank = static_cast<int>(rank);
  for (uint32_t i = 0; i < rank; ++i) {
    shape.dims[i] = integer_of(array.Get(i), what, 1, Shape::max_elements);
  }
  shape.check(what);
  return shape;
}

std::vector<Shape> shapes_of(const Napi::Value& value, const char* what) {
  const Napi::Array array = array_of(value, what);
  const uint32_t count = array.Length();
  if (count > max_inputs) bad_argument(what, {"at most ", max_inputs, " shapes but received ", count});
  std::vector<Shape> shapes;
  for (uint32_t i = 0; i < count; ++i) shapes.push_back(shape_of(array.Get(i), what));
  return shapes;
}

static void read_resize(const Napi::Object& from, Node& node) {
  static const char* const coordinates[] = {"asymmetric", "half_pixel", "pytorch_half_pixel", "align_corners",
                                            "step"};
  static const char* const roundings[] = {"floor", "ceil", "round_prefer_floor", "round_prefer_ceil"};
  const Napi::Value way = from.Get("coordinates"), rounding = from.Get("rounding"),
                    scales = from.Get("scales");
  if (given(way)) node.coordinates = static_cast<Coordinates>(choice_of(way, "coordinates", coordinates, 5));
  if (given(rounding)) node.rounding = static_cast<Rounding>(choice_of(rounding, "rounding", roundings, 4));
  if (!given(scales)) return;
  const Napi::Array array = array_of(scales, "scales");
  for (uint32_t i = 0; i < 2; ++i) {
    const Napi::Value scale = array.Get(i);
    if (!scale.IsNumber()) bad_argument("scales", {"two numbers"});
    node.scales[i] = scale.As<Napi::Number>().FloatValue();
  }
}

// A Float32Array, or {file, offset, length}.
static void read_weight(const Napi::Object& from, Node& node, Arrays& arrays, bool files) {
  const Napi::Value value = from.Get("weight");
  if (!given(value)) return;
  const bool packed = node.op == Op::conv2d || node.op == Op::linear;
  if (!files || !packed || !value.IsObject() || value.IsTypedArray())
    return arrays.add(value, "weight", node.weight);
  const Napi::Object place = value.As<Napi::Object>();
  constexpr int64_t most = int64_t{1} << 53;
  node.weight.length = static_cast<size_t>(integer_of(place.Get("length"), "length", 1, Shape::max_elements));
  node.weight.offset = integer_of(place.Get("offset"), "offset", 0, most);
  node.weight.file = static_cast<int>(integer_of(place.Get("file"), "file", 0, 1 << 30));
}

void read_node(const Napi::Value& value, Node& node, Arrays& arrays, bool files) {
  const Napi::Object from = object_of(value, "node");
  node.op = op_of(string_of(from.Get("op"), "op"));
  node.name = optional_string_of(from, "name", op_name(node.op));
  const Napi::Array inputs = array_of(from.Get("inputs"), "inputs");
  const uint32_t count = inputs.Length();
  for (uint32_t i = 0; i < count; ++i) {
    node.inputs.push_back(static_cast<int>(integer_of(inputs.Get(i), "inputs", 0, 1 << 30)));
  }
  const Napi::Value shape = from.Get("shape");
  if (given(shape)) node.shape = shape_of(shape, "shape");  // else of rank 0, which `validate` refuses
  // A look at a property takes a tenth of a microsecond, also at one that is not there.
  const unsigned attributes = definition_of(node.op).attributes;
  if (attributes & weight_attribute) read_weight(from, node, arrays, files);
  if (attributes & bias_attribute) floats_into(from, "bias", node.bias, arrays);
  if (attributes & statistics_attributes) {
    floats_into(from, "mean", node.mean, arrays);
    floats_into(from, "variance", node.variance, arrays);
    node.training = boolean_of(from, "training", false);
    node.momentum = float_of(from, "momentum", node.momentum);
  }
  if (attributes & epsilon_attribute) node.epsilon = float_of(from, "epsilon", node.epsilon);
  if (attributes & window_attributes) {
    integers_into(from, "kernelSize", node.kernel);
    integers_into(from, "stride", node.stride);
    integers_into(from, "dilation", node.dilation);
    integers_into(from, "padding", node.padding);
    node.ceil_mode = boolean_of(from, "ceilMode", false);
    node.count_include_pad = boolean_of(from, "countIncludePad", true);
  }
  if (attributes & groups_attribute) node.groups = small_integer_of(from, "groups", 1);
  if (attributes & axis_attribute) node.axis = small_integer_of(from, "axis", 0);
  if (attributes & probability_attribute) node.p = float_of(from, "p", 0.0f);
  if (attributes & parameter_attributes) {
    node.alpha = float_of(from, "alpha", node.alpha);
    node.beta = float_of(from, "beta", node.beta);
  }
  if (attributes & output_padding_attribute) integers_into(from, "outputPadding", node.output_padding);
  if (attributes & resize_attributes) read_resize(from, node);
  if (attributes & value_attribute) node.value = float_of(from, "value", node.value);
  if (attributes & axes_attribute) dimensions_into(from, "axes", 1 << 30, node.axes);
  if (attributes & starts_attribute) dimensions_into(from, "starts", int64_t{1} << 31, node.starts);
  if (attributes & steps_attribute) dimensions_into(from, "steps", int64_t{1} << 31, node.steps);
}

void read_graph(const Napi::Value& value, Graph& graph, Arrays& arrays, bool files) {
  const Napi::Object from = object_of(value, "graph");
  const Napi::Array nodes = array_of(from.Get("nodes"), "nodes");
  const uint32_t count = nodes.Length();
  if (count > max_nodes) bad_argument("nodes", {"at most ", max_nodes, " but received ", count});
  graph.nodes.resize(count);
  for (uint32_t i = 0; i < count; ++i) read_node(nodes.Get(i), graph.nodes[i], arrays, files);
  graph.output = static_cast<int>(integer_of(from.Get("output"), "output", 0, 1 << 30));
}

void read_options(const Napi::Value& value, PlanOptions& options, Arrays& arrays) {
  if (!given(value)) return;
  const Napi::Object from = object_of(value, "options");
  options.isa = optional_string_of(from, "isa", "");
  options.algorithm = optional_string_of(from, "algorithm", "auto");
  options.fuse = boolean_of(from, "fuse", true);
  options.threads = small_integer_of(from, "threads", 0);
  options.byte_input = boolean_of(from, "byteInput", false);
  options.scale = float_of(from, "scale", 1.0f);
  options.shift = float_of(from, "shift", 0.0f);
  options.int8 = boolean_of(from, "int8", false);
  floats_into(from, "ranges", options.ranges, arrays);
}

void put_value(const Napi::Object& to, napi_value key, napi_value value) {
  const napi_property_descriptor property = {
      nullptr, key, nullptr, nullptr, nullptr, value, napi_default_jsproperty, nullptr};
  if (napi_define_properties(to.Env(), to, 1, &property) != napi_ok) throw Napi::Error::New(to.Env());
}

void put_at(const Napi::Array& to, size_t i, napi_value value) {
  put_value(to, Napi::String::New(to.Env(), std::to_string(i)), value);
}

Napi::Array shape_to_js(Napi::Env env, const Shape& shape) {
  const Napi::Array array = Napi::Array::New(env, static_cast<size_t>(shape.rank));
  for (int i = 0; i < shape.rank; ++i) {
    put_at(array, i, Napi::Number::New(env, static_cast<double>(shape.dims[i])));
  }
  return array;
}

Napi::Array strings_to_js(Napi::Env env, const std::vector<std::string>& strings) {
  const Napi::Array array = Napi::Array::New(env, strings.size());
  for (size_t i = 0; i < strings.size(); ++i) {
    put_at(array, i, Napi::String::New(env, strings[i]));
  }
  return array;
}

}  // namespace bindings
}  // namespace kernelet
