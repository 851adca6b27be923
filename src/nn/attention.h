// Causal self-attention over the paged cache, with separate or fused projections.
#pragma once

#include <optional>

#include "nn/linear.h"
#include "nn/norm.h"
#include "nn/rope.h"

namespace hearth::nn {

struct AttentionShape {
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  ops::Attention scores;  // scale, window, softcap

  int64_t q_size() const { return heads * head_dim; }
  int64_t kv_size() const { return kv_heads * head_dim; }
};

// Turns q and k, stores k and v in the pages of the layer, and attends.
// q [rows, heads * head_dim], k, v [rows, kv_heads * head_dim] -> [rows, heads * head_dim].
TensorView attend(Pass& pass, const AttentionShape& shape, const Angles& angles,
                  const ops::KvPages& pages, TensorView q, TensorView k, TensorView v);

struct Attention {
  AttentionShape shape;
  Linear q, k, v, out;
  std::optional<RmsNorm> q_norm, k_norm;  // over each head

  // x [rows, hidden] -> [rows, hidden].
  TensorView forward(Pass& pass, const ops::LinearInput& x, const Angles& angles,
                     const ops::KvPages& pages) const;
};

// One projection gives queries, keys and values side by side.
struct FusedAttention {
  AttentionShape shape;
  Linear qkv;  // [(heads + 2 * kv_heads) * head_dim, hidden]
  Linear out;

  TensorView forward(Pass& pass, const ops::LinearInput& x, const Angles& angles,
                     const ops::KvPages& pages) const;
};

}  // namespace hearth::nn
