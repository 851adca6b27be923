// Rotary embedding in place, forward and back.
#pragma once

#include "backend/cpu/internal/simd.h"
#include "ops/rope_backward.h"

namespace hearth::backend::cpu {
namespace {

template <typename T>
inline void turn_head(T* x, const float* cos, const float* sin, float sign, int64_t half) {
  for (int64_t i = 0; i < half; ++i) {
    const float a = to_float(x[i]);
    const float b = to_float(x[i + half]);
    const float s = sign * sin[i];
    x[i] = from_float<T>(a * cos[i] - b * s);
    x[i + half] = from_float<T>(b * cos[i] + a * s);
  }
}

void rope_turn(ops::TrainContext& ctx, TensorView x, std::span<const int32_t> positions,
               const ops::RopeTable& table, ops::Turn turn) {
  const int64_t heads = x.shape[1];
  const int64_t head_dim = x.shape[2];
  const float sign = turn == ops::Turn::kForward ? 1.0f : -1.0f;
  with_element(x.dtype, [&](auto element) {
    using T = decltype(element);
    ctx.workers.run(spans_of(x.rows()), [&](int64_t task, int) {
      const int64_t end = least((task + 1) * kSpanRows, x.rows());
      for (int64_t t = task * kSpanRows; t < end; ++t) {
        const int64_t position = positions[static_cast<size_t>(t)];
        T* row = static_cast<T*>(x.data) + t * x.row_stride;
        for (int64_t h = 0; h < heads; ++h) {
          turn_head(row + h * head_dim, table.cos.row<float>(position),
                    table.sin.row<float>(position), sign, table.cos.cols());
        }
      }
    });
  });
}

}  // namespace
}  // namespace hearth::backend::cpu
