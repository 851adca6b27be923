// From the last hidden states to logits and the loss, in chunks of rows, so that the logits never
// exist whole.
#pragma once

#include <span>

#include "train/pass.h"

namespace hearth::train {

class OutputHead {
 public:
  OutputHead(const DecoderShape& shape, WeightId embedding, const Builder& builder);

  void plan(ActivationPool& pool, DType type, int64_t tokens);
  // losses [tokens]: of each token alone. x [tokens, hidden].
  void losses(const Pass& pass, TensorView x, std::span<float> losses) const;
  // The same, and dx [tokens, hidden] f32, replaced: the gradient of gradient_scale * Σ losses.
  void losses_backward(const Pass& pass, TensorView x, float gradient_scale,
                       std::span<float> losses, TensorView dx) const;
  // logits [rows, vocab] f32 of x [rows, hidden].
  void logits(const Pass& pass, TensorView x, TensorView logits) const;

  const Linear& linear() const { return linear_; }

 private:
  void chunk(const Pass& pass, TensorView x, int64_t begin, float gradient_scale,
             std::span<float> losses, TensorView dx) const;

  float softcap_;
  Linear linear_;
  TensorView logits_;   // [chunk, vocab] f32
  TensorView dlogits_;  // [chunk, vocab] of the compute type
};

}  // namespace hearth::train
