// RMSNorm for training. With r = 1/rms(x) and x̂ = x·r:
//   dx = r (w∘dy - x̂ mean(w∘dy∘x̂)),  dw = Σ_rows dy∘x̂
#pragma once

#include <cmath>

#include "backend/cpu/internal/simd.h"
#include "ops/rms_norm_backward.h"

namespace hearth::backend::cpu {
namespace {

void rms_norm_save(ops::TrainContext& ctx, TensorView x, TensorView weight, float epsilon,
                   TensorView y, TensorView inverse_rms) {
  const int64_t n = x.cols();
  const float* w = weight.as<float>();
  with_element(y.dtype, [&](auto element) {
    using T = decltype(element);
    ctx.workers.run(spans_of(x.rows()), [&](int64_t task, int) {
      const int64_t end = least((task + 1) * kSpanRows, x.rows());
      for (int64_t t = task * kSpanRows; t < end; ++t) {
        const float* in = x.row<float>(t);
        T* out = static_cast<T*>(y.data) + t * y.row_stride;
        const float mean =
            sum_over(n, [&](int64_t i) { return in[i] * in[i]; }) / static_cast<float>(n);
        const float r = 1.0f / std::sqrt(mean + epsilon);
        inverse_rms.as<float>()[t] = r;
        for (int64_t i = 0; i < n; ++i) out[i] = from_float<T>(in[i] * r * w[i]);
      }
    });
  });
}

inline void rms_norm_backward_row(const ops::RmsNormBackward& args, int64_t t, float* dweight) {
  const int64_t n = args.x.cols();
  const float* x = args.x.row<float>(t);
  const float* dy = args.dy.row<float>(t);
  const float* w = args.weight.as<float>();
  float* dx = args.dx.row<float>(t);
  const float r = args.inverse_rms.as<float>()[t];
  const float mean =
      sum_over(n, [&](int64_t i) { return w[i] * dy[i] * x[i]; }) * r / static_cast<float>(n);
  for (int64_t i = 0; i < n; ++i) {
    const float normed = x[i] * r;
    dx[i] += r * (w[i] * dy[i] - normed * mean);
    dweight[i] += dy[i] * normed;
  }
}

void rms_norm_backward(ops::TrainContext& ctx, const ops::RmsNormBackward& args) {
  const int64_t n = args.x.cols();
  const int64_t spans = spans_of(args.x.rows());
  float* partial =
      static_cast<float*>(ctx.scratch.reserve(static_cast<size_t>(spans * n) * sizeof(float)));
  ctx.workers.run(spans, [&](int64_t task, int) {
    float* dweight = partial + task * n;
    std::memset(dweight, 0, static_cast<size_t>(n) * sizeof(float));
    const int64_t end = least((task + 1) * kSpanRows, args.x.rows());
    for (int64_t t = task * kSpanRows; t < end; ++t) rms_norm_backward_row(args, t, dweight);
  });
  float* total = args.dweight.as<float>();
  for (int64_t span = 0; span < spans; ++span) {
    for (int64_t i = 0; i < n; ++i) total[i] += partial[span * n + i];
  }
}

}  // namespace
}  // namespace hearth::backend::cpu
