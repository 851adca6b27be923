#include "train/weights.h"

#include "base/check.h"

namespace hearth::train {

WeightId ModelWeights::add(Parameter parameter) {
  WeightId id{own_, frozen.size()};
  if (own_ == Training::kTrained) {
    id.index = parameters.add(std::move(parameter));
  } else {
    frozen.push_back({std::move(parameter), {}, {}});
  }
  ids_.push_back(id);
  return id;
}

const Parameter& ModelWeights::shape(WeightId id) const {
  return trained(id) ? parameters.list()[id.index] : frozen[id.index].shape;
}

const ops::Weight& ModelWeights::frozen_piece(WeightId id, size_t piece) const {
  const FrozenParameter& parameter = frozen[id.index];
  CHECK(piece < parameter.pieces.size(), "weight {} is not loaded",
        parameter.shape.pieces.front().name);
  return parameter.pieces[piece];
}

TensorView ModelWeights::vector(WeightId id) const {
  return trained(id) ? parameters.vector(id.index) : frozen[id.index].vector.view();
}

TensorView ModelWeights::table(WeightId id) const {
  return trained(id) ? parameters.master(id.index) : frozen_piece(id, 0).matrix;
}

TensorView ModelWeights::gradient(WeightId id) const {
  return trained(id) ? parameters.gradient(id.index) : TensorView{};
}

TensorView ModelWeights::vector_gradient(WeightId id) const {
  return trained(id) ? parameters.vector_gradient(id.index) : TensorView{};
}

}  // namespace hearth::train
