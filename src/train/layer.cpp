#include "train/layer.h"

#include "ops/convert.h"

namespace hearth::train {
Layer::Layer(const LayerShape& shape, const Builder& builder)
    : residual_(shape.residual),
      attention_norm_(shape.attention.before, builder.weights),
      attention_(shape.attention, builder),
      mlp_norm_(make_norm(shape.mlp.before, builder.weights)),
      mlp_(shape.mlp, builder) {
  CHECK(mlp_norm_ || residual_ == Residual::kParallel, "one norm for serial branches");
}

Layer::Saved Layer::plan(ActivationPool& pool, DType type, int64_t tokens, int64_t hidden) const {
  Saved saved;
  saved.attention_norm = attention_norm_.plan(pool, type, tokens);
  saved.attention = attention_.plan(pool, type, tokens);
  saved.middle = pool.take(DType::kF32, {tokens, hidden});
  if (mlp_norm_) saved.mlp_norm = mlp_norm_->plan(pool, type, tokens);
  saved.mlp = mlp_.plan(pool, type, tokens);
  return saved;
}

TensorView Layer::mlp_input(const Saved& saved) const {
  return residual_ == Residual::kSerial ? saved.middle : saved.input;
}

void Layer::forward(const Pass& pass, const Saved& saved, TensorView output) const {
  attention_norm_.forward(pass.ops, saved.input, saved.attention_norm);
  ops::convert(pass.ops, saved.input, saved.middle);
  attention_.forward(pass, saved.attention_norm.y, saved.attention, saved.middle);
  if (mlp_norm_) mlp_norm_->forward(pass.ops, mlp_input(saved), saved.mlp_norm);
  ops::convert(pass.ops, saved.middle, output);
  mlp_.forward(pass, mlp_norm_saved(saved).y, saved.mlp, output);
}

void Layer::backward(const Pass& pass, const Saved& saved) const {
  const Spares& spares = pass.spares;
  TensorView dbranches = spares.dstream;
  if (residual_ == Residual::kParallel) {
    // The gradients of the norms are added to the stream while both branches still read it.
    dbranches = spares.dparallel;
    ops::convert(pass.ops, spares.dstream, dbranches);
  }
  mlp_.backward(pass, dbranches, mlp_norm_saved(saved).y, saved.mlp, spares.dnorm);
  mlp_norm().backward(pass.ops, spares.dnorm, mlp_input(saved), mlp_norm_saved(saved),
                      spares.dstream);
  attention_.backward(pass, dbranches, saved.attention_norm.y, saved.attention, spares.dnorm);
  attention_norm_.backward(pass.ops, spares.dnorm, saved.input, saved.attention_norm,
                           spares.dstream);
}

}  // namespace hearth::train
