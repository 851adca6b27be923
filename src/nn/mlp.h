// Feed-forward blocks.
#pragma once

#include "nn/linear.h"

namespace hearth::nn {

// down(f(up(x))).
struct Mlp {
  Linear up, down;
  ops::Activation activation = ops::Activation::kGeluTanh;

  // x [rows, hidden] -> [rows, hidden].
  TensorView forward(Pass& pass, const ops::LinearInput& x) const;
};

// down(f(gate(x)) * up(x)) (Shazeer 2020).
struct GatedMlp {
  Linear gate, up, down;
  ops::Activation activation = ops::Activation::kSilu;

  TensorView forward(Pass& pass, const ops::LinearInput& x) const;
};

// The same with gate and up side by side in one projection.
struct FusedGatedMlp {
  Linear gate_up;  // [2 * intermediate, hidden]
  Linear down;
  ops::Activation activation = ops::Activation::kSilu;

  TensorView forward(Pass& pass, const ops::LinearInput& x) const;
};

// The residual sum x += y.
void add(Pass& pass, TensorView y, TensorView x);

}  // namespace hearth::nn
