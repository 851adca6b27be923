// Normalisation layers with their weights.
#pragma once

#include "nn/pass.h"
#include "ops/linear.h"

namespace hearth::nn {

struct RmsNorm {
  Tensor weight;  // [n] f32
  float epsilon = 1e-6f;
  float offset = 0.0f;  // 1 where the file stores weight - 1 (Gemma)

  // x [rows, n] -> [rows, n], a new tensor.
  TensorView forward(Pass& pass, TensorView x) const;
  // The same for projections, which norm x while they read it.
  ops::LinearInput deferred(TensorView x) const;
  // Each head of x [rows, heads * n] on its own, in place.
  void forward_heads(Pass& pass, TensorView x) const;
};

struct LayerNorm {
  Tensor weight;  // [n] f32
  Tensor bias;    // [n] f32
  float epsilon = 1e-5f;

  TensorView forward(Pass& pass, TensorView x) const;
  ops::LinearInput deferred(TensorView x) const;
  void forward_heads(Pass& pass, TensorView x) const;
};

}  // namespace hearth::nn
