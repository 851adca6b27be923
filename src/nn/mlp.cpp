#include "nn/mlp.h"

namespace hearth::nn {

TensorView Mlp::forward(Pass& pass, TensorView x) const {
  const TensorView inner = up.forward(pass, x);
  ops::activate(pass.ops, activation, inner);
  return down.forward(pass, inner);
}

TensorView GatedMlp::forward(Pass& pass, TensorView x) const {
  const auto [inner, factor] = forward_group<2>(pass, x, {&gate, &up});
  ops::gated_activate(pass.ops, activation, inner, factor, inner);
  return down.forward(pass, inner);
}

TensorView FusedGatedMlp::forward(Pass& pass, TensorView x) const {
  const TensorView both = gate_up.forward(pass, x);
  const int64_t half = both.cols() / 2;
  const TensorView inner = both.slice_cols(0, half);
  ops::gated_activate(pass.ops, activation, inner, both.slice_cols(half, 2 * half), inner);
  return down.forward(pass, inner);
}

void add(Pass& pass, TensorView y, TensorView x) { ops::add(pass.ops, y, x); }

}  // namespace hearth::nn
