// From graph to plan: the passes, in order.
#include <algorithm>

#include "base/cpu.h"
#include "base/thread_pool.h"
#include "draft.h"
#include "kernels/isa.h"
#include "layout.h"
#include "ops/conv.h"

namespace kernelet {
namespace {

void check(const PlanOptions& options) {
  if (options.threads < 0 || options.threads > max_threads) {
    fail("ERR_ARGUMENT", {"threads: expected 0 (chosen by the amount of work) to ", max_threads,
                          " but received ", options.threads});
  }
  for (const char* name : {"auto", "fastest", "im2col", "direct", "direct-pixels", "direct-channels",
                           "blocked", "winograd", "lanes"}) {
    if (options.algorithm == name) return;
  }
  fail("ERR_ARGUMENT", {"algorithm: expected one of auto, fastest, im2col, direct, direct-pixels, "
                        "direct-channels, blocked, winograd, lanes but received '",
                        options.algorithm, "'"});
}

// Weights lie in files only where they are packed and not looked at.
void check_files(const Graph& graph, const PlanOptions& options) {
  for (const Node& node : graph.nodes) {
    const bool packed = (node.op == Op::conv2d || node.op == Op::linear) && !options.int8;
    if (node.weight.file >= 0 && !packed)
      fail("ERR_ARGUMENT", {node.name, ": expected weights in memory but they lie in a file"});
  }
}

// That each is of a convolution or a linear layer; what it can do is seen where it is done.
void check(const Graph& graph, const Choices& choices) {
  for (const Choice& one : choices.nodes) {
    const bool there = one.node >= 0 && static_cast<size_t>(one.node) < graph.nodes.size();
    const Op op = there ? graph.nodes[static_cast<size_t>(one.node)].op : Op::input;
    if (op != Op::conv2d && op != Op::linear)
      fail("ERR_ARGUMENT", {"tuned: node ", one.node, " is no convolution and no linear layer"});
    if (one.strip < -1 || one.way > Choice::winograd || one.algorithm < 0) refuse(graph, one);
  }
}

}  // namespace

void refuse(const Graph& graph, const Choice& choice) {
  fail("ERR_ARGUMENT", {"tuned: ", graph.nodes[static_cast<size_t>(choice.node)].name,
                        " cannot be computed as it says, with these options on this machine"});
}

class PlanBuilder {
 public:
  static std::unique_ptr<Plan> build(const Graph& graph, const PlanOptions& options) {
    validate(graph);
    check(options);
    check(graph, options.choices);
    check_files(graph, options);
    std::unique_ptr<Plan> plan(new Plan);
    const KernelTable& kernels = *(plan->kernels_ = choose_isa(options.isa).table);
    plan->threads_ = options.threads;
    plan->parts_ = parts_of_image(options);
    plan->input_length_ = graph.nodes[0].shape.elements();
    plan->output_shape_ = graph.nodes[static_cast<size_t>(graph.output)].shape;

    const NodeFlags blocked = blocked_convolutions(graph, kernels, options);
    FusionRules rules;
    rules.enabled = options.fuse;
    rules.int8 = options.int8;
    const std::vector<Group> batched_groups = fuse(graph, rules);
    rules.blocked = &blocked;
    const std::vector<Group> single_groups = fuse(graph, rules);
    QuantizedGraph quantized;
    if (options.int8) quantized = quantize(graph, batched_groups, options);
    const Int8Kernels* const int8x4 = (cpu_features() & cpu_avx512_vnni) != 0 ? kernels.int8 : nullptr;
    size_t weights = 0;
    const auto draft = [&](Layout images, std::unique_ptr<Program>& program) {
      Draft d = {&graph, &options, &kernels, int8x4, images, plan->parts_, &blocked};
      const std::vector<Group>& groups = d.is_batched() ? batched_groups : single_groups;
      choose_layouts(d, groups);
      lower(d, groups, options.int8 ? &quantized : nullptr);
      prove_bounds(d);
      lower_to_int8(d);
      choose_algorithms(d);
      fold_gates(d);
      go_depth_first(d);
      fuse_prefetches(d);
      reserve_weights(d, weights);
      program.reset(new Program);
      lay_out(d, *program);
      plan->workspace_floats_ = std::max(plan->workspace_floats_, program->workspace_floats);
      return d;
    };
    Draft single = draft(Layout::planes, plan->single_), batched;
    plan->descriptions_ = describe(single);
    for (const StepDescription& step : plan->descriptions_) plan->macs_ += step.macs;
    for (const Program::Entry& entry : plan->single_->steps) plan->divided_ = plan->divided_ || entry.divided;
    plan->tries_ = options.divide_from > 0;
    plan->batched_from_ = batched_from(graph, kernels, options);
    if (plan->batched_from_ > 0) {
      batched = draft(Layout::batched, plan->batched_);
      if (options.algorithm == "lanes") plan->descriptions_ = describe(batched);
      match(single, batched, *plan->batched_);
    }
    if (options.byte_input) place_bytes(*plan, options, quantized);

    AlignedFloats packed = zeros(weights);
    packed.in_large_pages();
    pack(single, packed.data());
    pack(batched, packed.data());
    plan->weights_ = shared(std::move(packed));
    finish(single, *plan->single_, plan->weights());
    if (plan->batched_from_ > 0) finish(batched, *plan->batched_, plan->weights());
    return plan;
  }

 private:
  // Which step of the single program computes what a batched step does: profiles add up their times.
  static void match(const Draft& single, const Draft& batched, Program& program) {
    for (size_t i = 0; i < batched.steps.size(); ++i) {
      for (size_t j = 0; j < single.steps.size(); ++j) {
        if (computes(single.steps[j], batched.steps[i].group)) program.steps[i].described = j;
      }
    }
  }

  static bool computes(const DraftStep& step, const Group* of) {
    const Group* const group = step.group;
    if (group == nullptr || of == nullptr) return group == of;
    if (step.expand != nullptr && computes(*step.expand, of)) return true;
    if (step.gate == of) return true;
    return std::find(group->nodes.begin(), group->nodes.end(), of->nodes[0]) != group->nodes.end();
  }

  // Images as floats go behind the rest of the workspace.
  static void place_bytes(Plan& plan, const PlanOptions& options, const QuantizedGraph& quantized) {
    plan.byte_input_ = true;
    plan.scale_ = quantized.byte_input ? 1 : options.scale;
    plan.shift_ = quantized.byte_input ? static_cast<float>(-quantized.zero_of_input) : options.shift;
    plan.bytes_offset_ = AlignedFloats::round_up(plan.workspace_floats_);
    const int64_t images = plan.batched_from_ > 0 ? plan.kernels_->lanes : 1;
    plan.workspace_floats_ = plan.bytes_offset_ + static_cast<size_t>(images * plan.input_length_);
  }

  static void finish(Draft& draft, Program& program, const float* weights) {
    place(draft, weights);
    for (size_t i = 0; i < draft.steps.size(); ++i) {
      DraftStep& step = draft.steps[i];
      if (step.expand != nullptr) step.conv()->owned_expand = std::move(step.expand->planned.step);
      program.steps[i].step = std::move(step.planned.step);
    }
  }
};

std::unique_ptr<Plan> build_plan(const Graph& graph, const PlanOptions& options) {
  return PlanBuilder::build(graph, options);
}

std::unique_ptr<const Plan> Plan::make(const Graph& graph, const PlanOptions& options) {
  return build_plan(graph, options);
}

}  // namespace kernelet
