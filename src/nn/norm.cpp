#include "nn/norm.h"

namespace hearth::nn {
namespace {

// [rows, heads * n] as [rows * heads, n].
TensorView split_heads(TensorView x, int64_t n) { return x.reshape({x.rows() * x.cols() / n, n}); }

}  // namespace

TensorView RmsNorm::forward(Pass& pass, TensorView x) const {
  const TensorView y = pass.temporary(x.rows(), x.cols());
  ops::rms_norm(pass.ops, x, {weight, epsilon, offset}, y);
  return y;
}

ops::LinearInput RmsNorm::deferred(TensorView x) const {
  return {x, ops::RmsNorm{weight, epsilon, offset}};
}

void RmsNorm::forward_heads(Pass& pass, TensorView x) const {
  const TensorView heads = split_heads(x, weight->rows());
  ops::rms_norm(pass.ops, heads, {weight, epsilon, offset}, heads);
}

TensorView LayerNorm::forward(Pass& pass, TensorView x) const {
  const TensorView y = pass.temporary(x.rows(), x.cols());
  ops::layer_norm(pass.ops, x, {weight, bias, epsilon}, y);
  return y;
}

ops::LinearInput LayerNorm::deferred(TensorView x) const {
  return {x, ops::LayerNorm{weight, bias, epsilon}};
}

void LayerNorm::forward_heads(Pass& pass, TensorView x) const {
  const TensorView heads = split_heads(x, weight->rows());
  ops::layer_norm(pass.ops, heads, {weight, bias, epsilon}, heads);
}

}  // namespace hearth::nn
