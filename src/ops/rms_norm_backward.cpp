#include "ops/rms_norm_backward.h"

#include "ops/train_checks.h"
#include "ops/train_kernels.h"

namespace hearth::ops {

void rms_norm_save(TrainContext& ctx, const RmsNormSave& args) {
  check_matrix("rms_norm_save x", args.x);
  check_vector("rms_norm_save weight", args.weight, args.x.cols());
  check_activation("rms_norm_save y", args.y, args.x.shape);
  check_vector("rms_norm_save inverse_rms", args.inverse_rms, args.x.rows());
  ctx.kernels.rms_norm_save(ctx, args);
}

void rms_norm_backward(TrainContext& ctx, const RmsNormBackward& args) {
  check_matrix("rms_norm_backward x", args.x);
  check_matrix("rms_norm_backward dy", args.dy, args.x.rows(), args.x.cols());
  check_matrix("rms_norm_backward dx", args.dx, args.x.rows(), args.x.cols());
  check_vector("rms_norm_backward weight", args.weight, args.x.cols());
  check_optional_vector("rms_norm_backward dweight", args.dweight, args.x.cols());
  check_vector("rms_norm_backward inverse_rms", args.inverse_rms, args.x.rows());
  ctx.kernels.rms_norm_backward(ctx, args);
}

}  // namespace hearth::ops
