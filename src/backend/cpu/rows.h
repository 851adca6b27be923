// Functions over one row: what norms, rotations and activations do, apart from threads and strides.
//
// One table per instruction set. rows.cpp is the specification; rows_simd.h is the same in vectors.
#pragma once

#include <cstdint>

namespace hearth::backend::cpu {

constexpr int kActivations = 4;  // ops::Activation
constexpr int kFormats = 3;      // ops::WeightFormat: f32, f16, bf16

struct RowKernels {
  const char* variant;

  // y[n] = x / rms(x) * (offset + weight)
  void (*rms_norm)(const float* x, const float* weight, float epsilon, float offset, int64_t n,
                   float* y);
  // y[n] = (x - mean) / sqrt(variance + epsilon) * weight + bias; weight and bias may be null
  void (*layer_norm)(const float* x, const float* weight, const float* bias, float epsilon,
                     int64_t n, float* y);
  // x[i] and x[i + half] turn by the angle of cos[i], sin[i]
  void (*rope_halves)(float* x, const float* cos, const float* sin, int64_t half);
  // x[2i] and x[2i + 1] turn
  void (*rope_pairs)(float* x, const float* cos, const float* sin, int64_t half);
  void (*add)(const float* x, float* y, int64_t n);  // y += x
  void (*scale)(float factor, float* x, int64_t n);  // x *= factor
  void (*soft_cap)(float cap, float* x, int64_t n);  // x = cap * tanh(x / cap)
  void (*activate[kActivations])(float* x, int64_t n);
  // y = f(gate) * up
  void (*gated[kActivations])(const float* gate, const float* up, float* y, int64_t n);
  // y = row of f32, f16 or bf16 as f32, times factor
  void (*widen[kFormats])(const void* row, float factor, float* y, int64_t n);
  // row of f32, f16 or bf16 = x, rounded to nearest even
  void (*narrow[kFormats])(const float* x, void* row, int64_t n);
  // row of signed levels = x / scale, the greatest magnitude at 127; returns the scale as f16. All
  // variants give the same bits.
  uint16_t (*narrow_i8)(const float* x, int8_t* row, int64_t n);
};

extern const RowKernels kRowsReference;
extern const RowKernels kRowsAvx2;
extern const RowKernels kRowsAvx512;

}  // namespace hearth::backend::cpu
