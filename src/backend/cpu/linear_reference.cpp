// The specification of linear(): a sum in double for each output, rounded once.
#include <array>

#include "backend/cpu/linear.h"
#include "backend/cpu/quantized.h"
#include "tensor/dtype.h"

namespace hearth::backend::cpu {
namespace {

double element(const ops::Weight& weight, int64_t row, int64_t i) {
  switch (weight.format) {
    case ops::WeightFormat::kF32:
      return double{weight.matrix.row<float>(row)[i]};
    case ops::WeightFormat::kF16:
      return double{f16_to_float(weight.matrix.row<uint16_t>(row)[i])};
    default:
      return double{bf16_to_float(weight.matrix.row<uint16_t>(row)[i])};
  }
}

}  // namespace

void linear_reference(ops::Context& ctx, const ops::LinearInput& input, const ops::Weight& weight,
                      TensorView bias, TensorView y) {
  ops::ArenaScope scope(ctx.arena);
  const TensorView x = ops::normed(ctx, input);
  if (ops::quantized(weight.format)) return quantized_reference(ctx, x, weight, bias, y);
  ctx.workers.run(weight.out, [&](int64_t o, int) {
    for (int64_t t = 0; t < x.rows(); ++t) {
      double sum = bias.empty() ? 0.0 : double{bias.as<float>()[o]};
      for (int64_t i = 0; i < weight.in; ++i)
        sum += element(weight, o, i) * double{x.row<float>(t)[i]};
      y.row<float>(t)[o] = static_cast<float>(sum);
    }
  });
}

void linear_group_reference(ops::Context& ctx, const ops::LinearInput& x,
                            std::span<const ops::LinearOutput> outputs) {
  for (const ops::LinearOutput& each : outputs) {
    linear_reference(ctx, x, *each.weight, each.bias, each.y);
  }
}

void gated_linear_apart(ops::Context& ctx, const ops::LinearInput& x, const ops::GatedLinear& gated,
                        TensorView y) {
  ops::ArenaScope scope(ctx.arena);
  const TensorView up = ctx.arena.tensor(DType::kF32, y.shape);
  const std::array<ops::LinearOutput, 2> both = {
      {{gated.gate, gated.gate_bias, y}, {gated.up, gated.up_bias, up}}};
  ops::linear_group(ctx, x, both);
  ops::gated_activate(ctx, gated.activation, y, up, y);
}

}  // namespace hearth::backend::cpu
