// Copies between element types, row by row.
#pragma once

#include "backend/cpu/internal/simd.h"
#include "ops/convert.h"

namespace hearth::backend::cpu {
namespace {

void convert(ops::TrainContext& ctx, TensorView x, TensorView y) {
  const int64_t n = x.cols();
  with_element(x.dtype, [&](auto from_element) {
    with_element(y.dtype, [&](auto to_element) {
      using From = decltype(from_element);
      using To = decltype(to_element);
      ctx.workers.run(spans_of(x.rows()), [&](int64_t task, int) {
        const int64_t end = least((task + 1) * kSpanRows, x.rows());
        for (int64_t t = task * kSpanRows; t < end; ++t) {
          const From* from = static_cast<const From*>(x.data) + t * x.row_stride;
          To* to = static_cast<To*>(y.data) + t * y.row_stride;
          for (int64_t i = 0; i < n; ++i) to[i] = from_float<To>(to_float(from[i]));
        }
      });
    });
  });
}

}  // namespace
}  // namespace hearth::backend::cpu
