#include "ops/linear.h"

#include "ops/checks.h"

namespace hearth::ops {

void linear(Context& ctx, TensorView x, const Weight& weight, TensorView bias, TensorView y) {
  CHECK(!weight.empty(), "linear: empty weight");
  check_matrix("linear x", x);
  CHECK(x.shape[1] == weight.in, "linear x: expected [tokens, {}], came {}", weight.in,
        x.shape.to_string());
  check_matrix("linear y", y, x.rows(), weight.out);
  check_optional_vector("linear bias", bias, weight.out);
  if (x.rows() > 0) kernel(ctx.kernels.linear, "linear", ctx.kernels)(ctx, x, weight, bias, y);
}

}  // namespace hearth::ops
