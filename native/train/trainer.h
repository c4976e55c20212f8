// Training: forward, loss, backward and optimizer for a graph, one call some steps. Weights after a step depend on
// the seed and the data alone, not on threads, nor (among tiers with fused multiply-add) on the tier.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "program.h"

namespace kernelet {

// What is done to an image before it is trained on. Called from several threads at once.
class ImagePreparation {
 public:
  virtual ~ImagePreparation() = default;
  virtual size_t scratch_floats() const = 0;
  // image, out: the input's shape, not the same memory. A function of its arguments alone.
  virtual void run(uint64_t seed, uint64_t epoch, uint64_t sample, const float* image, float* out,
                   float* scratch) const = 0;
};

struct TrainedParameter {
  std::string name;
  Floats data;  // found in the graph by its address, at make() only
  bool frozen = false;
  float lr_multiplier = 1;
  std::vector<uint8_t> mask = {};  // or one byte a float: 0 where the gradient is 0 whatever comes
  uint64_t since = 0;              // steps taken before it began to be trained
};

struct TrainerOptions {
  std::vector<TrainedParameter> parameters;
  std::vector<TrainedParameter> buffers;  // running statistics; always written
  Loss loss = Loss::cross_entropy;
  float label_smoothing = 0;

  Optimizer optimizer = Optimizer::sgd;
  double momentum = 0, dampening = 0;  // sgd
  bool nesterov = false;
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;  // adam, adamw
  double weight_decay = 0;

  double clip_norm = 0, clip_value = 0;  // 0: none
  double ema_decay = -1;                 // below 0: none
  uint64_t seed = 0;
  bool input_gradient = false;
  std::shared_ptr<const ImagePreparation> preparation;  // or null

  std::string isa;
  int threads = 0;
  bool fuse = true;
};

// The samples of some steps, one after another in the order they are used.
struct TrainCall {
  const float* images = nullptr;  // or bytes, of value byte * scale + shift
  const uint8_t* bytes = nullptr;
  float scale = 1, shift = 0;
  const float* targets = nullptr;     // [sample][output], or
  const int32_t* classes = nullptr;   // [sample][positions]
  const uint32_t* samples = nullptr;  // their numbers in the data set, for the preparation
  int64_t count = 0;
  int batch = 1;
  std::vector<double> learning_rates;  // one a step
  uint64_t epoch = 0;
  bool update = true, health = false;
};

struct TrainHealth {
  struct OfParameter {
    double gradient_norm = 0, weight_norm = 0, update_norm = 0;
  };
  struct OfNode {
    std::string name;
    Op op = Op::input;
    double rms = 0, gradient_norm = 0, zeros = 0;
  };
  std::vector<OfParameter> parameters;
  std::vector<OfNode> nodes;
};

struct TrainReport {
  std::vector<double> losses, gradient_norms;
  std::vector<uint32_t> correct;
  bool has_health = false;
  TrainHealth health;
  // The first value that was not finite, empty where none: input, value, loss, gradient, weight.
  std::string non_finite, where;
  int non_finite_step = 0;
};

class Trainer {
 public:
  // Throws Error for a graph that does not validate or has no backward, and for options that do not fit it.
  static std::unique_ptr<Trainer> make(const Graph& graph, const TrainerOptions& options);
  ~Trainer();

  int64_t input_length() const { return input_length_; }
  int64_t output_length() const { return output_length_; }
  // Class indices an image has: the output without its first dimension.
  int64_t positions() const { return positions_; }
  int64_t classes() const { return output_length_ / positions_; }
  Loss loss() const { return options_.loss; }
  const char* isa() const { return kernels_->isa; }
  int threads() const { return options_.threads; }
  size_t bytes() const;  // held, as it is now

  // Parameter i of the options, or the buffer that comes i - parameters() after them: before a run, and after it.
  size_t parameters() const { return options_.parameters.size(); }
  size_t buffers() const { return options_.buffers.size(); }
  size_t parameter_length(size_t i) const { return listed(i).data.length; }
  const std::string& parameter_name(size_t i) const { return listed(i).name; }
  bool is_trained(size_t i) const { return parameters_[i].trained; }
  void load(size_t i, const float* values);
  void store(size_t i, float* values) const;

  // Takes the steps of a call. One at a time. The call has been checked against check().
  TrainReport run(const TrainCall& call);
  void check(const TrainCall& call) const;  // throws
  // A run, also one that has not begun, ends after its current step; until interrupt(false) so do later ones.
  void interrupt(bool interrupted = true) { interrupted_ = interrupted; }

  // Steps taken.
  uint64_t step() const { return step_; }
  void set_step(uint64_t step) { step_ = step; }

  // What there is beside the weights, parameter by parameter; null where there is none.
  enum class State {
#define KERNELET_STATE(name, text) name,
#include "states.inc"
#undef KERNELET_STATE
    none
  };
  bool has(State state) const;
  const float* read(State state, size_t parameter) const;
  void write(State state, size_t parameter, const float* values);
  // [images of the last step][input_length], empty where it was not asked for.
  const std::vector<float>& input_gradient() const { return input_gradient_; }

 private:
  struct Parameter {
    size_t offset = 0, length = 0;
    bool trained = false;
    struct Use {
      size_t node;
      bool bias;
    };
    std::vector<Use> uses;
    AlignedFloats other;  // the gradient of one of several uses
  };
  // Rows of a parameter that are summed, updated and packed by one thread.
  struct Task {
    size_t parameter, begin, end;  // floats of the parameter
    int first_part, last_part;     // of the step that packs them, where there is just one
    size_t row, first_sum;         // floats of a row, and the first of the rows' sums of squares
  };
  friend class TrainRun;

  Trainer() = default;
  const TrainedParameter& listed(size_t i) const {
    const size_t n = options_.parameters.size();
    return i < n ? options_.parameters[i] : options_.buffers[i - n];
  }
  // parameters.cc
  void find_parameters(const Graph& graph);
  void make_tasks();
  void make_buffers();
  void copy_constants();
  // Which buffer holds a state of this optimizer, or null.
  const AlignedFloats* buffer_of(State state) const;

  TrainProgram& plain();  // nothing fused: every value can be looked at
  int threads_of(int batch) const;

  const KernelTable* kernels_ = nullptr;
  TrainerOptions options_;
  Graph graph_;  // its weights point into fixed_ or nowhere
  int64_t input_length_ = 0, output_length_ = 0, positions_ = 1, macs_ = 0;
  std::vector<Parameter> parameters_;  // those of the options, its buffers, then the graph's other weights
  ParameterUses uses_;
  std::vector<AlignedFloats> fixed_;  // values of constants
  std::unique_ptr<TrainProgram> program_, plain_;
  std::vector<Task> tasks_;
  size_t sums_ = 0;  // of squares: one a row, so that norms do not depend on the tasks

  size_t floats_ = 0;  // of all parameters, each at its offset in all of these
  AlignedFloats weights_[2], gradients_, first_, second_, ema_;
  int current_ = 0;  // which of the weights
  bool has_first_ = false, has_ema_ = false;
  uint64_t step_ = 0;
  std::atomic<bool> interrupted_{false};
  std::vector<AlignedFloats> arenas_;
  std::vector<float> input_gradient_;
};

}  // namespace kernelet
