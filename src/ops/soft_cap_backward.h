// The soft cap of logits (Gemma 2) in training: y = cap * tanh(x / cap).
#pragma once

#include "ops/train_context.h"

namespace hearth::ops {

// x becomes y in place: [rows, n] f32; rows may be strided.
void soft_cap_save(TrainContext& ctx, float cap, TensorView x);

// dy becomes dx in place: y [rows, n] f32, dy [rows, n] f32 or bf16; rows may be strided.
void soft_cap_backward(TrainContext& ctx, float cap, TensorView y, TensorView dy);

}  // namespace hearth::ops
