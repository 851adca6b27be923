// Where the weights of a model live: trained ones in Parameters (f32 master weights, gradients,
// moments), frozen ones as the file has them, mapped or quantised, with no gradient and no moments.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "io/file_source.h"
#include "ops/weight.h"
#include "train/parameters.h"

namespace hearth::train {

enum class Training : uint8_t { kTrained, kFrozen };

// Names a weight inside ModelWeights.
struct WeightId {
  Training training = Training::kTrained;
  size_t index = 0;
};

struct FrozenParameter {
  Parameter shape;
  // Once loaded, one of the two:
  std::vector<ops::Weight> pieces;  // of each of shape.pieces; a view of the file, or own memory
  Tensor vector;                    // of a kVector: [rows * cols] f32
};

class ModelWeights {
 public:
  // `own`: what becomes of the model's weights. What adapters add to `parameters` is trained.
  ModelWeights(DType compute, Training own) : parameters(compute), own_(own) {}

  WeightId add(Parameter parameter);
  // The model's own weights, in the order they were added.
  const std::vector<WeightId>& own() const { return ids_; }

  static bool trained(WeightId id) { return id.training == Training::kTrained; }
  const Parameter& shape(WeightId id) const;
  // f32 [n] of a kVector.
  TensorView vector(WeightId id) const;
  // [rows, cols] of one piece, to look rows up in: f32 or bf16.
  TensorView table(WeightId id) const;
  // The gradients; empty of a frozen weight.
  TensorView gradient(WeightId id) const;
  TensorView vector_gradient(WeightId id) const;
  const ops::Weight& frozen_piece(WeightId id, size_t piece) const;

  Parameters parameters;
  std::vector<FrozenParameter> frozen;
  std::shared_ptr<io::FileSource> files;  // keeps what frozen weights are views of

 private:
  Training own_;
  std::vector<WeightId> ids_;
};

}  // namespace hearth::train
