// y += x, row by row.
#pragma once

#include "backend/cpu/internal/simd.h"
#include "ops/accumulate.h"

namespace hearth::backend::cpu {
namespace {

void accumulate(ops::TrainContext& ctx, TensorView x, TensorView y) {
  const int64_t n = y.cols();
  with_element(x.dtype, [&](auto from_element) {
    with_element(y.dtype, [&](auto to_element) {
      using From = decltype(from_element);
      using To = decltype(to_element);
      for_row_spans(ctx, y.rows(), [&](int64_t t) {
        const From* from = row_of<From>(x, t);
        To* to = row_of<To>(y, t);
        for (int64_t i = 0; i < n; ++i) {
          to[i] = from_float<To>(to_float(to[i]) + to_float(from[i]));
        }
      });
    });
  });
}

}  // namespace
}  // namespace hearth::backend::cpu
