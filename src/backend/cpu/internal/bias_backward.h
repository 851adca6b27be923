// A bias on every row, and the sum of rows that is its gradient.
#pragma once

#include "backend/cpu/internal/simd.h"
#include "ops/bias_backward.h"

namespace hearth::backend::cpu {
namespace {

void bias_add(ops::TrainContext& ctx, TensorView bias, TensorView y) {
  const int64_t n = y.cols();
  const float* b = bias.as<float>();
  with_element(y.dtype, [&](auto element) {
    using T = decltype(element);
    for_row_spans(ctx, y.rows(), [&](int64_t t) {
      T* row = row_of<T>(y, t);
      for (int64_t i = 0; i < n; ++i) row[i] = from_float<T>(to_float(row[i]) + b[i]);
    });
  });
}

void bias_backward(ops::TrainContext& ctx, TensorView dy, TensorView dbias) {
  const int64_t n = dy.cols();
  with_element(dy.dtype, [&](auto element) {
    using T = decltype(element);
    const auto add_row = [&](int64_t t, float* sums) {
      const T* row = row_of<T>(dy, t);
      for (int64_t i = 0; i < n; ++i) sums[i] += to_float(row[i]);
    };
    sum_row_spans(ctx, dy.rows(), n, add_row, add_to(dbias));
  });
}

}  // namespace
}  // namespace hearth::backend::cpu
