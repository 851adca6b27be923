// y = f(gate) * up for training, and its backward pass.
#pragma once

#include "ops/elementwise.h"
#include "ops/train_context.h"

namespace hearth::ops {

// gate, up, y [rows, n], all f32 or all bf16; rows may be strided.
void gated_activate_save(TrainContext& ctx, Activation activation, TensorView gate, TensorView up,
                         TensorView y);

struct GatedActivateBackward {
  Activation activation = Activation::kSilu;
  TensorView dy;     // [rows, n]
  TensorView gate;   // [rows, n]
  TensorView up;     // [rows, n]
  TensorView dgate;  // [rows, n], replaced; may alias gate
  TensorView dup;    // [rows, n], replaced; may alias up
};
void gated_activate_backward(TrainContext& ctx, const GatedActivateBackward& args);

}  // namespace hearth::ops
