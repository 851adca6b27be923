#include "ops/head_norm_backward.h"

#include "ops/train_checks.h"
#include "ops/train_kernels.h"

namespace hearth::ops {
namespace {

void check_forward(const HeadNorm& args) {
  CHECK(args.x.shape.rank() == 3, "head_norm x: expected [tokens, heads, head_dim], came {}",
        args.x.shape.to_string());
  check_activation("head_norm x", args.x, args.x.shape);
  check_vector("head_norm weight", args.weight, args.x.shape[2]);
  CHECK(args.bias.empty() == (args.kind == NormKind::kRms), "head_norm: only LayerNorm has a bias");
  check_optional_vector("head_norm bias", args.bias, args.x.shape[2]);
}

}  // namespace

void head_norm(TrainContext& ctx, const HeadNorm& args) {
  check_forward(args);
  check_activation("head_norm y", args.y, args.x.shape);
  check_same_type("head_norm y", args.y, args.x);
  ctx.kernels.head_norm(ctx, args);
}

void head_norm_backward(TrainContext& ctx, const HeadNormBackward& args) {
  check_forward(args.forward);
  for (const TensorView* tensor : {&args.dy, &args.dx}) {
    check_activation("head_norm_backward", *tensor, args.forward.x.shape);
    check_same_type("head_norm_backward", *tensor, args.forward.x);
  }
  check_optional_vector("head_norm_backward dweight", args.dweight, args.forward.x.shape[2]);
  check_optional_vector("head_norm_backward dbias", args.dbias, args.forward.x.shape[2]);
  ctx.kernels.head_norm_backward(ctx, args);
}

}  // namespace hearth::ops
