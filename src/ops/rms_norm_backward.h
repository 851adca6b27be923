// RMSNorm for training: forward that keeps 1/rms of each row, and its backward pass.
#pragma once

#include "ops/train_context.h"

namespace hearth::ops {

// y = x * inverse_rms * (offset + weight), with inverse_rms = 1 / sqrt(mean(x²) + epsilon). The
// offset is 1 for Gemma, which stores weight - 1.
struct RmsNormSave {
  TensorView x;       // [rows, n] f32
  TensorView weight;  // [n] f32
  float epsilon = 1e-6f;
  float offset = 0.0f;
  TensorView y;            // [rows, n] f32 or bf16
  TensorView inverse_rms;  // [rows] f32
};
void rms_norm_save(TrainContext& ctx, const RmsNormSave& args);

struct RmsNormBackward {
  TensorView dy;      // [rows, n] f32
  TensorView x;       // [rows, n] f32
  TensorView weight;  // [n] f32
  float offset = 0.0f;
  TensorView inverse_rms;  // [rows] f32
  TensorView dx;           // [rows, n] f32, added to
  TensorView dweight;      // [n] f32, added to; empty: not wanted
};
void rms_norm_backward(TrainContext& ctx, const RmsNormBackward& args);

}  // namespace hearth::ops
