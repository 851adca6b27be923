// RMSNorm for training. With r = 1/rms(x), x̂ = x·r and w = offset + weight:
//   dx = r (w∘dy - x̂ mean(w∘dy∘x̂)),  dweight = Σ_rows dy∘x̂
#pragma once

#include <cmath>

#include "backend/cpu/internal/simd.h"
#include "ops/rms_norm_backward.h"

namespace hearth::backend::cpu {
namespace {

void rms_norm_save(ops::TrainContext& ctx, const ops::RmsNormSave& args) {
  const int64_t n = args.x.cols();
  const float* w = args.weight.as<float>();
  const float offset = args.offset;
  with_element(args.y.dtype, [&](auto element) {
    using T = decltype(element);
    for_row_spans(ctx, args.x.rows(), [&](int64_t t) {
      const float* in = args.x.row<float>(t);
      T* out = row_of<T>(args.y, t);
      const float mean =
          sum_over(n, [&](int64_t i) { return in[i] * in[i]; }) / static_cast<float>(n);
      const float r = 1.0f / std::sqrt(mean + args.epsilon);
      args.inverse_rms.as<float>()[t] = r;
      for (int64_t i = 0; i < n; ++i) out[i] = from_float<T>(in[i] * r * (offset + w[i]));
    });
  });
}

inline void rms_norm_dx(const ops::RmsNormBackward& args, int64_t t) {
  const int64_t n = args.x.cols();
  const float* x = args.x.row<float>(t);
  const float* dy = args.dy.row<float>(t);
  const float* w = args.weight.as<float>();
  const float offset = args.offset;
  float* dx = args.dx.row<float>(t);
  const float r = args.inverse_rms.as<float>()[t];
  const float mean = sum_over(n, [&](int64_t i) { return (offset + w[i]) * dy[i] * x[i]; }) * r /
                     static_cast<float>(n);
  for (int64_t i = 0; i < n; ++i) {
    dx[i] += r * ((offset + w[i]) * dy[i] - x[i] * r * mean);
  }
}

void rms_norm_backward(ops::TrainContext& ctx, const ops::RmsNormBackward& args) {
  if (args.dweight.empty()) {
    for_row_spans(ctx, args.x.rows(), [&](int64_t t) { rms_norm_dx(args, t); });
    return;
  }
  const int64_t n = args.x.cols();
  const auto add_row = [&](int64_t t, float* sums) {
    rms_norm_dx(args, t);
    const float* x = args.x.row<float>(t);
    const float* dy = args.dy.row<float>(t);
    const float r = args.inverse_rms.as<float>()[t];
    for (int64_t i = 0; i < n; ++i) sums[i] += dy[i] * (x[i] * r);
  };
  sum_row_spans(ctx, args.x.rows(), n, add_row, add_to(args.dweight));
}

}  // namespace
}  // namespace hearth::backend::cpu
