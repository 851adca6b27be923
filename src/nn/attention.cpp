#include "nn/attention.h"

namespace hearth::nn {
namespace {

// A column range [rows, heads * head_dim] as heads.
TensorView as_heads(TensorView x, int64_t heads, int64_t head_dim) {
  return {x.data, x.dtype, {x.rows(), heads, head_dim}, x.row_stride};
}

}  // namespace

TensorView attend(Pass& pass, const AttentionShape& shape, const Angles& angles,
                  const ops::KvPages& pages, TensorView q, TensorView k, TensorView v) {
  const TensorView queries = as_heads(q, shape.heads, shape.head_dim);
  const TensorView keys = as_heads(k, shape.kv_heads, shape.head_dim);
  angles.turn(pass, queries);
  angles.turn(pass, keys);
  ops::kv_store(pass.ops, keys, as_heads(v, shape.kv_heads, shape.head_dim), pass.sequences, pages);
  const TensorView y = pass.temporary(q.rows(), shape.q_size());
  ops::attention(pass.ops, queries, pass.sequences, pages, shape.scores,
                 as_heads(y, shape.heads, shape.head_dim));
  return y;
}

TensorView Attention::forward(Pass& pass, const ops::LinearInput& x, const Angles& angles,
                              const ops::KvPages& pages) const {
  const auto [queries, keys, values] = forward_group<3>(pass, x, {&q, &k, &v});
  if (q_norm) q_norm->forward_heads(pass, queries);
  if (k_norm) k_norm->forward_heads(pass, keys);
  return out.forward(pass, attend(pass, shape, angles, pages, queries, keys, values));
}

TensorView FusedAttention::forward(Pass& pass, const ops::LinearInput& x, const Angles& angles,
                                   const ops::KvPages& pages) const {
  const TensorView fused = qkv.forward(pass, x);
  const int64_t keys = shape.q_size();
  const int64_t values = keys + shape.kv_size();
  const TensorView y =
      attend(pass, shape, angles, pages, fused.slice_cols(0, keys), fused.slice_cols(keys, values),
             fused.slice_cols(values, values + shape.kv_size()));
  return out.forward(pass, y);
}

}  // namespace hearth::nn
