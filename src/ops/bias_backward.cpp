#include "ops/bias_backward.h"

#include "ops/train_checks.h"
#include "ops/train_kernels.h"

namespace hearth::ops {

void bias_add(TrainContext& ctx, TensorView bias, TensorView y) {
  check_activation("bias_add y", y, y.shape);
  check_vector("bias_add bias", bias, y.cols());
  ctx.kernels.bias_add(ctx, bias, y);
}

void bias_backward(TrainContext& ctx, TensorView dy, TensorView dbias) {
  check_activation("bias_backward dy", dy, dy.shape);
  check_vector("bias_backward dbias", dbias, dy.cols());
  ctx.kernels.bias_backward(ctx, dy, dbias);
}

}  // namespace hearth::ops
