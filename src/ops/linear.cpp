#include "ops/linear.h"

#include "ops/checks.h"

namespace hearth::ops {

namespace {

void check_linear(TensorView x, const Weight& weight, TensorView bias, TensorView y) {
  CHECK(!weight.empty(), "linear: empty weight");
  check_matrix("linear x", x);
  CHECK(x.shape[1] == weight.in, "linear x: expected [tokens, {}], came {}", weight.in,
        x.shape.to_string());
  check_matrix("linear y", y, x.rows(), weight.out);
  check_optional_vector("linear bias", bias, weight.out);
}

}  // namespace

void linear(Context& ctx, TensorView x, const Weight& weight, TensorView bias, TensorView y) {
  check_linear(x, weight, bias, y);
  if (x.rows() > 0) kernel(ctx.kernels.linear, "linear", ctx.kernels)(ctx, x, weight, bias, y);
}

void linear_group(Context& ctx, TensorView x, std::span<const LinearOutput> outputs) {
  for (const LinearOutput& each : outputs) check_linear(x, *each.weight, each.bias, each.y);
  if (x.rows() == 0 || outputs.empty()) return;
  kernel(ctx.kernels.linear_group, "linear_group", ctx.kernels)(ctx, x, outputs);
}

}  // namespace hearth::ops
