// Single numbers of tensors as they stand in a file: any of the three types, at any alignment.
#pragma once

#include <cstdint>
#include <cstring>

#include "adapters/binding.h"
#include "tensor/tensor.h"

namespace hearth::adapters {

inline float element(const TensorView& values, int64_t i) {
  const auto* data = static_cast<const std::byte*>(values.data);
  if (values.dtype == DType::kF32) {
    float value = 0;
    std::memcpy(&value, data + i * 4, sizeof value);
    return value;
  }
  uint16_t bits = 0;
  std::memcpy(&bits, data + i * 2, sizeof bits);
  return values.dtype == DType::kF16 ? f16_to_float(bits) : bf16_to_float(bits);
}

// The row of a module's B that output `o` of its part is: the base may hold its rows in another
// order than the checkpoint that the adapter was trained on.
inline int64_t source_row(const nn::Projection& projection, const BoundPart& part, int64_t o) {
  return projection.order.empty() ? o : projection.order[static_cast<size_t>(part.begin + o)];
}

}  // namespace hearth::adapters
