#include "ops/linear.h"

#include "ops/checks.h"

namespace hearth::ops {

namespace {

void check_linear(const TensorView& x, const Weight& weight, TensorView bias, TensorView y) {
  CHECK(!weight.empty(), "linear: empty weight");
  CHECK(x.shape[1] == weight.in, "linear x: expected [tokens, {}], came {}", weight.in,
        x.shape.to_string());
  check_matrix("linear y", y, x.rows(), weight.out);
  check_optional_vector("linear bias", bias, weight.out);
}

void check_norm(std::monostate, int64_t) {}
void check_norm(const RmsNorm& norm, int64_t n) { check_vector("linear norm", norm.weight, n); }
void check_norm(const LayerNorm& norm, int64_t n) {
  check_optional_vector("linear norm", norm.weight, n);
  check_optional_vector("linear norm bias", norm.bias, n);
}

void check_input(const LinearInput& input) {
  check_matrix("linear x", input.x);
  std::visit([&](const auto& norm) { check_norm(norm, input.x.shape[1]); }, input.norm);
}

void apply(Context&, TensorView x, std::monostate, TensorView& y) { y = x; }
void apply(Context& ctx, TensorView x, const RmsNorm& norm, TensorView& y) {
  y = ctx.arena.tensor(DType::kF32, x.shape);
  rms_norm(ctx, x, norm, y);
}
void apply(Context& ctx, TensorView x, const LayerNorm& norm, TensorView& y) {
  y = ctx.arena.tensor(DType::kF32, x.shape);
  layer_norm(ctx, x, norm, y);
}

}  // namespace

TensorView normed(Context& ctx, const LinearInput& input) {
  TensorView rows;
  std::visit([&](const auto& norm) { apply(ctx, input.x, norm, rows); }, input.norm);
  return rows;
}

void linear(Context& ctx, const LinearInput& x, const Weight& weight, TensorView bias,
            TensorView y) {
  check_input(x);
  check_linear(x.x, weight, bias, y);
  if (x.x.rows() > 0) kernel(ctx.kernels.linear, "linear", ctx.kernels)(ctx, x, weight, bias, y);
}

void linear_group(Context& ctx, const LinearInput& x, std::span<const LinearOutput> outputs) {
  check_input(x);
  for (const LinearOutput& each : outputs) check_linear(x.x, *each.weight, each.bias, each.y);
  if (x.x.rows() == 0 || outputs.empty()) return;
  kernel(ctx.kernels.linear_group, "linear_group", ctx.kernels)(ctx, x, outputs);
}

void gated_linear(Context& ctx, const LinearInput& x, const GatedLinear& gated, TensorView y) {
  check_input(x);
  check_linear(x.x, *gated.gate, gated.gate_bias, y);
  check_linear(x.x, *gated.up, gated.up_bias, y);
  if (x.x.rows() == 0) return;
  kernel(ctx.kernels.gated_linear, "gated_linear", ctx.kernels)(ctx, x, gated, y);
}

}  // namespace hearth::ops
