// The matrix of a linear layer as the kernels read it.
//
// f32, f16 and bf16 matrices are read in place, row-major [out, in], straight from the mapped file.
// Quantised formats are packed when loaded and own their memory (ops/quantize.h).
#pragma once

#include <cstdint>
#include <optional>

#include "tensor/tensor.h"

namespace hearth::ops {

enum class WeightFormat : uint8_t { kF32, kF16, kBF16, kQ8, kQ4 };

const char* to_string(WeightFormat format);
inline bool quantized(WeightFormat format) {
  return format == WeightFormat::kQ8 || format == WeightFormat::kQ4;
}
WeightFormat weight_format(DType dtype);  // CHECKs that the type is one of the three

// How a product is computed when the weight is bf16. kAuto takes bf16 arithmetic where the machine
// has it: inputs are rounded to bf16 and products are summed in f32. kF32 keeps the inputs in f32.
enum class ComputeType : uint8_t { kAuto, kF32 };

struct Weight {
  WeightFormat format = WeightFormat::kF32;
  int64_t out = 0;
  int64_t in = 0;
  TensorView matrix;  // [out, in]; quantised: the levels, u8, as packed
  TensorView scales;  // quantised: f16, as packed; empty otherwise
  Buffer owned;       // holds the matrix when it does not live in a mapped file
  ComputeType compute = ComputeType::kAuto;

  bool empty() const { return matrix.empty(); }
  // Memory of the matrix, scales included.
  int64_t bytes() const;
};

// A weight over memory that outlives it.
Weight weight_view(TensorView matrix);
// The same weight over the same memory, not owning it.
Weight view_of(const Weight& weight);
// The same of outputs [begin, end). Nothing where a quantised matrix cannot be cut: its outputs lie
// in blocks.
std::optional<Weight> view_of_outputs(const Weight& weight, int64_t begin, int64_t end);
// Row `o` as f32; row [in]. One at a time: for what is done once.
void read_row(const Weight& weight, int64_t o, float* row);

}  // namespace hearth::ops
