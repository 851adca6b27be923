// One layer of a decoder in training: how its branches are wired to the residual stream.
//
//   serial     x += attention(norm(x)); x += mlp(norm'(x))
//   parallel   x += attention(norm(x)) + mlp(norm'(x)), where norm' may be norm itself
#pragma once

#include <optional>

#include "train/attention_block.h"
#include "train/mlp_block.h"

namespace hearth::train {

class Layer {
 public:
  // What the backward pass needs. `input` is set by who runs the layers.
  struct Saved {
    TensorView input;   // [tokens, hidden] f32
    TensorView middle;  // [tokens, hidden] f32: after attention
    Norm::Saved attention_norm, mlp_norm;
    AttentionBlock::Saved attention;
    MlpBlock::Saved mlp;
  };

  Layer(const LayerShape& shape, const Builder& builder);

  Saved plan(ActivationPool& pool, DType type, int64_t tokens, int64_t hidden) const;
  // output [tokens, hidden] f32.
  void forward(const Pass& pass, const Saved& saved, TensorView output) const;
  // Spares::dstream: from the gradient of the output to that of the input.
  void backward(const Pass& pass, const Saved& saved) const;

  const AttentionBlock& attention() const { return attention_; }
  const MlpBlock& mlp() const { return mlp_; }
  Residual residual() const { return residual_; }

 private:
  TensorView mlp_input(const Saved& saved) const;  // what its norm reads
  const Norm& mlp_norm() const { return mlp_norm_ ? *mlp_norm_ : attention_norm_; }
  const Norm::Saved& mlp_norm_saved(const Saved& saved) const {
    return mlp_norm_ ? saved.mlp_norm : saved.attention_norm;
  }

  Residual residual_;
  Norm attention_norm_;
  AttentionBlock attention_;
  std::optional<Norm> mlp_norm_;
  MlpBlock mlp_;
};

}  // namespace hearth::train
