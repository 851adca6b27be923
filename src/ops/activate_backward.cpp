#include "ops/activate_backward.h"

#include "ops/train_checks.h"
#include "ops/train_kernels.h"

namespace hearth::ops {

void activate_save(TrainContext& ctx, Activation activation, TensorView x, TensorView y) {
  check_activation("activate_save y", y, y.shape);
  check_activation("activate_save x", x, y.shape);
  check_same_type("activate_save x", x, y);
  ctx.kernels.activate_save(ctx, activation, x, y);
}

void activate_backward(TrainContext& ctx, const ActivateBackward& args) {
  for (const TensorView* tensor : {&args.dy, &args.x, &args.dx}) {
    check_activation("activate_backward", *tensor, args.dy.shape);
    check_same_type("activate_backward", *tensor, args.dy);
  }
  ctx.kernels.activate_backward(ctx, args);
}

}  // namespace hearth::ops
