#include "nn/mlp.h"

namespace hearth::nn {

TensorView Mlp::forward(Pass& pass, const ops::LinearInput& x) const {
  const TensorView inner = up.forward(pass, x);
  ops::activate(pass.ops, activation, inner);
  return down.forward(pass, inner);
}

TensorView GatedMlp::forward(Pass& pass, const ops::LinearInput& x) const {
  if (gate.adapted(pass) || up.adapted(pass)) {
    const auto [inner, factor] = forward_group<2>(pass, x, {&gate, &up});
    ops::gated_activate(pass.ops, activation, inner, factor, inner);
    return down.forward(pass, inner);
  }
  const TensorView inner = pass.temporary(x.x.rows(), gate.weight.out);
  ops::gated_linear(pass.ops, x, {&gate.weight, gate.bias, &up.weight, up.bias, activation}, inner);
  return down.forward(pass, inner);
}

TensorView FusedGatedMlp::forward(Pass& pass, const ops::LinearInput& x) const {
  const int64_t half = gate_up.weight.out / 2;
  const auto gate = ops::view_of_outputs(gate_up.weight, 0, half);
  const auto up = ops::view_of_outputs(gate_up.weight, half, 2 * half);
  if (!up || gate_up.adapted(pass)) {
    const TensorView both = gate_up.forward(pass, x);
    const TensorView inner = both.slice_cols(0, half);
    ops::gated_activate(pass.ops, activation, inner, both.slice_cols(half, 2 * half), inner);
    return down.forward(pass, inner);
  }
  const TensorView bias = gate_up.bias;
  const TensorView inner = pass.temporary(x.x.rows(), half);
  ops::gated_linear(pass.ops, x,
                    {&*gate, bias.empty() ? bias : bias.slice_rows(0, half), &*up,
                     bias.empty() ? bias : bias.slice_rows(half, 2 * half), activation},
                    inner);
  return down.forward(pass, inner);
}

void add(Pass& pass, TensorView y, TensorView x) { ops::add(pass.ops, y, x); }

}  // namespace hearth::nn
