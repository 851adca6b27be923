// linear() on the CPU.
#pragma once

#include "ops/kernels.h"

namespace hearth::backend::cpu {

void linear_reference(ops::Context& ctx, TensorView x, const ops::Weight& weight, TensorView bias,
                      TensorView y);

}  // namespace hearth::backend::cpu
