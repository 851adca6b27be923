// y = cap tanh(x / cap):  dx = dy (1 - (y / cap)²).
#pragma once

#include "backend/cpu/internal/simd.h"
#include "ops/soft_cap_backward.h"

namespace hearth::backend::cpu {
namespace {

// tanh(x / cap) cap, through tanh u = 1 - 2 / (1 + e^2u).
inline float soft_capped(float x, float cap, float twice_unit) {
  return cap - 2.0f * cap / (1.0f + exp_fast(x * twice_unit));
}

void soft_cap_save(ops::TrainContext& ctx, float cap, TensorView x) {
  const int64_t n = x.cols();
  const float twice_unit = 2.0f / cap;
  for_row_spans(ctx, x.rows(), [&](int64_t t) {
    float* row = x.row<float>(t);
    for (int64_t i = 0; i < n; ++i) row[i] = soft_capped(row[i], cap, twice_unit);
  });
}

void soft_cap_backward(ops::TrainContext& ctx, float cap, TensorView y, TensorView dy) {
  const int64_t n = y.cols();
  const float unit = 1.0f / cap;
  with_element(dy.dtype, [&](auto element) {
    using T = decltype(element);
    for_row_spans(ctx, y.rows(), [&](int64_t t) {
      const float* capped = y.row<float>(t);
      T* d = row_of<T>(dy, t);
      for (int64_t i = 0; i < n; ++i) {
        const float share = capped[i] * unit;
        d[i] = from_float<T>(to_float(d[i]) * (1.0f - share * share));
      }
    });
  });
}

}  // namespace
}  // namespace hearth::backend::cpu
