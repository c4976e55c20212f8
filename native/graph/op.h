// What operations there are, and what the facade calls them.
#pragma once

#include <string>

namespace kernelet {

enum class Op {
#define KERNELET_OP(name, text, definition) name,
#include "ops.inc"
#undef KERNELET_OP
};

constexpr int op_count = 0
#define KERNELET_OP(name, text, definition) +1
#include "ops.inc"
#undef KERNELET_OP
    ;

// The facade's name of an op ("maxPool2d"), and back; op_of throws ERR_ARGUMENT for an unknown name.
const char* op_name(Op op);
Op op_of(const std::string& name);

}  // namespace kernelet
