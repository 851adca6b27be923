#include "ops/rope_backward.h"

#include "ops/train_checks.h"
#include "ops/train_kernels.h"

namespace hearth::ops {

void rope_turn(TrainContext& ctx, TensorView x, std::span<const int32_t> positions,
               const RopeTable& table, Turn turn) {
  CHECK(x.shape.rank() == 3, "rope_turn x: expected [tokens, heads, head_dim], came {}",
        x.shape.to_string());
  check_activation("rope_turn x", x, x.shape);
  check_matrix("rope_turn cos", table.cos);
  check_matrix("rope_turn sin", table.sin, table.cos.rows(), table.cos.cols());
  CHECK(2 * table.cos.cols() <= x.shape[2], "rope_turn: {} angles for a head of {}",
        table.cos.cols(), x.shape[2]);
  CHECK(static_cast<int64_t>(positions.size()) == x.rows(), "rope_turn: {} positions for {} rows",
        positions.size(), x.rows());
  ctx.kernels.rope_turn(ctx, x, positions, table, turn);
}

}  // namespace hearth::ops
