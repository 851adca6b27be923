#include "ops/accumulate.h"

#include "ops/train_checks.h"
#include "ops/train_kernels.h"

namespace hearth::ops {

void accumulate(TrainContext& ctx, TensorView x, TensorView y) {
  check_activation("accumulate y", y, y.shape);
  check_activation("accumulate x", x, y.shape);
  ctx.kernels.accumulate(ctx, x, y);
}

}  // namespace hearth::ops
