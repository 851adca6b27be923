// y = silu(g) u. With s = sigmoid(g): dg = dy u s (1 + g (1 - s)), du = dy g s.
#pragma once

#include "backend/cpu/internal/simd.h"
#include "ops/gated_activate_backward.h"

namespace hearth::backend::cpu {
namespace {

inline float sigmoid(float x) { return 1.0f / (1.0f + exp_fast(-x)); }

template <typename T>
T* row_of(const TensorView& x, int64_t row) {
  return static_cast<T*>(x.data) + row * x.row_stride;
}

void gated_activate_save(ops::TrainContext& ctx, TensorView gate, TensorView up, TensorView y) {
  const int64_t n = y.cols();
  with_element(y.dtype, [&](auto element) {
    using T = decltype(element);
    ctx.workers.run(spans_of(y.rows()), [&](int64_t task, int) {
      const int64_t end = least((task + 1) * kSpanRows, y.rows());
      for (int64_t t = task * kSpanRows; t < end; ++t) {
        const T* g = row_of<T>(gate, t);
        const T* u = row_of<T>(up, t);
        T* out = row_of<T>(y, t);
        for (int64_t i = 0; i < n; ++i) {
          const float x = to_float(g[i]);
          out[i] = from_float<T>(x * sigmoid(x) * to_float(u[i]));
        }
      }
    });
  });
}

void gated_activate_backward(ops::TrainContext& ctx, const ops::GatedActivateBackward& args) {
  const int64_t n = args.dy.cols();
  with_element(args.dy.dtype, [&](auto element) {
    using T = decltype(element);
    ctx.workers.run(spans_of(args.dy.rows()), [&](int64_t task, int) {
      const int64_t end = least((task + 1) * kSpanRows, args.dy.rows());
      for (int64_t t = task * kSpanRows; t < end; ++t) {
        const T* dy = row_of<T>(args.dy, t);
        const T* g = row_of<T>(args.gate, t);
        const T* u = row_of<T>(args.up, t);
        T* dg = row_of<T>(args.dgate, t);
        T* du = row_of<T>(args.dup, t);
        for (int64_t i = 0; i < n; ++i) {
          const float x = to_float(g[i]);
          const float d = to_float(dy[i]);
          const float s = sigmoid(x);
          const float up = to_float(u[i]);
          dg[i] = from_float<T>(d * up * s * (1.0f + x * (1.0f - s)));
          du[i] = from_float<T>(d * x * s);
        }
      }
    });
  });
}

}  // namespace
}  // namespace hearth::backend::cpu
