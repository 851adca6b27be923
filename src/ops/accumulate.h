// y += x between the element types of training.
#pragma once

#include "ops/train_context.h"

namespace hearth::ops {

// x, y [rows, n], each f32 or bf16; rows may be strided. The sum is rounded to y's type.
void accumulate(TrainContext& ctx, TensorView x, TensorView y);

}  // namespace hearth::ops
