#include "ops/convert.h"

#include "ops/train_checks.h"
#include "ops/train_kernels.h"

namespace hearth::ops {

void convert(TrainContext& ctx, TensorView x, TensorView y) {
  check_activation("convert x", x, x.shape);
  check_activation("convert y", y, x.shape);
  ctx.kernels.convert(ctx, x, y);
}

}  // namespace hearth::ops
