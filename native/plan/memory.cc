// Pass: places of values in one arena. A value lives from the step that writes it to the last step that reads it.
#include "memory.h"

#include <algorithm>

#include "draft.h"
#include "ops/linear.h"

namespace kernelet {

size_t Arena::place(size_t count) {
  count = AlignedFloats::round_up(count);
  size_t at = 0;
  auto next = live_.begin();
  for (; next != live_.end(); ++next) {
    if (next->begin - at >= count) break;
    at = next->end;
  }
  live_.insert(next, {at, at + count});
  size_ = std::max(size_, at + count);
  return at;
}

void Arena::release(size_t begin) {
  live_.erase(std::find_if(live_.begin(), live_.end(), [&](const Span& s) { return s.begin == begin; }));
}

namespace {

// The first step of the tail: a layer that shares its weights, whose source is all that the steps from it on read of
// those before.
size_t find_tail(const Draft& draft) {
  const size_t none = draft.steps.size();
  size_t first = none;
  for (size_t i = 1; i < none && first == none; ++i) {
    const LinearStep* const layer = draft.steps[i].linear();
    if (layer != nullptr && draft.steps[i].quantized == nullptr && layer->shares_weights()) first = i;
  }
  if (first == none || draft.is_batched()) return none;
  const size_t source = draft.steps[first].sources[0].index;
  std::vector<bool> inside(draft.values.size());
  inside[source] = true;
  bool made = false;
  for (size_t i = 0; i < none; ++i) {
    if (i < first) made = made || draft.steps[i].value == source;
    else inside[draft.steps[i].value] = true;
  }
  if (!made || source == draft.result) return none;
  for (size_t i = first; i < none; ++i) {
    for (const Source& one : draft.steps[i].sources) {
      if (one.kind == Source::value && !inside[one.index]) return none;
    }
  }
  return first;
}

// Values that lie inside another one: the inputs of a concatenation along the first dimension, which then has nothing
// to copy.
class Nesting {
 public:
  // Steps from `end` on are left alone: they lie in another arena.
  Nesting(const Draft& draft, size_t end, size_t apart)
      : inside_(draft.values.size()), offset_(draft.values.size()) {
    const size_t values = draft.values.size();
    for (size_t v = 0; v < values; ++v) inside_[v] = v;
    const std::vector<bool> beyond = read_beyond(draft);
    std::vector<bool> made(values);
    for (size_t i = 0; i < end; ++i) {
      const DraftStep& step = draft.steps[i];
      made[step.value] = true;
      if (step.group == nullptr || step.value == apart) continue;
      const Node& node = draft.graph->nodes[static_cast<size_t>(step.group->nodes[0])];
      if (node.op != Op::concat || node.axis != 0) continue;
      size_t at = 0;
      for (size_t j = 0; j < node.inputs.size(); ++j) {
        const size_t v = step.sources[j].index;
        const Shape& shape = draft.graph->nodes[static_cast<size_t>(node.inputs[j])].shape;
        const size_t floats = floats_in(draft.values[step.value].layout, shape, draft.kernels->lanes);
        const bool free = made[v] && inside_[v] == v && v != draft.result && v != apart && !beyond[v];
        if (step.sources[j].kind == Source::value && free && draft.floats_of(v) == floats) {
          inside_[v] = step.value;
          offset_[v] = at;
        }
        at += floats;
      }
    }
  }

  // The outermost value that holds it, and where in that.
  size_t root(size_t value) const {
    while (inside_[value] != value) value = inside_[value];
    return value;
  }
  size_t offset(size_t value) const {
    size_t sum = 0;
    for (; inside_[value] != value; value = inside_[value]) sum += offset_[value];
    return sum;
  }

 private:
  // Numbers of channels in planes that a step takes for blocks: it reads a whole last block, up to where the arena
  // rounds their place up, but what lies inside another value may end where that ends, or the caller's output.
  static std::vector<bool> read_beyond(const Draft& draft) {
    std::vector<bool> beyond(draft.values.size());
    for (const DraftStep& step : draft.steps) {
      if (step.group == nullptr || draft.values[step.value].layout != Layout::blocked) continue;
      for (const Source& source : step.sources) {
        if (source.kind != Source::value || draft.values[source.index].layout != Layout::planes) continue;
        if (draft.floats_of(source.index) % static_cast<size_t>(draft.kernels->lanes) != 0)
          beyond[source.index] = true;
      }
    }
    return beyond;
  }

  std::vector<size_t> inside_, offset_;
};

}  // namespace

// A value that passes through costs about as much as a dozen multiply-adds.
bool is_divided(const Draft& draft, const DraftStep& step) {
  size_t floats = draft.floats_of(step.value);
  const Source& source = step.sources[0];
  if (source.kind == Source::value) floats = std::max(floats, draft.floats_of(source.index));
  const int64_t work = step.planned.macs + 12 * static_cast<int64_t>(floats);
  return !draft.is_batched() && draft.parts > 1 && step.step().phases() > 0 &&
         work >= draft.options->divide_from;
}

void lay_out(Draft& draft, Program& program) {
  const size_t values = draft.values.size();
  const bool batched = draft.is_batched();
  Arena arena, tail;
  program.tail = find_tail(draft);
  const bool has_tail = program.tail < draft.steps.size();
  const size_t tail_source = has_tail ? draft.steps[program.tail].sources[0].index : values;
  const Nesting nesting(draft, program.tail, tail_source);
  std::vector<size_t> last_use(values, 0);  // of a value and of those inside it
  for (size_t i = 0; i < draft.steps.size(); ++i) {
    for (const Source& source : draft.steps[i].sources) {
      if (source.kind == Source::value) last_use[nesting.root(source.index)] = i;
    }
  }
  std::vector<bool> placed(values);
  std::vector<Location> where(values);
  where[0] = {Location::input, 0};
  if (batched) where[0] = {Location::arena, program.input_offset = arena.place(draft.floats_of(0))};
  for (size_t i = 0; i < draft.copy(); ++i) {
    if (draft.graph->nodes[i].op == Op::constant) where[i] = {Location::weights, draft.constants[i]};
  }
  for (size_t i = 0; i < draft.steps.size(); ++i) {
    DraftStep& step = draft.steps[i];
    const size_t root = nesting.root(step.value);
    if (!placed[root]) {
      placed[root] = true;
      if (root == draft.result && !batched) {
        where[root] = {Location::output, 0};
      } else if (i >= program.tail || root == tail_source) {
        where[root] = {Location::tail, tail.place(draft.floats_of(root))};
      } else {
        where[root] = {Location::arena, arena.place(draft.floats_of(root))};
        if (root == draft.result) program.output_offset = where[root].offset;
      }
    }
    where[step.value] = where[root];
    where[step.value].offset += nesting.offset(step.value);
    program.steps.emplace_back();
    Program::Entry& entry = program.steps.back();
    entry.destination = where[step.value];
    entry.divided = is_divided(draft, step);
    std::vector<size_t> finished;
    for (const Source& source : step.sources) {
      if (source.kind == Source::operand) {
        entry.sources.push_back({Location::weights, step.operands[source.index]});
        continue;
      }
      entry.sources.push_back(where[source.index]);
      const size_t root_of = nesting.root(source.index);
      if (std::find(finished.begin(), finished.end(), root_of) == finished.end()) finished.push_back(root_of);
    }
    for (size_t value : finished) {
      if (where[value].kind == Location::arena && last_use[value] == i) arena.release(where[value].offset);
      if (where[value].kind == Location::tail && last_use[value] == i) tail.release(where[value].offset);
    }
    if (const WeightedStep* const layer = step.weighted()) {
      const Requantization* const r = layer->requantization.get();
      draft.scratch = std::max(draft.scratch, layer->scratch_size() + (r != nullptr ? r->scratch : 0));
    }
    draft.scratch = std::max(draft.scratch, step.step().scratch_floats());
  }
  program.scratch_offset = arena.size();
  program.tail_floats = tail.size();
  program.tail_offset = arena.size() + AlignedFloats::round_up(draft.scratch);
  program.workspace_floats = program.tail_offset + Program::tail_images * tail.size();
}

}  // namespace kernelet
