// Pass: places of values in one arena. A value lives from the step that writes it to the last step that reads it.
#include "memory.h"

#include <algorithm>

#include "draft.h"

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

// A value that passes through costs about as much as a dozen multiply-adds.
bool is_worth_dividing(const Draft& draft, const DraftStep& step) {
  const int64_t work = step.planned.macs + 12 * static_cast<int64_t>(draft.floats_of(step.value));
  return work >= draft.options->divide_from;
}

}  // namespace

void lay_out(Draft& draft, Program& program) {
  const size_t values = draft.values.size();
  const bool batched = draft.is_batched();
  std::vector<size_t> last_use(values, 0);
  for (size_t i = 0; i < draft.steps.size(); ++i) {
    for (const Source& source : draft.steps[i].sources) {
      if (source.kind == Source::value) last_use[source.index] = i;
    }
  }
  Arena arena;
  std::vector<Location> where(values);
  where[0] = {Location::input, 0};
  if (batched) where[0] = {Location::arena, program.input_offset = arena.place(draft.floats_of(0))};
  for (size_t i = 0; i < draft.copy(); ++i) {
    if (draft.graph->nodes[i].op == Op::constant) where[i] = {Location::weights, draft.constants[i]};
  }
  for (size_t i = 0; i < draft.steps.size(); ++i) {
    DraftStep& step = draft.steps[i];
    if (step.value == draft.result && !batched) {
      where[step.value] = {Location::output, 0};
    } else {
      where[step.value] = {Location::arena, arena.place(draft.floats_of(step.value))};
      if (step.value == draft.result) program.output_offset = where[step.value].offset;
    }
    program.steps.emplace_back();
    Program::Entry& entry = program.steps.back();
    entry.destination = where[step.value];
    entry.divided = !batched && draft.parts > 1 && step.step().phases() > 0 && is_worth_dividing(draft, step);
    std::vector<size_t> finished;
    for (const Source& source : step.sources) {
      if (source.kind == Source::operand) {
        entry.sources.push_back({Location::weights, step.operands[source.index]});
        continue;
      }
      entry.sources.push_back(where[source.index]);
      finished.push_back(source.index);
    }
    std::sort(finished.begin(), finished.end());
    finished.erase(std::unique(finished.begin(), finished.end()), finished.end());
    for (size_t value : finished) {
      if (where[value].kind == Location::arena && last_use[value] == i) arena.release(where[value].offset);
    }
    if (const WeightedStep* const layer = step.weighted()) {
      const Requantization* const r = layer->requantization.get();
      draft.scratch = std::max(draft.scratch, layer->scratch_size() + (r != nullptr ? r->scratch : 0));
    }
  }
  program.scratch_offset = arena.size();
  program.workspace_floats = arena.size() + AlignedFloats::round_up(draft.scratch);
}

}  // namespace kernelet
