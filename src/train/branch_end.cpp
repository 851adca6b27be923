#include "train/branch_end.h"

#include <cstring>

#include "ops/accumulate.h"
#include "ops/convert.h"

namespace hearth::train {

BranchEnd::BranchEnd(const LinearShape& out, const std::optional<NormShape>& after,
                     const Builder& builder)
    : out_(builder.linear(out)) {
  if (after) after_.emplace(*after, builder.weights);
}

BranchEnd::Saved BranchEnd::plan(ActivationPool& pool, int64_t tokens) const {
  if (!after_) return {};
  return {pool.take(DType::kF32, {tokens, out_.out()}), after_->plan_statistics(pool, tokens)};
}

void BranchEnd::forward(const Pass& pass, TensorView x, const Saved& saved,
                        TensorView stream) const {
  if (!after_) {
    out_.forward(pass.ops, pass.spares.linear, x, stream, ops::Store::kAdd);
    return;
  }
  out_.forward(pass.ops, pass.spares.linear, x, saved.sum, ops::Store::kReplace);
  Norm::Saved after = saved.after;
  after.y = pass.spares.dbranch;
  after_->forward(pass.ops, saved.sum, after);
  ops::accumulate(pass.ops, after.y, stream);
}

// The gradient of what the projection gave, as products read it.
TensorView BranchEnd::sum_gradient(const Pass& pass, TensorView dstream, const Saved& saved) const {
  TensorView dsum = dstream;
  if (after_) {
    dsum = pass.spares.dbranch;
    std::memset(dsum.data, 0, static_cast<size_t>(dsum.shape.count()) * sizeof(float));
    after_->backward(pass.ops, dstream, saved.sum, saved.after, dsum);
  }
  // Adapters overwrite what they are given, and the stream goes on.
  if (dsum.dtype == pass.type && !out_.joined()) return dsum;
  ops::convert(pass.ops, dsum, pass.spares.narrow);
  return pass.spares.narrow;
}

void BranchEnd::backward(const Pass& pass, TensorView dstream, TensorView x, const Saved& saved,
                         TensorView dx) const {
  out_.backward(pass.ops, pass.spares.linear, sum_gradient(pass, dstream, saved), x, dx);
}

}  // namespace hearth::train
