// RMSNorm or LayerNorm of each head on its own (queries and keys of Qwen 3, Gemma 3, Phi), for
// training. Heads are short: the backward pass computes their statistics again.
#pragma once

#include "ops/train_context.h"

namespace hearth::ops {

enum class NormKind : uint8_t {
  kRms,    // x / rms(x) * (offset + weight)
  kLayer,  // (x - mean) / deviation * weight + bias
};

struct HeadNorm {
  NormKind kind = NormKind::kRms;
  TensorView x;       // [tokens, heads, head_dim] f32 or bf16; rows may be strided
  TensorView weight;  // [head_dim] f32
  TensorView bias;    // [head_dim] f32 of kLayer, else empty
  float epsilon = 1e-6f;
  float offset = 0.0f;
  TensorView y;  // like x; may be x
};
void head_norm(TrainContext& ctx, const HeadNorm& args);

struct HeadNormBackward {
  HeadNorm forward;    // its y is not read
  TensorView dy;       // like x
  TensorView dx;       // like x, replaced; may be dy
  TensorView dweight;  // [head_dim] f32, added to; empty: not wanted, nor dbias
  TensorView dbias;    // [head_dim] f32, added to
};
void head_norm_backward(TrainContext& ctx, const HeadNormBackward& args);

}  // namespace hearth::ops
