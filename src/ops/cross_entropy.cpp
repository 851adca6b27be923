#include "ops/cross_entropy.h"

#include "ops/train_checks.h"
#include "ops/train_kernels.h"

namespace hearth::ops {

void cross_entropy(TrainContext& ctx, const CrossEntropy& args) {
  check_matrix("cross_entropy logits", args.logits);
  const auto rows = static_cast<size_t>(args.logits.rows());
  CHECK(args.targets.size() == rows && args.losses.size() == rows,
        "cross_entropy: {} targets and {} losses for {} rows", args.targets.size(),
        args.losses.size(), rows);
  CHECK(args.weights.empty() || args.weights.size() == rows,
        "cross_entropy: {} weights for {} rows", args.weights.size(), rows);
  for (int32_t target : args.targets) {
    CHECK(target == kIgnoreTarget || (target >= 0 && target < args.logits.cols()),
          "cross_entropy: target {} outside a vocabulary of {}", target, args.logits.cols());
  }
  if (!args.dlogits.empty()) {
    check_activation("cross_entropy dlogits", args.dlogits, args.logits.shape);
  }
  ctx.kernels.cross_entropy(ctx, args);
}

}  // namespace hearth::ops
