#include "nn/linear.h"

#include "ops/elementwise.h"

namespace hearth::nn {

TensorView Linear::forward(Pass& pass, TensorView x) const {
  const TensorView y = pass.temporary(x.rows(), weight.out);
  ops::linear(pass.ops, x, weight, bias, y);
  adapt(pass, x, y);
  return y;
}

void Linear::adapt(Pass& pass, TensorView x, TensorView y) const {
  if (pass.low_rank != nullptr && slot != kNoSlot) pass.low_rank->add(pass.ops, slot, x, y);
}

TensorView Embedding::forward(Pass& pass, std::span<const int32_t> ids) const {
  const TensorView y = pass.temporary(static_cast<int64_t>(ids.size()), table.in);
  ops::embed(pass.ops, ids, table, factor, y);
  return y;
}

TensorView LmHead::forward(ops::Context& ctx, TensorView x) const {
  const TensorView logits = ctx.arena.tensor(DType::kF32, {x.rows(), weight->out});
  ops::linear(ctx, x, *weight, bias == nullptr ? TensorView() : bias->view(), logits);
  if (softcap > 0) ops::soft_cap(ctx, softcap, logits);
  return logits;
}

}  // namespace hearth::nn
