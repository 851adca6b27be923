// Element types of tensors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace hearth {

enum class DType : uint8_t { kF32, kF16, kBF16, kI32, kI8, kU8 };

size_t dtype_bytes(DType dtype);
const char* to_string(DType dtype);

// bf16 is the upper half of an f32; conversion rounds to nearest even and keeps NaN a NaN.
uint16_t bf16_from_float(float value);
float bf16_to_float(uint16_t bits);
// IEEE binary16, round to nearest even, subnormals kept.
uint16_t f16_from_float(float value);
float f16_to_float(uint16_t bits);

}  // namespace hearth
