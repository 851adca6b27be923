#include "ops/gated_activate_backward.h"

#include "ops/train_checks.h"
#include "ops/train_kernels.h"

namespace hearth::ops {

void gated_activate_save(TrainContext& ctx, Activation activation, TensorView gate, TensorView up,
                         TensorView y) {
  check_activation("gated_activate_save y", y, y.shape);
  check_activation("gated_activate_save gate", gate, y.shape);
  check_activation("gated_activate_save up", up, y.shape);
  check_same_type("gated_activate_save gate", gate, y);
  check_same_type("gated_activate_save up", up, y);
  ctx.kernels.gated_activate_save(ctx, activation, gate, up, y);
}

void gated_activate_backward(TrainContext& ctx, const GatedActivateBackward& args) {
  const TensorView* const tensors[] = {&args.dy, &args.gate, &args.up, &args.dgate, &args.dup};
  for (const TensorView* tensor : tensors) {
    check_activation("gated_activate_backward", *tensor, args.dy.shape);
    check_same_type("gated_activate_backward", *tensor, args.dy);
  }
  ctx.kernels.gated_activate_backward(ctx, args);
}

}  // namespace hearth::ops
