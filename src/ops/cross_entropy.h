// Softmax cross-entropy of a chunk of rows, with its gradient in the same pass.
#pragma once

#include <cstdint>
#include <span>

#include "ops/train_context.h"

namespace hearth::ops {

constexpr int32_t kIgnoreTarget = -1;  // this row has no loss and a gradient of zero

struct CrossEntropy {
  TensorView logits;                 // [rows, vocab] f32
  std::span<const int32_t> targets;  // [rows], or kIgnoreTarget
  float gradient_scale = 0.0f;       // on d(loss)/d(logits), usually 1 / tokens of the step
  std::span<const float> weights;    // [rows] of each row's gradient; empty: all 1
  TensorView dlogits;                // [rows, vocab] f32 or bf16, replaced; empty: loss only
  std::span<float> losses;           // [rows]: -log p(target), 0 where ignored
};
void cross_entropy(TrainContext& ctx, const CrossEntropy& args);

}  // namespace hearth::ops
