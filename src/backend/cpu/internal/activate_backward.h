// y = f(x):  dx = dy f'(x).
#pragma once

#include "backend/cpu/internal/activation.h"
#include "ops/activate_backward.h"

namespace hearth::backend::cpu {
namespace {

template <typename F, typename T>
void activate_rows(ops::TrainContext& ctx, TensorView x, TensorView y) {
  const int64_t n = y.cols();
  for_row_spans(ctx, y.rows(), [&](int64_t t) {
    const T* in = row_of<T>(x, t);
    T* out = row_of<T>(y, t);
    for (int64_t i = 0; i < n; ++i) out[i] = from_float<T>(F::value(to_float(in[i])));
  });
}

template <typename F, typename T>
void activate_rows_backward(ops::TrainContext& ctx, const ops::ActivateBackward& args) {
  const int64_t n = args.dy.cols();
  for_row_spans(ctx, args.dy.rows(), [&](int64_t t) {
    const T* dy = row_of<T>(args.dy, t);
    const T* x = row_of<T>(args.x, t);
    T* dx = row_of<T>(args.dx, t);
    for (int64_t i = 0; i < n; ++i) {
      dx[i] = from_float<T>(F::times_slope(to_float(dy[i]), to_float(x[i])));
    }
  });
}

void activate_save(ops::TrainContext& ctx, ops::Activation activation, TensorView x, TensorView y) {
  with_activation(activation, [&](auto f) {
    with_element(y.dtype,
                 [&](auto element) { activate_rows<decltype(f), decltype(element)>(ctx, x, y); });
  });
}

void activate_backward(ops::TrainContext& ctx, const ops::ActivateBackward& args) {
  with_activation(args.activation, [&](auto f) {
    with_element(args.dy.dtype, [&](auto element) {
      activate_rows_backward<decltype(f), decltype(element)>(ctx, args);
    });
  });
}

}  // namespace
}  // namespace hearth::backend::cpu
