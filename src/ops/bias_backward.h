// The bias of a projection in training: added to every row, so that its gradient is their sum.
#pragma once

#include "ops/train_context.h"

namespace hearth::ops {

// y += bias: y [rows, n] f32 or bf16, rows may be strided; bias [n] f32.
void bias_add(TrainContext& ctx, TensorView bias, TensorView y);

// dbias += Σ over rows of dy: dy [rows, n] f32 or bf16, rows may be strided; dbias [n] f32.
void bias_backward(TrainContext& ctx, TensorView dy, TensorView dbias);

}  // namespace hearth::ops
