// The arithmetic of optimizers over one flat tensor.
#pragma once

#include "ops/train_context.h"

namespace hearth::ops {

// Sum of squares of x [n] f32, in f64, in an order that does not depend on threads.
double sum_squares(TrainContext& ctx, TensorView x);

// One step of AdamW (Loshchilov, Hutter 2019) over [n] f32 tensors:
//   m = β1 m + (1-β1) g;  v = β2 v + (1-β2) g²
//   p = p - lr * (m / bias1) / (sqrt(v / bias2) + ε) - lr * decay * p
// where g = gradient * gradient_scale, bias_i = 1 - βi^step.
struct AdamwStep {
  TensorView parameter;
  TensorView gradient;
  TensorView first;   // m
  TensorView second;  // v
  float gradient_scale = 1.0f;
  float learning_rate = 0.0f;
  float decay = 0.0f;
  float beta1 = 0.9f;
  float beta2 = 0.95f;
  float epsilon = 1e-8f;
  float bias1 = 1.0f;
  float bias2 = 1.0f;
};
void adamw(TrainContext& ctx, const AdamwStep& step);

}  // namespace hearth::ops
