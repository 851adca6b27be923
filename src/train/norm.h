// A norm over the residual stream in training.
#pragma once

#include <optional>

#include "train/activations.h"
#include "train/shape.h"
#include "train/weights.h"

namespace hearth::train {

class Norm {
 public:
  // What the backward pass needs besides the input.
  struct Saved {
    TensorView y;        // [tokens, n] of the type it was planned with
    TensorView inverse;  // [tokens] f32
    TensorView mean;     // [tokens] f32 of LayerNorm, else empty
  };

  Norm(const NormShape& shape, ModelWeights& weights);

  Saved plan(ActivationPool& pool, DType type, int64_t tokens) const;
  Saved plan_statistics(ActivationPool& pool, int64_t tokens) const;  // without y
  // x [tokens, n] f32.
  void forward(ops::TrainContext& ctx, TensorView x, const Saved& saved) const;
  // dx += the gradient; dy, dx [tokens, n] f32.
  void backward(ops::TrainContext& ctx, TensorView dy, TensorView x, const Saved& saved,
                TensorView dx) const;

  // Each head of x [tokens, heads, n] on its own; y may be x, dx may be dy.
  void forward_heads(ops::TrainContext& ctx, TensorView x, TensorView y) const;
  void backward_heads(ops::TrainContext& ctx, TensorView dy, TensorView x, TensorView dx) const;

 private:
  ops::HeadNorm head_norm(TensorView x, TensorView y) const;
  TensorView bias_gradient() const;

  const ModelWeights& weights_;
  NormShape shape_;
  WeightId weight_;
  std::optional<WeightId> bias_;
};

inline std::optional<Norm> make_norm(const std::optional<NormShape>& shape, ModelWeights& weights) {
  if (!shape) return std::nullopt;
  return Norm(*shape, weights);
}

}  // namespace hearth::train
