// rows.h in vectors, for the instruction set of the including file.
#pragma once

#include "backend/cpu/rows.h"
#include "backend/cpu/simd.h"

#if defined(__AVX2__)

namespace hearth::backend::cpu {
namespace {

// Calls body(i) for full vectors of [0, n) and body(i, part) for what is left.
template <typename Body>
inline void each_vector(int64_t n, const Body& body) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) body(i);
  if (i < n) body(i, Part(n - i));
}

inline float square_root(float x) { return _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(x))); }

void rms_norm(const float* x, const float* weight, float epsilon, float offset, int64_t n,
              float* y) {
  F squares = zero();
  each_vector(n, [&](int64_t i, auto... part) {
    const F v = load(x + i, part...);
    squares = fma(v, v, squares);
  });
  const F factor = broadcast(1.0f / square_root(sum(squares) / static_cast<float>(n) + epsilon));
  const F shift = broadcast(offset);
  each_vector(n, [&](int64_t i, auto... part) {
    const F v = mul(load(x + i, part...), factor);
    store(y + i, mul(v, add(shift, load(weight + i, part...))), part...);
  });
}

void layer_norm(const float* x, const float* weight, const float* bias, float epsilon, int64_t n,
                float* y) {
  F total = zero();
  each_vector(n, [&](int64_t i, auto... part) { total = add(total, load(x + i, part...)); });
  const float mean = sum(total) / static_cast<float>(n);
  const F centre = broadcast(mean);
  F squares = zero();
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const F v = sub(load(x + i), centre);
    squares = fma(v, v, squares);
  }
  if (i < n) {  // lanes past the end hold the mean, whose square is nothing
    const F v = choose(lanes_between(0, n - i), sub(load(x + i, Part(n - i)), centre), zero());
    squares = fma(v, v, squares);
  }
  const F factor = broadcast(1.0f / square_root(sum(squares) / static_cast<float>(n) + epsilon));
  each_vector(n, [&](int64_t at, auto... part) {
    F v = mul(sub(load(x + at, part...), centre), factor);
    if (weight != nullptr) v = mul(v, load(weight + at, part...));
    if (bias != nullptr) v = add(v, load(bias + at, part...));
    store(y + at, v, part...);
  });
}

void rope_halves(float* x, const float* cos, const float* sin, int64_t half) {
  each_vector(half, [&](int64_t i, auto... part) {
    const F a = load(x + i, part...), b = load(x + half + i, part...);
    const F c = load(cos + i, part...), s = load(sin + i, part...);
    store(x + i, sub(mul(a, c), mul(b, s)), part...);
    store(x + half + i, add(mul(b, c), mul(a, s)), part...);
  });
}

// A pair at a time: this layout is rare, and its rotation is a small part of any model.
void rope_pairs(float* x, const float* cos, const float* sin, int64_t half) {
  for (int64_t i = 0; i < half; ++i) {
    const float a = x[2 * i], b = x[2 * i + 1];
    x[2 * i] = a * cos[i] - b * sin[i];
    x[2 * i + 1] = b * cos[i] + a * sin[i];
  }
}

void add_row(const float* x, float* y, int64_t n) {
  each_vector(n, [&](int64_t i, auto... part) {
    store(y + i, add(load(y + i, part...), load(x + i, part...)), part...);
  });
}

void scale_row(float factor, float* x, int64_t n) {
  const F f = broadcast(factor);
  each_vector(
      n, [&](int64_t i, auto... part) { store(x + i, mul(load(x + i, part...), f), part...); });
}

void soft_cap_row(float cap, float* x, int64_t n) {
  const F c = broadcast(cap);
  each_vector(n, [&](int64_t i, auto... part) {
    store(x + i, mul(c, tanh(div(load(x + i, part...), c))), part...);
  });
}

inline F sigmoid(F x) { return div(broadcast(1.0f), add(broadcast(1.0f), exp(sub(zero(), x)))); }

struct Silu {
  static F of(F x) { return mul(x, sigmoid(x)); }
};
// (1 + tanh u) / 2 is sigmoid(2u).
struct GeluTanh {
  static F of(F x) {
    const F cubic = fma(mul(mul(x, x), x), broadcast(0.044715f), x);
    return mul(x, sigmoid(mul(cubic, broadcast(1.59576912f))));
  }
};
// x times the normal distribution function, through erfc(|x| / sqrt 2) as a Chebyshev fit in
// t = 1 / (1 + z/2) with a relative error of 1.2e-7 (Numerical Recipes, section 6.2).
struct Gelu {
  static F of(F x) {
    const F z = smaller(mul(absolute(x), broadcast(0.70710678f)), broadcast(11.0f));
    const F one = broadcast(1.0f);
    const F t = div(one, fma(z, broadcast(0.5f), one));
    F p = broadcast(0.17087277f);
    p = fma(p, t, broadcast(-0.82215223f));
    p = fma(p, t, broadcast(1.48851587f));
    p = fma(p, t, broadcast(-1.13520398f));
    p = fma(p, t, broadcast(0.27886807f));
    p = fma(p, t, broadcast(-0.18628806f));
    p = fma(p, t, broadcast(0.09678418f));
    p = fma(p, t, broadcast(0.37409196f));
    p = fma(p, t, broadcast(1.00002368f));
    p = fma(p, t, broadcast(-1.26551223f));
    const F tail = mul(mul(broadcast(0.5f), t), exp(fnma(z, z, p)));
    return mul(x, choose(less(x, zero()), tail, sub(one, tail)));
  }
};
struct Relu {
  static F of(F x) { return larger(zero(), x); }
};

template <typename Function>
void activate_row(float* x, int64_t n) {
  each_vector(n, [&](int64_t i, auto... part) {
    store(x + i, Function::of(load(x + i, part...)), part...);
  });
}

template <typename Function>
void gated_row(const float* gate, const float* up, float* y, int64_t n) {
  each_vector(n, [&](int64_t i, auto... part) {
    store(y + i, mul(Function::of(load(gate + i, part...)), load(up + i, part...)), part...);
  });
}

template <typename Element>
void widen_row(const void* row, float factor, float* y, int64_t n) {
  const auto* x = static_cast<const typename Element::T*>(row);
  const F f = broadcast(factor);
  each_vector(n, [&](int64_t i, auto... part) {
    store(y + i, mul(Element::get(x + i, part...), f), part...);
  });
}

template <typename Element>
void narrow_row(const float* x, void* row, int64_t n) {
  auto* y = static_cast<typename Element::T*>(row);
  each_vector(n,
              [&](int64_t i, auto... part) { Element::put(y + i, load(x + i, part...), part...); });
}

uint16_t narrow_i8(const float* x, int8_t* row, int64_t n) {
  F most = zero();
  each_vector(
      n, [&](int64_t i, auto... part) { most = larger(absolute(load(x + i, part...)), most); });
  const float limit = 65504.0f, greatest_scale = greatest(most) * (1.0f / 127.0f);
  const uint16_t scale = f16_of(greatest_scale < limit ? greatest_scale : limit);
  const float wide = f16_value(scale);
  const F inverse = broadcast(wide > 0.0f ? 1.0f / wide : 0.0f);
  each_vector(n, [&](int64_t i, auto... part) {
    const F level = mul(load(x + i, part...), inverse);
    AsI8::put(row + i, smaller(larger(level, broadcast(-127.0f)), broadcast(127.0f)), part...);
  });
  return scale;
}

constexpr RowKernels simd_rows(const char* variant) {
  return {
      .variant = variant,
      .rms_norm = rms_norm,
      .layer_norm = layer_norm,
      .rope_halves = rope_halves,
      .rope_pairs = rope_pairs,
      .add = add_row,
      .scale = scale_row,
      .soft_cap = soft_cap_row,
      .activate = {activate_row<Silu>, activate_row<Gelu>, activate_row<GeluTanh>,
                   activate_row<Relu>},
      .gated = {gated_row<Silu>, gated_row<Gelu>, gated_row<GeluTanh>, gated_row<Relu>},
      .widen = {widen_row<AsF32>, widen_row<AsF16>, widen_row<AsBF16>},
      .narrow = {narrow_row<AsF32>, narrow_row<AsF16>, narrow_row<AsBF16>},
      .narrow_i8 = narrow_i8,
  };
}

}  // namespace
}  // namespace hearth::backend::cpu

#endif
