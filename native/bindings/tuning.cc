#include "tuning.h"

namespace kernelet {
namespace bindings {
namespace {

// Numbers of a choice: node, way, algorithm, strip.
constexpr size_t numbers = 4;
// As many as there can be nodes.
constexpr size_t most_choices = size_t{1} << 14;

}  // namespace

bool read_tuning(const Napi::Value& options, PlanOptions& plan, TuneOptions& how) {
  if (!given(options)) return false;
  const Napi::Object from = object_of(options, "options");
  const double divide_from = number_of(from, "divideFrom", static_cast<double>(plan.divide_from));
  const double lanes = number_of(from, "lanes", -1), batch = number_of(from, "tuneBatch", 0);
  if (divide_from >= 0 && divide_from < 1e15) plan.divide_from = static_cast<int64_t>(divide_from);
  if (lanes == 0 || lanes == 1) plan.choices.lanes = static_cast<int>(lanes);
  const Napi::Value choices = from.Get("choices");
  if (given(choices)) {
    const Elements all = elements_of(choices, "choices", "an Int32Array", {napi_int32_array});
    const auto* const values = static_cast<const int32_t*>(all.data);
    if (all.length / numbers > most_choices) fail("ERR_ARGUMENT", {"tuned: too many steps"});
    for (size_t i = 0; i + numbers <= all.length; i += numbers) {
      Choice choice;
      choice.node = values[i];
      choice.way = static_cast<Choice::Way>(values[i + 1] & 255);
      choice.algorithm = values[i + 2];
      choice.strip = values[i + 3];
      plan.choices.nodes.push_back(choice);
    }
  }
  if (!(batch >= 1 && batch <= 1 << 20)) return false;
  how.batch = static_cast<int64_t>(batch);
  return true;
}

Napi::Object tuning_to_js(Napi::Env env, const Tuned& tuned) {
  const std::vector<Choice>& nodes = tuned.choices.nodes;
  Napi::Int32Array choices = Napi::Int32Array::New(env, numbers * nodes.size());
  int32_t* to = choices.Data();
  for (const Choice& choice : nodes) {
    for (const int32_t value :
         {choice.node, static_cast<int32_t>(choice.way), choice.algorithm, choice.strip})
      *to++ = value;
  }
  Napi::Object o = Napi::Object::New(env);
  put_value(o, Napi::String::New(env, "choices"), choices);
  const auto set = [&](const char* name, double value) { put(o, name, Napi::Number::New(env, value)); };
  set("lanes", tuned.choices.lanes);
  set("divideFrom", static_cast<double>(tuned.divide_from));
  set("untunedNs", tuned.untuned_ns);
  set("tunedNs", tuned.tuned_ns);
  return o;
}

}  // namespace bindings
}  // namespace kernelet
