// LayerNorm for training. With r = 1/deviation and x̂ = (x - mean)·r:
//   dx = r (w∘dy - mean(w∘dy) - x̂ mean(w∘dy∘x̂)),  dweight = Σ_rows dy∘x̂,  dbias = Σ_rows dy
#pragma once

#include <cmath>

#include "backend/cpu/internal/simd.h"
#include "ops/layer_norm_backward.h"

namespace hearth::backend::cpu {
namespace {

void layer_norm_save(ops::TrainContext& ctx, const ops::LayerNormSave& args) {
  const int64_t n = args.x.cols();
  const auto count = static_cast<float>(n);
  const float* w = args.weight.as<float>();
  const float* b = args.bias.as<float>();
  with_element(args.y.dtype, [&](auto element) {
    using T = decltype(element);
    for_row_spans(ctx, args.x.rows(), [&](int64_t t) {
      const float* in = args.x.row<float>(t);
      T* out = row_of<T>(args.y, t);
      const float mean = sum_over(n, [&](int64_t i) { return in[i]; }) / count;
      const float variance =
          sum_over(n, [&](int64_t i) { return (in[i] - mean) * (in[i] - mean); }) / count;
      const float r = 1.0f / std::sqrt(variance + args.epsilon);
      args.mean.as<float>()[t] = mean;
      args.inverse.as<float>()[t] = r;
      for (int64_t i = 0; i < n; ++i) out[i] = from_float<T>((in[i] - mean) * r * w[i] + b[i]);
    });
  });
}

inline void layer_norm_dx(const ops::LayerNormBackward& args, int64_t t) {
  const int64_t n = args.x.cols();
  const auto count = static_cast<float>(n);
  const float* x = args.x.row<float>(t);
  const float* dy = args.dy.row<float>(t);
  const float* w = args.weight.as<float>();
  float* dx = args.dx.row<float>(t);
  const float mean = args.mean.as<float>()[t];
  const float r = args.inverse.as<float>()[t];
  const float shift = sum_over(n, [&](int64_t i) { return w[i] * dy[i]; }) / count;
  const float stretch =
      sum_over(n, [&](int64_t i) { return w[i] * dy[i] * (x[i] - mean); }) * r / count;
  for (int64_t i = 0; i < n; ++i) {
    dx[i] += r * (w[i] * dy[i] - shift - (x[i] - mean) * r * stretch);
  }
}

void layer_norm_backward(ops::TrainContext& ctx, const ops::LayerNormBackward& args) {
  if (args.dweight.empty()) {
    for_row_spans(ctx, args.x.rows(), [&](int64_t t) { layer_norm_dx(args, t); });
    return;
  }
  const int64_t n = args.x.cols();
  const auto add_row = [&](int64_t t, float* sums) {
    layer_norm_dx(args, t);
    const float* x = args.x.row<float>(t);
    const float* dy = args.dy.row<float>(t);
    const float mean = args.mean.as<float>()[t];
    const float r = args.inverse.as<float>()[t];
    for (int64_t i = 0; i < n; ++i) {
      sums[i] += dy[i] * ((x[i] - mean) * r);
      sums[n + i] += dy[i];
    }
  };
  sum_row_spans(ctx, args.x.rows(), 2 * n, add_row, [&](const float* sums) {
    add_to(args.dweight)(sums);
    add_to(args.dbias)(sums + n);
  });
}

}  // namespace
}  // namespace hearth::backend::cpu
