#include "ops/column_scale.h"

#include "ops/train_checks.h"
#include "ops/train_kernels.h"

namespace hearth::ops {

void scale_columns(TrainContext& ctx, TensorView x, TensorView factors, TensorView y) {
  check_activation("scale_columns x", x, x.shape);
  check_activation("scale_columns y", y, x.shape);
  check_vector("scale_columns factors", factors, x.cols());
  ctx.kernels.scale_columns(ctx, x, factors, y);
}

void column_dots(TrainContext& ctx, TensorView x, TensorView y, TensorView sums) {
  check_activation("column_dots x", x, x.shape);
  check_activation("column_dots y", y, x.shape);
  check_vector("column_dots sums", sums, x.cols());
  ctx.kernels.column_dots(ctx, x, y, sums);
}

}  // namespace hearth::ops
