#include "op.h"

#include "base/error.h"

namespace kernelet {
namespace {

// Arrays, not pointers: those would be relocated at load time.
constexpr char names[][19] = {
#define KERNELET_OP(name, text, definition) text,
#include "ops.inc"
#undef KERNELET_OP
};

}  // namespace

const char* op_name(Op op) { return names[static_cast<int>(op)]; }

Op op_of(const std::string& name) {
  for (int i = 0; i < op_count; ++i) {
    if (name == names[i]) return static_cast<Op>(i);
  }
  fail("ERR_ARGUMENT", {"unknown operation '", name, "'"});
}

}  // namespace kernelet
