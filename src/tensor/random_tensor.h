// Tensors of normally distributed numbers, for tests.
#pragma once

#include "base/random.h"
#include "tensor/tensor.h"

namespace hearth {

inline Tensor random_tensor(Random& random, Shape shape, float deviation = 1.0f) {
  Tensor tensor(DType::kF32, shape);
  for (int64_t i = 0; i < shape.count(); ++i) {
    tensor->as<float>()[i] = static_cast<float>(random.normal()) * deviation;
  }
  return tensor;
}

}  // namespace hearth
