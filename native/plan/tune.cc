// Tuning. A plan's steps are timed one by one, as profiles do, and beside them those of plans that compute everything
// otherwise. Where such a step is faster, its choice is tried in the plan as a whole, reorders and all, and kept if
// that is faster. In the end the plan has to beat the untuned one, run against run.
#include "tune.h"

#include <algorithm>
#include <functional>

#include "draft.h"
#include "layout.h"
#include "ops/conv.h"
#include "ops/linear.h"

namespace kernelet {
namespace {

// A step counts as faster from this share of its time on, a plan from this one; in the end it is run more often.
constexpr double faster_step = 0.97, faster_plan = 0.995;
// A measurement takes about so long, and at least so many runs.
constexpr double measurement_ns = 40e6;
constexpr int fewest_runs = 5, most_runs = 60;
// Neighbouring steps that change their way together: how many such trials a plan to learn from is worth.
constexpr int most_trials = 8;

double sum(const std::vector<double>& values) {
  double all = 0;
  for (double value : values) all += value;
  return all;
}

}  // namespace

class Tuner {
 public:
  Tuner(const Graph& graph, const PlanOptions& options, const TuneOptions& how)
      : graph_(graph),
        given_(options),
        options_(options),
        how_(how),
        deadline_(how.clock() + how.seconds * 1e9) {
    plan_ = build_plan(graph, options);
    // of floats from -1 to 1 every byte is one, too
    input_ = zeros(static_cast<size_t>(how.batch * plan_->input_length()));
    output_ = zeros(static_cast<size_t>(how.batch * plan_->output_length()));
    uint32_t state = 7;
    for (size_t i = 0; i < input_.size(); ++i) {
      state = state * 1664525u + 1013904223u;
      input_.data()[i] = static_cast<float>(state >> 8) / 8388608.0f - 1.0f;
    }
  }

  Tuned run() {
    tune_lanes();
    // images side by side go through kernels that there are no others of
    const bool single = plan_->batched_from_ == 0 || how_.batch < plan_->batched_from_;
    if (single) tune_strips();
    for (int kind = 0; single && kind < 3 && !late(); ++kind) {
      PlanOptions other = options_;
      if (choose_otherwise(kind, other)) learn_from(other);
    }
    tune_shares();

    Tuned tuned;
    double ns[2];
    std::unique_ptr<Plan> untuned = build_plan(graph_, given_);
    // built anew, as it will be from what is kept
    plan_ = build_plan(graph_, options_);
    const bool faster = is_faster(*plan_, *untuned, true, ns);
    tuned.untuned_ns = ns[0];
    tuned.tuned_ns = ns[faster ? 1 : 0];
    const PlanOptions& taken = faster ? options_ : given_;
    tuned.choices = taken.choices;
    tuned.divide_from = taken.divide_from;
    tuned.plan = std::move(faster ? plan_ : untuned);
    return tuned;
  }

 private:
  using Times = std::vector<double>;  // a step each, nanoseconds

  bool late() const { return how_.clock() > deadline_; }

  Plan::Input input() const {
    return options_.byte_input ? Plan::Input(reinterpret_cast<const uint8_t*>(input_.data()))
                               : Plan::Input(input_.data());
  }

  Times profile(const Plan& plan) { return plan.profile(input(), output_.data(), how_.batch, 1, how_.clock); }

  double time(const Plan& plan) {
    const double before = how_.clock();
    plan.run(input(), output_.data(), how_.batch);
    return how_.clock() - before;
  }

  // The shortest times of measure(variant), a list each, the variants taking turns: whatever else the machine does
  // makes a time longer, never shorter.
  std::vector<Times> in_turns(int variants, const std::function<Times(int)>& measure) const {
    std::vector<Times> all(static_cast<size_t>(variants));
    int runs = fewest_runs;
    for (int i = -1; i < runs; ++i) {
      for (size_t v = 0; v < all.size(); ++v) {
        const Times times = measure(static_cast<int>(v));
        if (i < 0 && v == 0) {
          const double wanted = measurement_ns / std::max(sum(times), 1.0);
          runs = static_cast<int>(std::min<double>(most_runs, std::max<double>(fewest_runs, wanted)));
        }
        // (the first round is to warm up)
        if (i <= 0) all[v] = times;
        for (size_t s = 0; s < times.size(); ++s) all[v][s] = std::min(all[v][s], times[s]);
      }
    }
    return all;
  }

  // ---- how much of the input goes through a step's weights at a time: nothing is packed anew

  // The convolution of a step that has strips to choose.
  ConvStep* with_strips(size_t step) const {
    ConvStep* const conv = plan_->single_->steps[step].step->as_conv();
    if (conv == nullptr || !conv->blocked || conv->args.epilogue.pool != Pool::none) return nullptr;
    if (conv->args.gated) return nullptr;  // its scratch is that of its strips
    return conv->expand != nullptr || conv->algorithm == &plan_->kernels_->blocked_conv ? conv : nullptr;
  }

  // Variant 0 is the usual one. Depth first there are no more rows than there is scratch for.
  static int32_t strip_of(const ConvStep& conv, int32_t usual, int variant) {
    if (variant == 0) return usual;
    const ConvArgs& a = conv.args;
    const int width = conv.algorithm->tile_rows;
    const int tiles = a.kh * a.kw == 1 ? a.oh * a.ow / width + 1 : a.oh * (a.ow / width + 1);
    return std::max(1, conv.expand != nullptr ? usual >> variant : tiles >> (variant - 1));
  }

  void tune_strips() {
    std::vector<int> usual;
    for (size_t s = 0; s < plan_->descriptions_.size(); ++s)
      usual.push_back(with_strips(s) != nullptr ? with_strips(s)->args.strip : -1);
    if (usual.empty() || *std::max_element(usual.begin(), usual.end()) < 0) return;
    constexpr int variants = 4;
    const std::vector<Times> times = in_turns(variants, [&](int variant) {
      for (size_t s = 0; s < usual.size(); ++s) {
        ConvStep* const conv = with_strips(s);
        if (conv != nullptr) conv->args.strip = strip_of(*conv, usual[s], variant);
      }
      return profile(*plan_);
    });
    for (size_t s = 0; s < usual.size(); ++s) {
      ConvStep* const conv = with_strips(s);
      if (conv == nullptr) continue;
      int best = 0;
      double limit = faster_step * times[0][s];
      for (int v = 1; v < variants; ++v) {
        const double ns = times[static_cast<size_t>(v)][s];
        if (ns >= limit) continue;
        best = v;
        limit = ns;
      }
      conv->args.strip = strip_of(*conv, usual[s], best);
      if (best > 0) options_.choices.at(plan_->descriptions_[s].decider).strip = conv->args.strip;
    }
  }

  // ---- other plans, to learn from

  // 0: what lies in blocks in planes and the other way round, linear layers in registers of another width; 1: over planes
  // the cost model's second best, depth first what is not, and not what is; 2: Winograd or not. False: there is nothing.
  bool choose_otherwise(int kind, PlanOptions& other) const {
    const KernelTable& k = *plan_->kernels_;
    bool any = kind == 1;
    other.second_best = any;
    if (any) other.depth_first.from = 0;
    for (size_t s = 0; s < plan_->descriptions_.size(); ++s) {
      const StepDescription& step = plan_->descriptions_[s];
      const LinearStep* const layer = plan_->single_->steps[s].step->as_linear();
      if (kind == 0 && layer != nullptr && layer->args.rows == 1 && k.narrow_linear != nullptr) {
        other.choices.at(step.decider).algorithm =
            layer->algorithm == &k.linear ? Choice::narrow_linear : Choice::wide_linear;
        any = true;
      }
      if (step.reorder) continue;
      for (int node : step.nodes) {
        if (graph_.nodes[static_cast<size_t>(node)].op != Op::conv2d) continue;
        if (kind == 1) {
          if (step.strip > 0 && node == step.decider) other.choices.at(node).strip = -1;
          continue;
        }
        const ConvArgs a = conv_args_of(graph_, node, k);
        const bool blocked = *step.layout == 'b', winograd = step.algorithm == "winograd";
        Choice::Way way = blocked ? Choice::planes : Choice::blocked;
        if (kind == 2) way = winograd ? Choice::blocked : Choice::winograd;
        const ConvAlgorithm& needed = way == Choice::winograd ? k.winograd : direct_in_blocks(a, k);
        if (kind == 2 && (options_.algorithm != "fastest" || step.strip > 0)) continue;
        if (way != Choice::planes && (k.lanes == 1 || !needed.fits(a))) continue;
        Choice& choice = other.choices.at(node);
        choice.way = way;
        choice.algorithm = choice.strip = 0;
        any = true;
      }
    }
    return any;
  }

  // Where a step of the other plan is faster, what it does is tried here, neighbours together.
  void learn_from(const PlanOptions& options) {
    const std::unique_ptr<Plan> other = build_plan(graph_, options);
    const std::vector<Times> times =
        in_turns(2, [&](int variant) { return profile(variant == 0 ? *plan_ : *other); });
    const size_t steps = plan_->descriptions_.size();
    std::vector<int> step_of(graph_.nodes.size(), static_cast<int>(steps)), here;
    for (size_t s = 0; s < steps; ++s) {
      for (int node : plan_->descriptions_[s].nodes) {
        if (!plan_->descriptions_[s].reorder) step_of[static_cast<size_t>(node)] = static_cast<int>(s);
      }
    }
    // what the other plan takes less for each step here; the last is for reorders, and ends the list
    Times gain = times[0], theirs(steps + 1, 0.0);
    for (size_t i = 0; i < other->descriptions_.size(); ++i) {
      const StepDescription& step = other->descriptions_[i];
      here.push_back(step.reorder ? static_cast<int>(steps) : step_of[static_cast<size_t>(step.nodes[0])]);
      theirs[static_cast<size_t>(here[i])] += times[1][i];
    }
    for (size_t s = 0; s < steps; ++s) {
      const bool faster = theirs[s] > 0 && theirs[s] < faster_step * gain[s];
      gain[s] = faster ? gain[s] - theirs[s] : 0;
    }
    gain.push_back(0);
    // (what the steps are called here stays true of the plan as it was measured, also when an attempt takes its place)
    for (int trial = 0; trial < most_trials && !late(); ++trial) {
      size_t first = static_cast<size_t>(std::max_element(gain.begin(), gain.end()) - gain.begin());
      if (gain[first] <= 0) return;
      size_t end = first;
      while (first > 0 && gain[first - 1] > 0) --first;
      PlanOptions attempt = options_;
      while (gain[end] > 0) ++end;
      for (size_t s = first; s < end; ++s) gain[s] = 0;
      for (size_t i = 0; i < here.size(); ++i) {
        const size_t s = static_cast<size_t>(here[i]);
        if (s >= first && s < end) add_choices(*other, i, options.choices, attempt.choices);
      }
      take_if_faster(attempt, false);
    }
  }

  // What a step of another plan does that the cost model would not.
  void add_choices(const Plan& other, size_t i, const Choices& asked, Choices& to) const {
    const StepDescription& step = other.descriptions_[i];
    Step& made = *other.single_->steps[i].step;
    const ConvStep* const conv = made.as_conv();
    const bool linear = made.as_linear() != nullptr;
    for (int node : step.nodes) {
      const bool is_conv = graph_.nodes[static_cast<size_t>(node)].op == Op::conv2d;
      if (!is_conv && (!linear || node != step.decider)) continue;
      Choice& choice = to.at(node);
      if (const Choice* const given = asked.of(node)) choice = *given;
      if (conv == nullptr) continue;
      if (!conv->blocked) choice.algorithm = implementation_of(*other.kernels_, *conv->algorithm);
      if (conv->expand != nullptr && node == step.decider) choice.strip = conv->args.strip;
    }
  }

  // By whole runs, or by the sum of their steps.
  bool is_faster(const Plan& plan, const Plan& than, bool whole, double* ns) {
    const std::vector<Times> times = in_turns(2, [&](int variant) {
      const Plan& one = variant == 0 ? than : plan;
      return Times(1, whole ? time(one) : sum(profile(one)));
    });
    for (size_t v = 0; v < 2; ++v) ns[v] = times[v][0];
    return ns[1] < faster_plan * ns[0];
  }

  void take_if_faster(const PlanOptions& options, bool whole) {
    std::unique_ptr<Plan> plan = build_plan(graph_, options);
    double ns[2];
    if (!is_faster(*plan, *plan_, whole, ns)) return;
    plan_ = std::move(plan);
    options_ = options;
  }

  // ---- what shows in whole runs alone

  // Images side by side or not.
  void tune_lanes() {
    const KernelTable& kernels = *plan_->kernels_;
    if (how_.batch == 1 || kernels.lanes == 1 || how_.batch < fewest_of_block(kernels)) return;
    PlanOptions other = options_;
    other.choices.lanes = plan_->batched_from_ > 0 ? 0 : 1;
    take_if_faster(other, true);
  }

  // From which work on threads share a step.
  void tune_shares() {
    if (plan_->parts_ < 2 || how_.batch >= plan_->parts_) return;
    for (int variant = 0; variant < 2 && !late(); ++variant) {
      PlanOptions other = options_;
      if (variant == 0) other.divide_from /= 4;
      else other.divide_from *= 4;
      take_if_faster(other, true);
    }
  }

  const Graph& graph_;
  const PlanOptions given_;
  PlanOptions options_;  // with the choices so far
  const TuneOptions how_;
  const double deadline_;
  std::unique_ptr<Plan> plan_;
  AlignedFloats input_, output_;
};

Tuned tune(const Graph& graph, const PlanOptions& options, const TuneOptions& how) {
  return Tuner(graph, options, how).run();
}

}  // namespace kernelet
