// LayerNorm for training: forward that keeps mean and 1/deviation of each row, and its backward
// pass.
#pragma once

#include "ops/train_context.h"

namespace hearth::ops {

// y = (x - mean) * inverse * weight + bias, with inverse = 1 / sqrt(variance + epsilon).
struct LayerNormSave {
  TensorView x;       // [rows, n] f32
  TensorView weight;  // [n] f32
  TensorView bias;    // [n] f32
  float epsilon = 1e-5f;
  TensorView y;        // [rows, n] f32 or bf16
  TensorView mean;     // [rows] f32
  TensorView inverse;  // [rows] f32
};
void layer_norm_save(TrainContext& ctx, const LayerNormSave& args);

struct LayerNormBackward {
  TensorView dy;       // [rows, n] f32
  TensorView x;        // [rows, n] f32
  TensorView weight;   // [n] f32
  TensorView mean;     // [rows] f32
  TensorView inverse;  // [rows] f32
  TensorView dx;       // [rows, n] f32, added to
  TensorView dweight;  // [n] f32, added to; empty: not wanted, nor dbias
  TensorView dbias;    // [n] f32, added to
};
void layer_norm_backward(TrainContext& ctx, const LayerNormBackward& args);

}  // namespace hearth::ops
