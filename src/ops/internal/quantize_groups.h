// Quantising groups of 32, as plain loops that compilers turn into vectors: included once by ops
// for any machine and once by a backend for each instruction set it knows. Sums have one order,
// sixteen lanes and a tree, so that all of them give the same bits. Nothing here has linkage.
#pragma once

#include <cstdint>
#include <cstring>

#include "ops/quantize_kernels.h"
#include "tensor/dtype.h"

namespace hearth::ops {
namespace {

constexpr int kGroupSize = static_cast<int>(kQuantGroup);
constexpr int kSumLanes = 16;

inline float sum_of_lanes(float (&lanes)[kSumLanes]) {
  for (int half = kSumLanes / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) lanes[i] += lanes[i + half];
  }
  return lanes[0];
}

// To the nearest whole number, halves to even: adding 1.5 * 2^23 leaves no bit for a fraction.
inline float nearest(float x) {
  constexpr float kMagic = 12582912.0f;
  return (x + kMagic) - kMagic;
}

// A NaN becomes `low`: what is made of it must fit whole numbers, whether or not it is used.
inline float limited(float x, float low, float high) {
  const float above = x > low ? x : low;
  return above > high ? high : above;
}

// The greatest magnitude, as bits, which order as magnitudes do; a NaN is above all.
inline int32_t greatest_bits(const float* x) {
  int32_t most = 0;
  for (int i = 0; i < kGroupSize; ++i) {
    int32_t bits;
    std::memcpy(&bits, x + i, sizeof(bits));
    bits &= 0x7fffffff;
    most = bits > most ? bits : most;
  }
  return most;
}

constexpr int32_t kInfinityBits = 0x7f800000;

inline float magnitude_of(int32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

bool quantize_q8_groups(const float* x, int64_t groups, int8_t* levels, uint16_t* scales) {
  bool fits = true;
  for (int64_t g = 0; g < groups; ++g, x += kGroupSize, levels += kGroupSize) {
    const int32_t bits = greatest_bits(x);
    // Levels are chosen for the scale as it will be stored.
    const uint16_t half = f16_from_float(magnitude_of(bits) / 127.0f);
    const float scale = f16_to_float(half);
    fits = fits && bits < kInfinityBits && scale <= 65504.0f;
    scales[g] = half;
    const float inverse = scale > 0.0f ? 1.0f / scale : 0.0f;
    for (int i = 0; i < kGroupSize; ++i) {
      levels[i] = static_cast<int8_t>(
          static_cast<int32_t>(nearest(limited(x[i] * inverse, -127.0f, 127.0f))));
    }
  }
  return fits;
}

// Σ importance · a · b over a group.
inline float weighed_sum(const float* importance, const float* a, const float* b) {
  float lanes[kSumLanes];
  for (int i = 0; i < kSumLanes; ++i) {
    const int j = i + kSumLanes;
    lanes[i] = importance[i] * a[i] * b[i] + importance[j] * a[j] * b[j];
  }
  return sum_of_lanes(lanes);
}

// Levels from -8 to 7 for one inverse scale, and how well they fit: the closer their direction is
// to that of x, the greater is gain = (x·q)² / q·q, whatever their scale will be.
struct Q4Fit {
  float xq;
  float gain;
};
inline Q4Fit fit_q4(const float* x, const float* importance, float inverse,
                    float (&q)[kGroupSize]) {
  for (int i = 0; i < kGroupSize; ++i) q[i] = nearest(limited(x[i] * inverse, -8.0f, 7.0f));
  const float xq = weighed_sum(importance, x, q);
  const float qq = weighed_sum(importance, q, q);
  if (!(qq > 0.0f)) return {0.0f, 0.0f};
  return {xq, xq * xq / qq};
}

// Where the greatest element may fall: around level -8, or 7, and never so that half a level of it
// is lost: the greatest weights meet the greatest inputs more often than chance would have it.
constexpr float kQ4Places[] = {-8.0f, -7.6f, -7.7f, -7.8f, -7.9f, -8.1f, -8.2f, -8.3f, -8.4f,
                               6.6f,  6.7f,  6.8f,  6.9f,  7.0f,  7.1f,  7.2f,  7.3f,  7.4f};

inline float signed_extreme(const float* x, float magnitude) {
  bool positive = false;
  for (int i = 0; i < kGroupSize; ++i) positive = positive || x[i] == magnitude;
  return positive ? magnitude : -magnitude;
}

bool quantize_q4_groups(const float* x, const float* importance, int64_t groups, int8_t* levels,
                        uint16_t* scales) {
  bool fits = true;
  for (int64_t g = 0; g < groups;
       ++g, x += kGroupSize, importance += kGroupSize, levels += kGroupSize) {
    const int32_t bits = greatest_bits(x);
    const float most = signed_extreme(x, magnitude_of(bits));
    float best[kGroupSize] = {};
    Q4Fit chosen{0.0f, 0.0f};
    // Below the smallest scale in f16 a group is zero.
    const bool zero = f16_to_float(f16_from_float(most / -8.0f)) == 0.0f;
    for (float place : kQ4Places) {
      if (zero) break;
      float q[kGroupSize];
      const Q4Fit fit = fit_q4(x, importance, place / most, q);
      if (!(fit.gain > chosen.gain)) continue;
      chosen = fit;
      for (int i = 0; i < kGroupSize; ++i) best[i] = q[i];
    }
    // Of all scales the one that leaves x·x as it was. The one of the least squared error would be
    // smaller, and every layer's outputs with it.
    const float xx = weighed_sum(importance, x, x);
    scales[g] = f16_from_float(chosen.gain > 0.0f ? xx / chosen.xq : 0.0f);
    const float stored = f16_to_float(scales[g]);
    fits = fits && bits < kInfinityBits && stored <= 65504.0f && stored >= -65504.0f;
    for (int i = 0; i < kGroupSize; ++i) {
      levels[i] = static_cast<int8_t>(static_cast<int32_t>(best[i]));
    }
  }
  return fits;
}

void widen_bf16_row(const uint16_t* row, int64_t n, float* y) {
  for (int64_t i = 0; i < n; ++i) {
    const uint32_t bits = static_cast<uint32_t>(row[i]) << 16;
    std::memcpy(y + i, &bits, sizeof(bits));
  }
}

// Without branches: the exponent is moved by a product, which makes subnormals right as well;
// infinities and NaNs get theirs back.
void widen_f16_row(const uint16_t* row, int64_t n, float* y) {
  for (int64_t i = 0; i < n; ++i) {
    const uint32_t half = row[i];
    const uint32_t shifted = (half & 0x7fffu) << 13;
    float value;
    std::memcpy(&value, &shifted, sizeof(value));
    value *= 0x1p112f;
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof(bits));
    bits |= shifted >= 0x0f800000u ? 0x7f800000u : 0u;
    bits |= (half & 0x8000u) << 16;
    std::memcpy(y + i, &bits, sizeof(bits));
  }
}

constexpr QuantizeKernels quantize_kernels_named(const char* variant) {
  return {variant, quantize_q8_groups, quantize_q4_groups, widen_f16_row, widen_bf16_row};
}

}  // namespace
}  // namespace hearth::ops
