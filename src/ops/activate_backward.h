// y = f(x) for training, and its backward pass.
#pragma once

#include "ops/elementwise.h"
#include "ops/train_context.h"

namespace hearth::ops {

// x, y [rows, n], both f32 or both bf16; rows may be strided.
void activate_save(TrainContext& ctx, Activation activation, TensorView x, TensorView y);

struct ActivateBackward {
  Activation activation = Activation::kSilu;
  TensorView dy;  // [rows, n]
  TensorView x;   // [rows, n]
  TensorView dx;  // [rows, n], replaced; may alias x or dy
};
void activate_backward(TrainContext& ctx, const ActivateBackward& args);

}  // namespace hearth::ops
