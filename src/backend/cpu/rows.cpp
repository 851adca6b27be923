// The specification of the functions over rows.
#include "backend/cpu/rows.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "tensor/dtype.h"

namespace hearth::backend::cpu {
namespace {

void rms_norm(const float* x, const float* weight, float epsilon, float offset, int64_t n,
              float* y) {
  double squares = 0.0;
  for (int64_t i = 0; i < n; ++i) squares += double{x[i]} * double{x[i]};
  const double mean = squares / static_cast<double>(n);
  const float factor = static_cast<float>(1.0 / std::sqrt(mean + double{epsilon}));
  for (int64_t i = 0; i < n; ++i) y[i] = x[i] * factor * (offset + weight[i]);
}

void layer_norm(const float* x, const float* weight, const float* bias, float epsilon, int64_t n,
                float* y) {
  double sum = 0.0;
  for (int64_t i = 0; i < n; ++i) sum += double{x[i]};
  const double mean = sum / static_cast<double>(n);
  double squares = 0.0;
  for (int64_t i = 0; i < n; ++i) squares += (double{x[i]} - mean) * (double{x[i]} - mean);
  const double variance = squares / static_cast<double>(n);
  const double factor = 1.0 / std::sqrt(variance + double{epsilon});
  for (int64_t i = 0; i < n; ++i) {
    const float normal = static_cast<float>((double{x[i]} - mean) * factor);
    y[i] = normal * (weight == nullptr ? 1.0f : weight[i]) + (bias == nullptr ? 0.0f : bias[i]);
  }
}

void rope_halves(float* x, const float* cos, const float* sin, int64_t half) {
  for (int64_t i = 0; i < half; ++i) {
    const float a = x[i], b = x[i + half];
    x[i] = a * cos[i] - b * sin[i];
    x[i + half] = b * cos[i] + a * sin[i];
  }
}

void rope_pairs(float* x, const float* cos, const float* sin, int64_t half) {
  for (int64_t i = 0; i < half; ++i) {
    const float a = x[2 * i], b = x[2 * i + 1];
    x[2 * i] = a * cos[i] - b * sin[i];
    x[2 * i + 1] = b * cos[i] + a * sin[i];
  }
}

void add(const float* x, float* y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] += x[i];
}

void scale(float factor, float* x, int64_t n) {
  for (int64_t i = 0; i < n; ++i) x[i] *= factor;
}

void soft_cap(float cap, float* x, int64_t n) {
  for (int64_t i = 0; i < n; ++i) x[i] = cap * std::tanh(x[i] / cap);
}

float silu(float x) { return x / (1.0f + std::exp(-x)); }
float gelu(float x) { return 0.5f * x * (1.0f + std::erf(x * 0.70710678f)); }
float gelu_tanh(float x) {
  return 0.5f * x * (1.0f + std::tanh(0.79788456f * (x + 0.044715f * x * x * x)));
}
float relu(float x) { return x > 0.0f ? x : 0.0f; }

template <float (*kFunction)(float)>
void activate(float* x, int64_t n) {
  for (int64_t i = 0; i < n; ++i) x[i] = kFunction(x[i]);
}

template <float (*kFunction)(float)>
void gated(const float* gate, const float* up, float* y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] = kFunction(gate[i]) * up[i];
}

void widen_f32(const void* row, float factor, float* y, int64_t n) {
  const auto* x = static_cast<const float*>(row);
  for (int64_t i = 0; i < n; ++i) y[i] = x[i] * factor;
}

template <float (*kConvert)(uint16_t)>
void widen(const void* row, float factor, float* y, int64_t n) {
  const auto* x = static_cast<const uint16_t*>(row);
  for (int64_t i = 0; i < n; ++i) y[i] = kConvert(x[i]) * factor;
}

void narrow_f32(const float* x, void* row, int64_t n) {
  std::memcpy(row, x, static_cast<size_t>(n) * sizeof(float));
}

template <uint16_t (*kConvert)(float)>
void narrow(const float* x, void* row, int64_t n) {
  auto* y = static_cast<uint16_t*>(row);
  for (int64_t i = 0; i < n; ++i) y[i] = kConvert(x[i]);
}

uint16_t narrow_i8(const float* x, int8_t* row, int64_t n) {
  float most = 0.0f;
  for (int64_t i = 0; i < n; ++i) most = std::max(most, std::abs(x[i]));
  const uint16_t scale = f16_from_float(std::min(most * (1.0f / 127.0f), 65504.0f));
  const float wide = f16_to_float(scale);
  const float inverse = wide > 0.0f ? 1.0f / wide : 0.0f;
  for (int64_t i = 0; i < n; ++i) {
    const float level = std::min(std::max(-127.0f, x[i] * inverse), 127.0f);  // NaN becomes -127
    row[i] = static_cast<int8_t>(static_cast<int32_t>(std::nearbyint(level)));
  }
  return scale;
}

}  // namespace

const RowKernels kRowsReference = {
    .variant = "reference",
    .rms_norm = rms_norm,
    .layer_norm = layer_norm,
    .rope_halves = rope_halves,
    .rope_pairs = rope_pairs,
    .add = add,
    .scale = scale,
    .soft_cap = soft_cap,
    .activate = {activate<silu>, activate<gelu>, activate<gelu_tanh>, activate<relu>},
    .gated = {gated<silu>, gated<gelu>, gated<gelu_tanh>, gated<relu>},
    .widen = {widen_f32, widen<f16_to_float>, widen<bf16_to_float>},
    .narrow = {narrow_f32, narrow<f16_from_float>, narrow<bf16_from_float>},
    .narrow_i8 = narrow_i8,
};

}  // namespace hearth::backend::cpu
