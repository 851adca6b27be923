// Copies between f32 and bf16, and within f32.
#pragma once

#include "ops/train_context.h"

namespace hearth::ops {

// y = x, rounded to y's type; both [rows, n] of f32 or bf16.
void convert(TrainContext& ctx, TensorView x, TensorView y);

}  // namespace hearth::ops
