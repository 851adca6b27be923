// y = f(g) u:  dg = dy u f'(g),  du = dy f(g).
#pragma once

#include "backend/cpu/internal/activation.h"
#include "ops/gated_activate_backward.h"

namespace hearth::backend::cpu {
namespace {

template <typename F, typename T>
void gate_rows(ops::TrainContext& ctx, TensorView gate, TensorView up, TensorView y) {
  const int64_t n = y.cols();
  for_row_spans(ctx, y.rows(), [&](int64_t t) {
    const T* g = row_of<T>(gate, t);
    const T* u = row_of<T>(up, t);
    T* out = row_of<T>(y, t);
    for (int64_t i = 0; i < n; ++i) {
      out[i] = from_float<T>(F::value(to_float(g[i])) * to_float(u[i]));
    }
  });
}

template <typename F, typename T>
void gate_rows_backward(ops::TrainContext& ctx, const ops::GatedActivateBackward& args) {
  const int64_t n = args.dy.cols();
  for_row_spans(ctx, args.dy.rows(), [&](int64_t t) {
    const T* dy = row_of<T>(args.dy, t);
    const T* g = row_of<T>(args.gate, t);
    const T* u = row_of<T>(args.up, t);
    T* dg = row_of<T>(args.dgate, t);
    T* du = row_of<T>(args.dup, t);
    for (int64_t i = 0; i < n; ++i) {
      const float x = to_float(g[i]);
      const float d = to_float(dy[i]);
      const float up = to_float(u[i]);
      dg[i] = from_float<T>(F::times_slope(d * up, x));
      du[i] = from_float<T>(F::times_value(d, x));
    }
  });
}

void gated_activate_save(ops::TrainContext& ctx, ops::Activation activation, TensorView gate,
                         TensorView up, TensorView y) {
  with_activation(activation, [&](auto f) {
    with_element(y.dtype, [&](auto element) {
      gate_rows<decltype(f), decltype(element)>(ctx, gate, up, y);
    });
  });
}

void gated_activate_backward(ops::TrainContext& ctx, const ops::GatedActivateBackward& args) {
  with_activation(args.activation, [&](auto f) {
    with_element(args.dy.dtype, [&](auto element) {
      gate_rows_backward<decltype(f), decltype(element)>(ctx, args);
    });
  });
}

}  // namespace
}  // namespace hearth::backend::cpu
