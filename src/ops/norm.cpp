#include "ops/norm.h"

#include "ops/checks.h"

namespace hearth::ops {

void rms_norm(Context& ctx, TensorView x, const RmsNorm& norm, TensorView y) {
  check_matrix("rms_norm x", x);
  check_matrix("rms_norm y", y, x.rows(), x.cols());
  check_vector("rms_norm weight", norm.weight, x.cols());
  if (x.rows() > 0) kernel(ctx.kernels.rms_norm, "rms_norm", ctx.kernels)(ctx, x, norm, y);
}

void layer_norm(Context& ctx, TensorView x, const LayerNorm& norm, TensorView y) {
  check_matrix("layer_norm x", x);
  check_matrix("layer_norm y", y, x.rows(), x.cols());
  check_optional_vector("layer_norm weight", norm.weight, x.cols());
  check_optional_vector("layer_norm bias", norm.bias, x.cols());
  if (x.rows() > 0) kernel(ctx.kernels.layer_norm, "layer_norm", ctx.kernels)(ctx, x, norm, y);
}

}  // namespace hearth::ops
