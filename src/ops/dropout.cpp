#include "ops/dropout.h"

#include "ops/train_checks.h"
#include "ops/train_kernels.h"

namespace hearth::ops {

void dropout(TrainContext& ctx, const Dropout& args) {
  check_activation("dropout x", args.x, args.x.shape);
  check_activation("dropout y", args.y, args.x.shape);
  CHECK(args.share >= 0.0f && args.share < 1.0f, "dropout of {}", args.share);
  ctx.kernels.dropout(ctx, args);
}

}  // namespace hearth::ops
