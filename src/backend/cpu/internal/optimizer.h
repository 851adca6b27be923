// AdamW and sums of squares over flat tensors, in spans of fixed size.
#pragma once

#include <cmath>

#include "backend/cpu/internal/simd.h"
#include "ops/optimizer.h"

namespace hearth::backend::cpu {
namespace {

constexpr int64_t kSpanElements = 1 << 14;

void sum_squares(ops::TrainContext& ctx, TensorView x, double& sum) {
  const int64_t n = x.shape.count();
  const int64_t spans = (n + kSpanElements - 1) / kSpanElements;
  const float* values = x.as<float>();
  double* partial =
      static_cast<double*>(ctx.scratch.reserve(static_cast<size_t>(spans) * sizeof(double)));
  ctx.workers.run(spans, [&](int64_t task, int) {
    const float* from = values + task * kSpanElements;
    const int64_t count = least(kSpanElements, n - task * kSpanElements);
    partial[task] = sum_over(count, [&](int64_t i) { return from[i] * from[i]; });
  });
  sum = 0;
  for (int64_t i = 0; i < spans; ++i) sum += partial[i];
}

void adamw(ops::TrainContext& ctx, const ops::AdamwStep& step) {
  const int64_t n = step.parameter.shape.count();
  ctx.workers.run((n + kSpanElements - 1) / kSpanElements, [&](int64_t task, int) {
    const int64_t begin = task * kSpanElements;
    const int64_t end = least(begin + kSpanElements, n);
    float* __restrict p = step.parameter.as<float>();
    const float* __restrict g = step.gradient.as<float>();
    float* __restrict m = step.first.as<float>();
    float* __restrict v = step.second.as<float>();
    const float rate = step.learning_rate / step.bias1;
    const float unbias2 = 1.0f / step.bias2;
    const float keep = 1.0f - step.learning_rate * step.decay;
    for (int64_t i = begin; i < end; ++i) {
      const float gradient = g[i] * step.gradient_scale;
      m[i] = step.beta1 * m[i] + (1.0f - step.beta1) * gradient;
      v[i] = step.beta2 * v[i] + (1.0f - step.beta2) * gradient * gradient;
      p[i] = keep * p[i] - rate * m[i] / (__builtin_sqrtf(v[i] * unbias2) + step.epsilon);
    }
  });
}

}  // namespace
}  // namespace hearth::backend::cpu
