#include "ops/soft_cap_backward.h"

#include "ops/train_checks.h"
#include "ops/train_kernels.h"

namespace hearth::ops {

void soft_cap_save(TrainContext& ctx, float cap, TensorView x) {
  CHECK(cap > 0.0f, "soft_cap_save: cap {}", cap);
  check_matrix("soft_cap_save x", x);
  ctx.kernels.soft_cap_save(ctx, cap, x);
}

void soft_cap_backward(TrainContext& ctx, float cap, TensorView y, TensorView dy) {
  CHECK(cap > 0.0f, "soft_cap_backward: cap {}", cap);
  check_matrix("soft_cap_backward y", y);
  check_activation("soft_cap_backward dy", dy, y.shape);
  ctx.kernels.soft_cap_backward(ctx, cap, y, dy);
}

}  // namespace hearth::ops
