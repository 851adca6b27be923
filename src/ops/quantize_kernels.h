// The inner functions of quantising (ops/quantize.h): groups of 32 elements to signed levels and
// f16 scales. A plain struct, so that files compiled for one instruction set can fill it.
#pragma once

#include <cstdint>

namespace hearth::ops {

constexpr int64_t kQuantGroup = 32;

// All variants give the same bits. False: an element is not finite, or a scale would not be.
struct QuantizeKernels {
  const char* variant;
  bool (*q8)(const float* x, int64_t groups, int8_t* levels, uint16_t* scales);
  // importance: a weight of the squared error of each element.
  bool (*q4)(const float* x, const float* importance, int64_t groups, int8_t* levels,
             uint16_t* scales);
  void (*widen_f16)(const uint16_t* row, int64_t n, float* y);
  void (*widen_bf16)(const uint16_t* row, int64_t n, float* y);
};
// For any machine.
extern const QuantizeKernels kQuantizePlain;

}  // namespace hearth::ops
