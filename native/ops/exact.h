// Functions of one number that few networks have, in double from additions to square roots alone, so that every machine
// gives the same bits: rounded to float, the nearest but for a hundredth of an ulp.
#pragma once

#include "graph/op.h"

namespace kernelet {

double exact_function(Op op, double x);
// Its slope: 0 of what has steps.
double exact_slope(Op op, double x);

}  // namespace kernelet
