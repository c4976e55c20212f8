#include "augment.h"

#include <algorithm>
#include <string>

#include "base/aligned.h"
#include "base/thread_pool.h"
#include "convert.h"
#include "errors.h"

namespace kernelet {
namespace bindings {
namespace {

// Images a part, so that parts are worth a thread's while.
constexpr int64_t per_part = 64;

struct Task {
  const Augmenter* augmenter;
  uint64_t seed, epoch, first;
  size_t image_floats;
  int64_t count, parts;
  const float* images;
  float* out;
  float* scratch;

  static void run(void* context, int part) {
    const Task& t = *static_cast<const Task*>(context);
    float* const scratch =
        t.scratch + AlignedFloats::round_up(t.augmenter->scratch_floats()) * static_cast<size_t>(part);
    for (int64_t i = t.count * part / t.parts; i < t.count * (part + 1) / t.parts; ++i) {
      const size_t at = static_cast<size_t>(i) * t.image_floats;
      t.augmenter->run(t.seed, t.epoch, t.first + static_cast<uint64_t>(i), t.images + at, t.out + at,
                       scratch);
    }
  }
};

AugmentOptions augment_options_of(const Napi::Value& value) {
  if (!value.IsObject()) fail("ERR_ARGUMENT", {"augment: expected an object"});
  const Napi::Object from = value.As<Napi::Object>();
  AugmentOptions o;
  const struct {
    const char* name;
    float* to;
  } fields[] = {
      {"low", &o.low},
      {"high", &o.high},
      {"affineProbability", &o.affine_probability},
      {"degrees", &o.degrees},
      {"scale", &o.scale},
      {"stretch", &o.stretch},
      {"shear", &o.shear},
      {"translate", &o.translate},
      {"squareProbability", &o.square_probability},
      {"square", &o.square},
      {"elasticProbability", &o.elastic_probability},
      {"alpha", &o.alpha},
      {"sigma", &o.sigma},
      {"thicknessProbability", &o.thickness_probability},
      {"thinner", &o.thinner},
      {"thicker", &o.thicker},
      {"blurProbability", &o.blur_probability},
      {"blur", &o.blur},
      {"contrastProbability", &o.contrast_probability},
      {"contrast", &o.contrast},
      {"backgroundProbability", &o.background_probability},
      {"background", &o.background},
      {"noiseProbability", &o.noise_probability},
      {"noise", &o.noise},
  };
  for (const auto& field : fields) {
    const Napi::Value given = from.Get(field.name);
    if (given.IsUndefined()) continue;
    if (!given.IsNumber()) fail("ERR_ARGUMENT", {"augment: expected a number for ", field.name});
    *field.to = given.As<Napi::Number>().FloatValue();
  }
  o.mnist_form = from.Get("mnistForm").ToBoolean().Value();
  return o;
}

Augmenter augmenter_of(const Napi::Value& options, const Shape& shape) {
  if (shape.rank != 3) {
    fail("ERR_SHAPE", {"augment: expected images [channels, height, width] but received ", shape.text()});
  }
  return Augmenter(augment_options_of(options), shape.dims[0], shape.dims[1], shape.dims[2]);
}

class Preparation : public ImagePreparation {
 public:
  explicit Preparation(const Augmenter& augmenter) : augmenter_(augmenter) {}
  size_t scratch_floats() const override { return augmenter_.scratch_floats(); }
  void run(uint64_t seed, uint64_t epoch, uint64_t sample, const float* image, float* out,
           float* scratch) const override {
    augmenter_.run(seed, epoch, sample, image, out, scratch);
  }

 private:
  Augmenter augmenter_;
};

}  // namespace

std::shared_ptr<const ImagePreparation> augment_preparation_of(const Napi::Value& options,
                                                               const Shape& shape) {
  return std::shared_ptr<Preparation>(new Preparation(augmenter_of(options, shape)));
}

Napi::Value augment(const Napi::CallbackInfo& info) {
  return translating_errors(info.Env(), [&]() -> Napi::Value {
    const Shape shape = shape_of(info[1], "shape");
    const Augmenter augmenter = augmenter_of(info[2], shape);
    Task task;
    task.augmenter = &augmenter;
    task.seed = static_cast<uint64_t>(integer_of(info[3], "seed", 0, int64_t{1} << 53));
    task.epoch = static_cast<uint64_t>(integer_of(info[4], "epoch", 0, int64_t{1} << 53));
    task.first = static_cast<uint64_t>(integer_of(info[5], "first", 0, int64_t{1} << 53));
    const int threads = static_cast<int>(integer_of(info[6], "threads", 0, max_threads));
    const Floats images = floats_of(info[0], "images");
    task.image_floats = static_cast<size_t>(shape.elements());
    if (images.length % task.image_floats != 0) {
      fail("ERR_SHAPE",
           {"augment: expected a multiple of ", task.image_floats, " values but received ", images.length});
    }
    task.count = static_cast<int64_t>(images.length / task.image_floats);
    const int most = threads > 0 ? threads : usable_cpus();
    // Some parts a thread, should one be held up.
    task.parts = std::max<int64_t>(1, std::min<int64_t>(4 * most, task.count / per_part));
    AlignedFloats scratch(AlignedFloats::round_up(augmenter.scratch_floats()) *
                          static_cast<size_t>(task.parts));
    Napi::Float32Array out = Napi::Float32Array::New(info.Env(), images.length);
    task.images = images.data;
    task.out = out.Data();
    task.scratch = scratch.data();
    parallel_for(most, static_cast<int>(task.parts), Task::run, &task);
    return out;
  });
}

}  // namespace bindings
}  // namespace kernelet
