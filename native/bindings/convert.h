// JavaScript values to the core's types. Everything is checked here or in the core: a wrong type is a
// KerneletError, never undefined behaviour.
//
// A getter, or a Proxy, can do anything while a value is read: detach a buffer, dispose of the object whose method is
// running. So all of JavaScript is read first, into values and copies; memory of arrays is looked up afterwards, by
// functions that run no JavaScript (`Arrays::find`, `floats_of`, `bytes_of`), and used before any runs again.
#pragma once

#include <napi.h>

#include <initializer_list>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "plan/plan.h"

namespace kernelet {
namespace bindings {

// The floats of a Float32Array; throws ERR_ARGUMENT for anything else. `what` names it in the sentence.
Floats floats_of(const Napi::Value& value, const char* what);
// The same, writable.
float* writable_floats_of(const Napi::Value& value, const char* what, size_t& length);
// The bytes of a Uint8Array (a Buffer is one) or Uint8ClampedArray.
const uint8_t* bytes_of(const Napi::Value& value, const char* what, size_t& length);

// A typed array of one of several types.
struct Elements {
  napi_typedarray_type type;
  void* data;
  size_t length;
};
Elements elements_of(const Napi::Value& value, const char* what, const char* expected,
                     std::initializer_list<napi_typedarray_type> types);

// Float32Arrays that were met while JavaScript was read, and where their memory is to be noted.
class Arrays {
 public:
  // `to` stays where it is until `find`.
  void add(const Napi::Value& value, std::string what, Floats& to);
  // Looks all of it up; throws ERR_ARGUMENT for what is no Float32Array. After this no JavaScript may run.
  void find() const;

 private:
  struct Entry {
    Napi::Value value;
    std::string what;
    Floats* to;
  };
  std::vector<Entry> entries_;
};

bool given(const Napi::Value& value);  // neither undefined nor null
Napi::Object object_of(const Napi::Value& value, const char* what);
Napi::Array array_of(const Napi::Value& value, const char* what);
std::string string_of(const Napi::Value& value, const char* what);
// An integer in [low, high].
int64_t integer_of(const Napi::Value& value, const char* what, int64_t low, int64_t high);
// The index of a string among some.
int choice_of(const Napi::Value& value, const char* what, const char* const* names, size_t count);
template <size_t N>
int choice_of(const Napi::Value& value, const char* what, const char* const (&names)[N]) {
  return choice_of(value, what, names, N);
}

// A property; `otherwise` where it is not given.
double number_of(const Napi::Object& from, const char* key, double otherwise);
bool boolean_of(const Napi::Object& from, const char* key, bool otherwise);

Shape shape_of(const Napi::Value& value, const char* what);
// Several of them.
std::vector<Shape> shapes_of(const Napi::Value& value, const char* what);
// Into `node`, which stays where it is until `arrays.find()`; likewise the others. `files`: weights of convolutions and
// linear layers may be places in files.
void read_node(const Napi::Value& value, Node& node, Arrays& arrays, bool files = false);
void read_graph(const Napi::Value& value, Graph& graph, Arrays& arrays, bool files = false);
void read_options(const Napi::Value& value, PlanOptions& options, Arrays& arrays);

// A property of a result, or an element: its own. An assignment would run setters of Object.prototype, where someone
// put one there, which can do anything while a result is made.
void put_value(const Napi::Object& to, napi_value key, napi_value value);
template <class T>
void put(const Napi::Object& to, const char* name, const T& value) {
  put_value(to, Napi::String::New(to.Env(), name), Napi::Value::From(to.Env(), value));
}
void put_at(const Napi::Array& to, size_t i, napi_value value);

Napi::Array shape_to_js(Napi::Env env, const Shape& shape);
Napi::Array strings_to_js(Napi::Env env, const std::vector<std::string>& strings);

}  // namespace bindings
}  // namespace kernelet
