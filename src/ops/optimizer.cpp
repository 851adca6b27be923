#include "ops/optimizer.h"

#include "ops/train_checks.h"
#include "ops/train_kernels.h"

namespace hearth::ops {

double sum_squares(TrainContext& ctx, TensorView x) {
  check_flat("sum_squares x", x, x.shape.count());
  double sum = 0;
  ctx.kernels.sum_squares(ctx, x, sum);
  return sum;
}

void adamw(TrainContext& ctx, const AdamwStep& step) {
  const int64_t count = step.parameter.shape.count();
  check_flat("adamw parameter", step.parameter, count);
  check_flat("adamw gradient", step.gradient, count);
  check_flat("adamw first", step.first, count);
  check_flat("adamw second", step.second, count);
  ctx.kernels.adamw(ctx, step);
}

}  // namespace hearth::ops
