// Activations and their slopes, as loops over elements that the compiler vectorises. Each has
//   value(x)            f(x)
//   times_value(d, x)   d f(x)
//   times_slope(d, x)   d f'(x)
#pragma once

#include "backend/cpu/internal/simd.h"
#include "ops/elementwise.h"

namespace hearth::backend::cpu {
namespace {

inline float sigmoid(float x) { return 1.0f / (1.0f + exp_fast(-x)); }

struct Silu {
  static float value(float x) { return x * sigmoid(x); }
  static float times_value(float d, float x) { return d * x * sigmoid(x); }
  static float times_slope(float d, float x) {
    const float s = sigmoid(x);
    return d * s * (1.0f + x * (1.0f - s));
  }
};

// The normal distribution function through erfc(|x| / sqrt 2), a Chebyshev fit in t = 1 / (1 + z/2)
// with a relative error of 1.2e-7 (Numerical Recipes, section 6.2).
inline float normal_below(float x) {
  const float size = x < 0.0f ? -x : x;
  const float scaled = size * 0.70710678f;
  const float z = scaled > 11.0f ? 11.0f : scaled;
  const float t = 1.0f / (1.0f + 0.5f * z);
  float p = 0.17087277f;
  p = p * t - 0.82215223f;
  p = p * t + 1.48851587f;
  p = p * t - 1.13520398f;
  p = p * t + 0.27886807f;
  p = p * t - 0.18628806f;
  p = p * t + 0.09678418f;
  p = p * t + 0.37409196f;
  p = p * t + 1.00002368f;
  p = p * t - 1.26551223f;
  const float tail = 0.5f * t * exp_fast(p - z * z);
  return x < 0.0f ? tail : 1.0f - tail;
}

struct Gelu {
  static float value(float x) { return x * normal_below(x); }
  static float times_value(float d, float x) { return d * value(x); }
  static float times_slope(float d, float x) {
    constexpr float kDensity = 0.39894228f;  // 1 / sqrt(2 pi)
    return d * (normal_below(x) + x * kDensity * exp_fast(-0.5f * x * x));
  }
};

// (1 + tanh u) / 2 is sigmoid(2u).
struct GeluTanh {
  static constexpr float kTwice = 1.59576912f;  // 2 sqrt(2 / pi)
  static float gate(float x) { return sigmoid(kTwice * (x + 0.044715f * x * x * x)); }
  static float value(float x) { return x * gate(x); }
  static float times_value(float d, float x) { return d * value(x); }
  static float times_slope(float d, float x) {
    const float s = gate(x);
    const float steep = kTwice * (1.0f + 3.0f * 0.044715f * x * x);
    return d * (s + x * s * (1.0f - s) * steep);
  }
};

struct Relu {
  static float value(float x) { return x > 0.0f ? x : 0.0f; }
  static float times_value(float d, float x) { return d * value(x); }
  static float times_slope(float d, float x) { return x > 0.0f ? d : 0.0f; }
};

// Calls body with a value of the type above.
template <typename Body>
inline void with_activation(ops::Activation activation, const Body& body) {
  switch (activation) {
    case ops::Activation::kSilu:
      return body(Silu{});
    case ops::Activation::kGelu:
      return body(Gelu{});
    case ops::Activation::kGeluTanh:
      return body(GeluTanh{});
    case ops::Activation::kRelu:
      return body(Relu{});
  }
}

}  // namespace
}  // namespace hearth::backend::cpu
