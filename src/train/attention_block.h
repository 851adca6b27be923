// The attention branch of a layer in training: projections, norms of heads, rope, attention over
// packed documents.
#pragma once

#include <optional>

#include "ops/attention_backward.h"
#include "train/branch_end.h"

namespace hearth::train {

class AttentionBlock {
 public:
  struct Saved {
    TensorView raw;    // queries and keys before their norms, where they have any
    TensorView qkv;    // [tokens, rows of qkv] after norms and rope
    TensorView lse;    // [tokens, heads] f32
    TensorView mixed;  // [tokens, heads * head_dim]: what the heads read
    BranchEnd::Saved end;
  };

  AttentionBlock(const AttentionShape& shape, const Builder& builder);

  Saved plan(ActivationPool& pool, DType type, int64_t tokens) const;
  // stream += attention(x): x [tokens, hidden], stream [tokens, hidden] f32.
  void forward(const Pass& pass, TensorView x, const Saved& saved, TensorView stream) const;
  // dx [tokens, hidden] f32, replaced, from the gradient of the stream.
  void backward(const Pass& pass, TensorView dstream, TensorView x, const Saved& saved,
                TensorView dx) const;

  const AttentionShape& shape() const { return shape_; }
  const Linear& qkv() const { return qkv_; }
  const BranchEnd& end() const { return end_; }

 private:
  enum class Heads : uint8_t { kQueries, kKeys, kValues, kTurning };  // kTurning: queries and keys
  TensorView heads_of(TensorView rows, Heads which) const;
  ops::AttentionSave attention(const Pass& pass, const Saved& saved) const;
  void norm_heads(const Pass& pass, const Saved& saved) const;
  void norm_heads_backward(const Pass& pass, const Saved& saved, TensorView dqkv) const;
  void turn(const Pass& pass, TensorView qkv, ops::Turn direction) const;

  AttentionShape shape_;
  Linear qkv_;
  std::optional<Norm> q_norm_, k_norm_;
  BranchEnd end_;
};

}  // namespace hearth::train
