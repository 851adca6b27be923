#include "nn/linear.h"

#include <algorithm>

#include "ops/elementwise.h"

namespace hearth::nn {

TensorView Linear::forward(Pass& pass, const ops::LinearInput& input) const {
  const Linear* const reader = this;
  const ops::LinearInput x = read_by(pass, input, {&reader, 1});
  const TensorView y = pass.temporary(x.x.rows(), weight.out);
  ops::linear(pass.ops, x, weight, bias, y);
  adapt(pass, x.x, y);
  return y;
}

bool Linear::adapted(const Pass& pass) const {
  return pass.low_rank != nullptr && slot != kNoSlot && pass.low_rank->joins(slot);
}

void Linear::adapt(Pass& pass, TensorView x, TensorView y) const {
  if (adapted(pass)) pass.low_rank->add(pass.ops, slot, x, y);
}

ops::LinearInput read_by(Pass& pass, const ops::LinearInput& x, std::span<const Linear* const> by) {
  const bool adapted =
      std::any_of(by.begin(), by.end(), [&](const Linear* each) { return each->adapted(pass); });
  return adapted ? ops::LinearInput(ops::normed(pass.ops, x)) : x;
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
