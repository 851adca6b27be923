#include "ops/layer_norm_backward.h"

#include "ops/train_checks.h"
#include "ops/train_kernels.h"

namespace hearth::ops {

void layer_norm_save(TrainContext& ctx, const LayerNormSave& args) {
  check_matrix("layer_norm_save x", args.x);
  check_vector("layer_norm_save weight", args.weight, args.x.cols());
  check_vector("layer_norm_save bias", args.bias, args.x.cols());
  check_activation("layer_norm_save y", args.y, args.x.shape);
  check_vector("layer_norm_save mean", args.mean, args.x.rows());
  check_vector("layer_norm_save inverse", args.inverse, args.x.rows());
  ctx.kernels.layer_norm_save(ctx, args);
}

void layer_norm_backward(TrainContext& ctx, const LayerNormBackward& args) {
  check_matrix("layer_norm_backward x", args.x);
  check_matrix("layer_norm_backward dy", args.dy, args.x.rows(), args.x.cols());
  check_matrix("layer_norm_backward dx", args.dx, args.x.rows(), args.x.cols());
  check_vector("layer_norm_backward weight", args.weight, args.x.cols());
  check_vector("layer_norm_backward mean", args.mean, args.x.rows());
  check_vector("layer_norm_backward inverse", args.inverse, args.x.rows());
  CHECK(args.dweight.empty() == args.dbias.empty(), "layer_norm_backward: one gradient of two");
  check_optional_vector("layer_norm_backward dweight", args.dweight, args.x.cols());
  check_optional_vector("layer_norm_backward dbias", args.dbias, args.x.cols());
  ctx.kernels.layer_norm_backward(ctx, args);
}

}  // namespace hearth::ops
