// RMSNorm for training: forward that keeps 1/rms of each row, and its backward pass.
#pragma once

#include "ops/train_context.h"

namespace hearth::ops {

// y = x * inverse_rms * weight. x [rows, n] f32, weight [n] f32, y [rows, n] f32 or bf16,
// inverse_rms [rows] f32 = 1 / sqrt(mean(x²) + epsilon).
void rms_norm_save(TrainContext& ctx, TensorView x, TensorView weight, float epsilon, TensorView y,
                   TensorView inverse_rms);

struct RmsNormBackward {
  TensorView dy;           // [rows, n] f32
  TensorView x;            // [rows, n] f32
  TensorView weight;       // [n] f32
  TensorView inverse_rms;  // [rows] f32
  TensorView dx;           // [rows, n] f32, added to
  TensorView dweight;      // [n] f32, added to
};
void rms_norm_backward(TrainContext& ctx, const RmsNormBackward& args);

}  // namespace hearth::ops
