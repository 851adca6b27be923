// How attention, feed-forward and norms are wired to the residual stream.
#pragma once

#include "nn/attention.h"
#include "nn/mlp.h"

namespace hearth::nn {

// x += attention(norm(x)); x += mlp(norm(x)).
template <typename Norm, typename Attend, typename FeedForward>
struct PreNormLayer {
  Norm attention_norm;
  Attend attention;
  Norm mlp_norm;
  FeedForward mlp;

  // x [rows, hidden], in place.
  void forward(Pass& pass, TensorView x, const Angles& angles, const ops::KvPages& pages) const {
    add(pass, attention.forward(pass, attention_norm.deferred(x), angles, pages), x);
    add(pass, mlp.forward(pass, mlp_norm.deferred(x)), x);
  }
};

}  // namespace hearth::nn
