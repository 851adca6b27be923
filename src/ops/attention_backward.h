// Causal attention for training over packed documents: forward that keeps the row's log-sum, and
// its backward pass. Scores never exist whole (Dao et al. 2022): memory is linear in tokens.
#pragma once

#include <cstdint>
#include <span>

#include "ops/train_context.h"

namespace hearth::ops {

// Rows [begin, begin + count) are one document: its tokens see each other and nobody else.
struct Segment {
  int32_t begin = 0;
  int32_t count = 0;
};

struct AttentionSave {
  TensorView q;    // [tokens, heads, head_dim] f32 or bf16; rows may be strided
  TensorView k;    // [tokens, kv_heads, head_dim], same type; heads is a multiple of kv_heads
  TensorView v;    // like k
  TensorView out;  // [tokens, heads, head_dim], same type
  TensorView lse;  // [tokens, heads] f32: log of the sum of exp(score)
  std::span<const Segment> segments;
  float scale = 1.0f;
  int32_t window = 0;    // a token sees itself and window - 1 before it; 0: all
  float softcap = 0.0f;  // scores become softcap * tanh(score / softcap); 0: off
};
void attention_save(TrainContext& ctx, const AttentionSave& args);

struct AttentionBackward {
  AttentionSave forward;
  TensorView dout;  // like out
  TensorView dq;    // like q, replaced
  TensorView dk;    // like k, replaced
  TensorView dv;    // like v, replaced
};
void attention_backward(TrainContext& ctx, const AttentionBackward& args);

}  // namespace hearth::ops
