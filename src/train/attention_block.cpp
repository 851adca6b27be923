#include "train/attention_block.h"

#include "ops/convert.h"

namespace hearth::train {
AttentionBlock::AttentionBlock(const AttentionShape& shape, const Builder& builder)
    : shape_(shape),
      qkv_(builder.linear(shape.qkv)),
      q_norm_(make_norm(shape.q_norm, builder.weights)),
      k_norm_(make_norm(shape.k_norm, builder.weights)),
      end_(shape.out, shape.after, builder) {}

AttentionBlock::Saved AttentionBlock::plan(ActivationPool& pool, DType type, int64_t tokens) const {
  Saved saved;
  if (q_norm_) {
    saved.raw = pool.take(type, {tokens, (shape_.heads + shape_.kv_heads) * shape_.head_dim});
  }
  saved.qkv = pool.take(type, {tokens, qkv_.out()});
  saved.lse = pool.take(DType::kF32, {tokens, shape_.heads});
  saved.mixed = pool.take(type, {tokens, shape_.heads * shape_.head_dim});
  saved.end = end_.plan(pool, tokens);
  return saved;
}

// Heads of fused q, k, v rows as [tokens, heads, head_dim].
TensorView AttentionBlock::heads_of(TensorView rows, Heads which) const {
  const int64_t d = shape_.head_dim;
  const int64_t q = shape_.heads;
  const int64_t kv = shape_.kv_heads;
  const int64_t begin = which == Heads::kKeys ? q : which == Heads::kValues ? q + kv : 0;
  const int64_t count = which == Heads::kQueries ? q : which == Heads::kTurning ? q + kv : kv;
  TensorView heads = rows.slice_cols(begin * d, (begin + count) * d);
  heads.shape = {rows.rows(), count, d};
  return heads;
}

ops::AttentionSave AttentionBlock::attention(const Pass& pass, const Saved& saved) const {
  return {.q = heads_of(saved.qkv, Heads::kQueries),
          .k = heads_of(saved.qkv, Heads::kKeys),
          .v = heads_of(saved.qkv, Heads::kValues),
          .out = saved.mixed.reshape({saved.mixed.rows(), shape_.heads, shape_.head_dim}),
          .lse = saved.lse,
          .segments = pass.batch.segments,
          .scale = shape_.scale,
          .window = shape_.window,
          .softcap = shape_.softcap};
}

void AttentionBlock::norm_heads(const Pass& pass, const Saved& saved) const {
  ops::convert(pass.ops, saved.qkv.slice_cols(0, saved.raw.cols()), saved.raw);
  q_norm_->forward_heads(pass.ops, heads_of(saved.raw, Heads::kQueries),
                         heads_of(saved.qkv, Heads::kQueries));
  k_norm_->forward_heads(pass.ops, heads_of(saved.raw, Heads::kKeys),
                         heads_of(saved.qkv, Heads::kKeys));
}

void AttentionBlock::norm_heads_backward(const Pass& pass, const Saved& saved,
                                         TensorView dqkv) const {
  const TensorView dq = heads_of(dqkv, Heads::kQueries);
  const TensorView dk = heads_of(dqkv, Heads::kKeys);
  q_norm_->backward_heads(pass.ops, dq, heads_of(saved.raw, Heads::kQueries), dq);
  k_norm_->backward_heads(pass.ops, dk, heads_of(saved.raw, Heads::kKeys), dk);
}

// Queries and keys are neighbours and turn alike.
void AttentionBlock::turn(const Pass& pass, TensorView qkv, ops::Turn direction) const {
  if (shape_.rope == kNoRope) return;
  ops::rope_turn(pass.ops, heads_of(qkv, Heads::kTurning), pass.batch.positions,
                 pass.ropes[static_cast<size_t>(shape_.rope)], direction);
}

void AttentionBlock::forward(const Pass& pass, TensorView x, const Saved& saved,
                             TensorView stream) const {
  qkv_.forward(pass.ops, pass.spares.linear, x, saved.qkv, ops::Store::kReplace);
  if (q_norm_) norm_heads(pass, saved);
  turn(pass, saved.qkv, ops::Turn::kForward);
  ops::attention_save(pass.ops, attention(pass, saved));
  end_.forward(pass, saved.mixed, saved.end, stream);
}

void AttentionBlock::backward(const Pass& pass, TensorView dstream, TensorView x,
                              const Saved& saved, TensorView dx) const {
  const TensorView dmixed = pass.spares.dinner.slice_cols(0, shape_.heads * shape_.head_dim);
  const TensorView dqkv = pass.spares.dqkv.slice_cols(0, qkv_.out());
  end_.backward(pass, dstream, saved.mixed, saved.end, dmixed);
  TensorView dheads = dmixed;
  dheads.shape = {dmixed.rows(), shape_.heads, shape_.head_dim};
  ops::attention_backward(pass.ops,
                          {attention(pass, saved), dheads, heads_of(dqkv, Heads::kQueries),
                           heads_of(dqkv, Heads::kKeys), heads_of(dqkv, Heads::kValues)});
  turn(pass, dqkv, ops::Turn::kBackward);
  if (q_norm_) norm_heads_backward(pass, saved, dqkv);
  qkv_.backward(pass.ops, pass.spares.linear, dqkv, x, dx);
}

}  // namespace hearth::train
