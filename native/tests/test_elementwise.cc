// Two values with broadcasting, through the table: every operation, strides, tails, activations behind.
#include <cmath>

#include "check.h"
#include "data.h"
#include "naive.h"

namespace kernelet {
namespace test {
namespace {

float combined(const KernelTable& t, Binary f, float x, float y, float z) {
  switch (f) {
    case Binary::add: return x + y;
    case Binary::sub: return x - y;
    case Binary::mul: return x * y;
    case Binary::div: return x / y;
    case Binary::prelu: return x > 0 ? x : x * y;
    case Binary::affine: break;
  }
  return t.has_fma ? std::fma(x, y, z) : x * y + z;
}

// Dense strides of the dimensions an operand has, 0 for the others; its number of floats.
size_t random_strides(Random& random, const BinaryArgs& s, size_t (&strides)[BinaryArgs::max_rank]) {
  size_t next = 1;
  for (int d = s.rank - 1; d >= 0; --d) {
    const bool repeated = random.chance(35);
    strides[d] = repeated ? 0 : next;
    if (!repeated) next *= s.dims[d];
  }
  return next;
}

}  // namespace

PER_TIER(binary) {
  for (int round = 0; round < 150; ++round) {
    const std::string name = "round" + std::to_string(round);
    if (!begin(name)) continue;
    Random random(name);
    BinaryArgs s = BinaryArgs();
    s.f = static_cast<Binary>(round % 6);
    s.after = unary(random.chance(50) ? Activation::none : static_cast<Activation>(random.range(0, 5)));
    s.rank = random.chance(30) ? 1 : random.range(1, 4);
    size_t count = 1;
    for (int d = 0; d < s.rank; ++d) {
      s.dims[d] =
          static_cast<size_t>(d == s.rank - 1 ? random.range(1, 3 * t.lanes + 2) : random.range(1, 4));
      count *= s.dims[d];
    }
    const size_t of_a = random_strides(random, s, s.a), of_b = random_strides(random, s, s.b);
    const std::vector<float> a = random_floats(random, of_a), b = random_floats(random, of_b);
    const std::vector<float> c = random_floats(random, of_b);
    std::vector<float> want;
    for (size_t i = 0; i < count; ++i) {
      size_t rest = i, at_a = 0, at_b = 0;
      for (int d = s.rank - 1; d >= 0; --d) {
        at_a += rest % s.dims[d] * s.a[d];
        at_b += rest % s.dims[d] * s.b[d];
        rest /= s.dims[d];
      }
      want.push_back(combined(t, s.f, a[at_a], b[at_b], c[at_b]));
    }
    naive_activate(t, s.after, want);
    for (Place place : all_places) {
      const Guarded left(a, place), right(b, place), third(c, place), dst(count, place);
      t.binary(s, left.data(), right.data(), third.data(), dst.data());
      check(dst.canaries(), "writes to dst alone");
      check_same(dst.data(), want.data(), count, "element by element");
    }
  }
}

// Bins of any size: single images, and images in the lanes.
PER_TIER(adaptive_pool) {
  for (int round = 0; round < 60; ++round) {
    const std::string name = "round" + std::to_string(round);
    if (!begin(name)) continue;
    Random random(name);
    PoolArgs s = PoolArgs();
    s.c = random.range(1, 2 * t.lanes + 1);
    s.ih = random.range(1, 9);
    s.iw = random.range(1, 9);
    s.oh = random.chance(40) ? 1 : random.range(1, 11);
    s.ow = random.chance(40) ? 1 : random.range(1, 11);
    const size_t in = static_cast<size_t>(s.c) * s.ih * s.iw, out = static_cast<size_t>(s.c) * s.oh * s.ow;
    std::vector<float> image = random_floats(random, in);
    if (random.chance(30)) image[random.next() % in] = float_of(0x7fc01234);
    const std::vector<std::vector<float>> src = variants_of(image);
    for (Pool pool : {Pool::average, Pool::max}) {
      std::vector<std::vector<float>> want;
      for (const std::vector<float>& one : src) {
        want.emplace_back(out);
        naive_adaptive(s, pool == Pool::average, one.data(), want.back().data());
      }
      const std::vector<float> all = in_lanes(want, t.lanes);
      for (Place place : all_places) {
        const Guarded input(src[0], place), dst(out, place);
        t.pool.adaptive(s, pool, input.data(), dst.data());
        check(dst.canaries(), "writes to dst alone");
        check_same(dst.data(), want[0].data(), out, pool == Pool::max ? "max" : "average");
        const Guarded block(in_lanes(src, t.lanes), place), lanes(all.size(), place);
        t.batched_pool.adaptive(s, pool, block.data(), lanes.data());
        check(lanes.canaries(), "writes to dst alone");
        check_same(lanes.data(), all.data(), all.size(), "in the lanes");
      }
      // one bin for everything is a window as large as the plane
      if (s.oh != 1 || s.ow != 1) continue;
      PoolArgs whole = s;
      whole.kh = s.ih;
      whole.kw = s.iw;
      whole.sh = whole.sw = whole.dh = whole.dw = 1;
      std::vector<float> got(out);
      (pool == Pool::max ? t.pool.max : t.pool.average)(whole, src[0].data(), got.data());
      check_same(got.data(), want[0].data(), out, "a window as large as the plane");
    }
  }
}

}  // namespace test
}  // namespace kernelet
