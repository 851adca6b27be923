// What the parts of a decoder share while one batch goes through it, and while it is built.
#pragma once

#include <vector>

#include "ops/rope_backward.h"
#include "train/linear.h"
#include "train/model.h"

namespace hearth::train {

// Temporaries that all layers use in turn.
struct Spares {
  LinearSpares linear;
  TensorView dinner;     // [tokens, widest inner] compute type: gradient inside a branch
  TensorView dqkv;       // [tokens, widest q, k and v] compute type
  TensorView narrow;     // [tokens, hidden] compute type: a copy of f32 rows for products
  TensorView dnorm;      // [tokens, hidden] f32: gradient of a norm's output
  TensorView dstream;    // [tokens, hidden] f32: gradient of the residual stream
  TensorView dbranch;    // [tokens, hidden] f32, of models with norms after their branches
  TensorView dparallel;  // [tokens, hidden] f32, of models with parallel branches
};

struct Pass {
  ops::TrainContext& ops;
  const Batch& batch;
  DType type;  // of products and what they read
  const Spares& spares;
  const std::vector<ops::RopeTable>& ropes;
};

struct Builder {
  ModelWeights& weights;
  LowRankMaker* maker = nullptr;
  float deviation = 0.02f;       // of the first weights
  float deviation_deep = 0.02f;  // of those that end a branch

  Linear linear(const LinearShape& shape, ParameterKind kind = ParameterKind::kMatrix) const {
    const bool deep = shape.place == LinearShape::Place::kEndsBranch;
    return Linear(shape, deep ? deviation_deep : deviation, kind, weights, maker);
  }
};

}  // namespace hearth::train
