// The compiled model: nothing that a result depends on changes after make(), so any number of threads may run it at once.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/aligned.h"
#include "choices.h"
#include "graph/graph.h"
#include "kernels/table.h"
#include "program.h"
#include "team_trial.h"

namespace kernelet {

// Nanoseconds.
using Clock = double (*)();
double steady_ns();

struct PlanOptions {
  std::string isa;  // empty: KERNELET_ISA, else the best supported
  // auto, or a way to convolve wherever it fits (im2col elsewhere): im2col, direct (the better of the two
  // forms), direct-pixels, direct-channels, blocked, winograd (other bits); lanes: batched, whatever the batch. fastest: as
  // auto, with winograd where it should be faster.
  std::string algorithm = "auto";
  bool fuse = true;
  int threads = 0;  // 0: chosen by the amount of work
  // Multiply-adds from which several threads share a step: a barrier, and what crosses from core to core, takes up to a
  // microsecond. Whether they do so at all is seen in the first runs (team_trial.h). (Tests share all, always: 0.)
  int64_t divide_from = 50000;
  // Depth first (depth_first.cc): from so many floats between two convolutions on, in strips of so many, where no more than
  // this share of the rows is computed twice. (Tests take all, in small strips.)
  struct DepthFirst {
    size_t from = size_t{160} << 10, strip = size_t{112} << 10;
    double most_repeated = 0.15;
  } depth_first = {};
  Choices choices = {};
  bool second_best = false;  // over planes, by the cost model: for tuning, which times it
  // The input is bytes (pixels as services hold them), and a value is byte * scale + shift.
  bool byte_input = false;
  float scale = 1.0f, shift = 0.0f;
  // Convolutions and linear layers run on bytes where they can (quantize.h). `ranges` holds the least and the
  // largest that each node's values had in calibration.
  bool int8 = false;
  Floats ranges;
};

// Bytes that stand for floats: (byte - zero) * scale.
struct Quantization {
  float scale = 1.0f;
  int32_t zero = 0;
};

struct StepDescription {
  std::vector<std::string> names, ops;
  std::string problem, algorithm, isa, tile, epilogue;
  Shape input, output;
  int64_t macs = 0;                      // per image, every tap of every window counted
  const char* layout = "";               // of what it writes: planes, blocked, batched
  int parts = 1;                         // threads that share it, of one image
  int strip = 0;                         // rows at a time of two convolutions, depth first; 0: it is one
  bool int8 = false, bytes_out = false;  // runs on bytes; hands bytes on
  Quantization in, out;
  std::vector<int> nodes;  // as `names`
  double cost = 0;         // by the cost model (costs.h); 0: it has no word on it
  int decider = 0;         // of them, the one whose choice counts
  bool reorder = false;    // or a copy: no operation's
  std::string during;      // linear: the convolution between whose tiles it runs, one image at a time
};

class Plan {
 public:
  // Throws Error for a graph that does not validate and for options this machine cannot serve.
  static std::unique_ptr<const Plan> make(const Graph& graph, const PlanOptions& options);
  ~Plan();

  // What a run reads: floats, or bytes where the plan was made for bytes.
  struct Input {
    const float* floats;
    const uint8_t* bytes;
    Input(const float* values) : floats(values), bytes(nullptr) {}  // NOLINT: floats are the usual case
    explicit Input(const uint8_t* values) : floats(nullptr), bytes(values) {}
  };

  // input [batch][input_length] -> output [batch][output_length]; the two must not overlap.
  void run(Input input, float* output, int64_t batch) const;

  // Runs the batch `iterations` times on this thread: median nanoseconds of each step, for the whole batch.
  std::vector<double> profile(Input input, float* output, int64_t batch, int iterations,
                              Clock clock = steady_ns) const;

  bool byte_input() const { return byte_input_; }
  int64_t input_length() const { return input_length_; }
  int64_t output_length() const { return output_shape_.elements(); }
  const Shape& output_shape() const { return output_shape_; }
  const std::vector<StepDescription>& steps() const { return descriptions_; }
  const KernelTable& kernels() const { return *kernels_; }
  int threads() const { return threads_; }  // as asked for; 0 = chosen by the amount of work
  // Images of a block that runs side by side, one a SIMD lane; 0 where every image runs alone.
  int batch_lanes() const { return batched_from_ > 0 ? kernels_->lanes : 0; }
  size_t arena_bytes() const { return workspace_floats_ * sizeof(float); }
  size_t weight_bytes() const { return weights_->size() * sizeof(float); }
  // Packed; of plans of equal weights one block for all, while any of them lives.
  const float* weights() const { return weights_->data(); }

 private:
  friend class PlanBuilder;
  friend class Tuner;
  // What one run writes to: values between steps, and the kernels' scratch.
  using Workspace = AlignedFloats;
  class WorkspaceLease;
  // Some images of a batch: where its first image lies, and where its first result goes.
  struct Images {
    Input input;
    float* output;
  };

  Plan();
  void run_images(Images images, int64_t count) const;
  void run_one(Images image, float* arena) const;
  void run_some(Images images, int count, float* arena) const;
  void run_divided(Images image, int64_t count, int threads) const;
  void run_block(Images images, int count, float* arena) const;
  StepRun start(const Program& program, const float* input, float* output, float* arena) const;
  // A block of images into the arena; where its result will lie.
  const float* interleave(Images images, int count, float* arena) const;
  // The first `count` images as floats: where they lie, or converted into the arena.
  const float* floats_of(Input input, int64_t count, float* arena) const;
  Images advanced(Images images, int64_t count) const;
  int threads_for(int64_t batch) const;

  const KernelTable* kernels_ = nullptr;
  // For one image, and for a block of images. Same values, same bits.
  std::unique_ptr<Program> single_, batched_;
  int batched_from_ = 0;  // fewest images worth a block of their own; 0: none are
  std::vector<StepDescription> descriptions_;
  std::shared_ptr<const AlignedFloats> weights_;
  size_t workspace_floats_ = 0;
  int64_t input_length_ = 0, macs_ = 0;
  Shape output_shape_;
  int threads_ = 0;
  int parts_ = 1;         // threads that may share an image
  bool divided_ = false;  // a step of the single program is worth it
  bool tries_ = true;     // whether it pays is for `trial_` to say
  mutable TeamTrial trial_;
  bool byte_input_ = false;
  float scale_ = 1.0f, shift_ = 0.0f;
  size_t bytes_offset_ = 0;  // where the arena holds images converted from bytes

  // Idle workspaces: one in the slot that costs a single exchange, the others behind a lock.
  mutable std::atomic<Workspace*> idle_{nullptr};
  mutable std::mutex more_idle_mutex_;
  mutable std::vector<std::unique_ptr<Workspace>> more_idle_;
};

}  // namespace kernelet
