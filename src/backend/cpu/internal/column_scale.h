// Factors on columns, and the sums that are their gradients.
#pragma once

#include "backend/cpu/internal/simd.h"
#include "ops/column_scale.h"

namespace hearth::backend::cpu {
namespace {

void scale_columns(ops::TrainContext& ctx, TensorView x, TensorView factors, TensorView y) {
  const int64_t n = x.cols();
  const float* f = factors.as<float>();
  with_element(x.dtype, [&](auto from_element) {
    with_element(y.dtype, [&](auto to_element) {
      using From = decltype(from_element);
      using To = decltype(to_element);
      for_row_spans(ctx, x.rows(), [&](int64_t t) {
        const From* from = row_of<From>(x, t);
        To* to = row_of<To>(y, t);
        for (int64_t i = 0; i < n; ++i) to[i] = from_float<To>(to_float(from[i]) * f[i]);
      });
    });
  });
}

void column_dots(ops::TrainContext& ctx, TensorView x, TensorView y, TensorView sums) {
  const int64_t n = x.cols();
  with_element(x.dtype, [&](auto a_element) {
    with_element(y.dtype, [&](auto b_element) {
      using A = decltype(a_element);
      using B = decltype(b_element);
      const auto add_row = [&](int64_t t, float* parts) {
        const A* a = row_of<A>(x, t);
        const B* b = row_of<B>(y, t);
        for (int64_t i = 0; i < n; ++i) parts[i] += to_float(a[i]) * to_float(b[i]);
      };
      sum_row_spans(ctx, x.rows(), n, add_row, add_to(sums));
    });
  });
}

}  // namespace
}  // namespace hearth::backend::cpu
