#include "train/norm.h"

#include "ops/layer_norm_backward.h"
#include "ops/rms_norm_backward.h"

namespace hearth::train {
namespace {

WeightId add_vector(const NormShape& shape, const char* suffix, float mean, ModelWeights& weights) {
  Parameter p{.kind = ParameterKind::kVector, .rows = 1, .cols = shape.n, .initial_mean = mean};
  p.pieces = {{shape.name + suffix, 0, 1}};
  return weights.add(std::move(p));
}

}  // namespace

Norm::Norm(const NormShape& shape, ModelWeights& weights)
    : weights_(weights),
      shape_(shape),
      weight_(add_vector(shape, ".weight", 1.0f - shape.offset, weights)) {
  if (shape.kind == ops::NormKind::kLayer) bias_ = add_vector(shape, ".bias", 0.0f, weights);
}

Norm::Saved Norm::plan_statistics(ActivationPool& pool, int64_t tokens) const {
  Saved saved;
  saved.inverse = pool.take(DType::kF32, {tokens});
  if (bias_) saved.mean = pool.take(DType::kF32, {tokens});
  return saved;
}

Norm::Saved Norm::plan(ActivationPool& pool, DType type, int64_t tokens) const {
  Saved saved = plan_statistics(pool, tokens);
  saved.y = pool.take(type, {tokens, shape_.n});
  return saved;
}

TensorView Norm::bias_gradient() const {
  return bias_ ? weights_.vector_gradient(*bias_) : TensorView{};
}

void Norm::forward(ops::TrainContext& ctx, TensorView x, const Saved& saved) const {
  if (bias_) {
    ops::layer_norm_save(ctx, {x, weights_.vector(weight_), weights_.vector(*bias_), shape_.epsilon,
                               saved.y, saved.mean, saved.inverse});
  } else {
    ops::rms_norm_save(
        ctx, {x, weights_.vector(weight_), shape_.epsilon, shape_.offset, saved.y, saved.inverse});
  }
}

void Norm::backward(ops::TrainContext& ctx, TensorView dy, TensorView x, const Saved& saved,
                    TensorView dx) const {
  const TensorView weight = weights_.vector(weight_);
  const TensorView dweight = weights_.vector_gradient(weight_);
  if (bias_) {
    ops::layer_norm_backward(
        ctx, {dy, x, weight, saved.mean, saved.inverse, dx, dweight, bias_gradient()});
  } else {
    ops::rms_norm_backward(ctx, {dy, x, weight, shape_.offset, saved.inverse, dx, dweight});
  }
}

ops::HeadNorm Norm::head_norm(TensorView x, TensorView y) const {
  return {.kind = shape_.kind,
          .x = x,
          .weight = weights_.vector(weight_),
          .bias = bias_ ? weights_.vector(*bias_) : TensorView{},
          .epsilon = shape_.epsilon,
          .offset = shape_.offset,
          .y = y};
}

void Norm::forward_heads(ops::TrainContext& ctx, TensorView x, TensorView y) const {
  ops::head_norm(ctx, head_norm(x, y));
}

void Norm::backward_heads(ops::TrainContext& ctx, TensorView dy, TensorView x,
                          TensorView dx) const {
  ops::head_norm_backward(
      ctx, {head_norm(x, x), dy, dx, weights_.vector_gradient(weight_), bias_gradient()});
}

}  // namespace hearth::train
