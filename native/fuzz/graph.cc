// libFuzzer's target: its bytes are the choices that make a graph, spoil it and say how it is planned and run. It is
// refused with a code, or runs within its buffers and gives the naive twin's bits, on every tier and algorithm.
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "kernels/isa.h"
#include "plan/plan.h"
#include "tests/check.h"
#include "tests/data.h"
#include "tests/naive.h"
#include "tests/net.h"
#include "tests/spoil.h"

namespace kernelet {
namespace test {

// What the tests' helpers call: here a check that fails ends the program, and libFuzzer keeps the bytes.
const bool slow = true;

bool check(bool ok, const char* what, ...) {
  if (ok) return true;
  va_list arguments;
  va_start(arguments, what);
  std::vfprintf(stderr, what, arguments);
  va_end(arguments);
  std::fputc('\n', stderr);
  std::abort();
}

namespace {

// Ranges as calibration would find them, or as nothing would.
std::vector<float> ranges_of(Random& random, size_t nodes) {
  std::vector<float> ranges(2 * nodes);
  for (size_t i = 0; i < nodes; ++i) {
    ranges[2 * i] = -4 * random.real() * random.real();
    ranges[2 * i + 1] = 4 + random.real();
    if (random.chance(3)) ranges[2 * i + static_cast<size_t>(random.range(0, 1))] = float_of(0x7fc00000u);
  }
  return ranges;
}

// Some of the numbers are those that arithmetic stumbles over.
std::vector<float> images_of(Random& random, size_t count) {
  std::vector<float> images = random_floats(random, count);
  constexpr int odd[] = {0, INT32_MIN, 0x7f800000, 0x7fc00000, 0x00000001, 0x7f7fffff};
  for (int n = random.chance(20) ? random.range(1, 8) : 0; n > 0; --n) {
    images[random.next() % count] = float_of(static_cast<uint32_t>(random.pick(odd)));
  }
  return images;
}

void run(const Net& net, const Plan& plan, const std::string& isa, bool exact, Random& random) {
  const int most = plan.batch_lanes() > 0 ? plan.batch_lanes() + 1 : 3;
  const int64_t batch = random.range(1, most);
  const size_t length = net.input_length();
  const Place place = all_places[random.next() % 3];
  if (plan.byte_input()) {
    const std::vector<uint8_t> images = random_bytes(random, length * static_cast<size_t>(batch));
    const GuardedBytes in(images, place);
    const Guarded out(static_cast<size_t>(plan.output_length() * batch), place);
    plan.run(Plan::Input(in.data()), out.data(), batch);
    check(out.canaries() && aligned_canaries_alive(), "nothing but the output is written");
    return;
  }
  const std::vector<float> images = images_of(random, length * static_cast<size_t>(batch));
  const std::vector<float> got = run_guarded(plan, images, batch, place);
  if (!exact) return;
  const size_t results = net.output_length();
  for (size_t i = 0; i < static_cast<size_t>(batch); ++i) {
    const std::vector<float> want = naive_values(
        *choose_isa(isa).table, net.graph, images.data() + i * length)[static_cast<size_t>(net.graph.output)];
    check_same(got.data() + i * results, want.data(), results, net.text().c_str());
  }
}

}  // namespace
}  // namespace test
}  // namespace kernelet

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace kernelet;
  using namespace kernelet::test;
  Random random(data, size);
  static const std::vector<std::string> isas = supported_isas();
  const std::string isa = isas[random.next() % isas.size()];
  const bool exact = random.chance(85);
  PlanOptions options;
  options.isa = isa;
  options.threads = 1;
  options.fuse = random.chance(80);
  if (options.fuse) options = in_small_strips(options);
  options.algorithm = exact ? algorithms[random.next() % (sizeof algorithms / sizeof *algorithms)]
                            : other_bits[random.next() % (sizeof other_bits / sizeof *other_bits)];
  options.byte_input = random.chance(15);
  options.scale = random.real();
  options.shift = random.real();
  options.int8 = random.chance(15);
  Net net = random_net(random, random.range(1, 9), random.chance(40));
  for (int n = random.range(0, 3); n > 0; --n) corrupt(net, random);
  if (random.chance(60)) repair(net);
  const std::vector<float> ranges = ranges_of(random, net.graph.nodes.size());
  options.ranges = {ranges.data(), ranges.size()};
  std::unique_ptr<const Plan> plan;
  try {
    plan = Plan::make(net.graph, options);
  } catch (const Error& error) {
    const std::string code = error.code();
    check(code == "ERR_SHAPE" || code == "ERR_ARGUMENT" || code == "ERR_UNSUPPORTED", "%s: %s", error.code(),
          error.what());
    check(*error.what() != '\0', "an error says something");
    return 0;
  } catch (const std::bad_alloc&) {
    return 0;
  }
  if (runnable(net.graph, *plan)) run(net, *plan, isa, exact && !options.int8, random);
  return 0;
}
