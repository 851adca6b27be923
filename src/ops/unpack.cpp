#include "ops/unpack.h"

#include "ops/train_checks.h"
#include "ops/train_kernels.h"

namespace hearth::ops {

void unpack(TrainContext& ctx, const Weight& weight, TensorView y) {
  CHECK(quantized(weight.format), "unpack: a weight of {}", to_string(weight.format));
  check_activation("unpack y", y, Shape{weight.out, weight.in});
  ctx.kernels.unpack(ctx, weight, y);
}

}  // namespace hearth::ops
