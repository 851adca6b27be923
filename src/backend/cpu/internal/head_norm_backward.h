// A norm over each head of a row. RMSNorm is LayerNorm with a mean of zero, and the backward pass
// the same without the term of the mean.
#pragma once

#include <cmath>

#include "backend/cpu/internal/simd.h"
#include "ops/head_norm_backward.h"

namespace hearth::backend::cpu {
namespace {

struct HeadStatistics {
  float mean = 0;
  float inverse = 0;
};

template <typename T>
inline HeadStatistics statistics_of(const ops::HeadNorm& args, const T* x, int64_t n) {
  const auto count = static_cast<float>(n);
  HeadStatistics s;
  if (args.kind == ops::NormKind::kLayer) {
    s.mean = sum_over(n, [&](int64_t i) { return to_float(x[i]); }) / count;
  }
  const float squares =
      sum_over(n, [&](int64_t i) { return (to_float(x[i]) - s.mean) * (to_float(x[i]) - s.mean); });
  s.inverse = 1.0f / std::sqrt(squares / count + args.epsilon);
  return s;
}

template <typename T>
inline void head_norm_one(const ops::HeadNorm& args, const T* x, T* y, int64_t n) {
  const HeadStatistics s = statistics_of(args, x, n);
  const float* w = args.weight.as<float>();
  const float* b = args.bias.as<float>();
  for (int64_t i = 0; i < n; ++i) {
    const float normed = (to_float(x[i]) - s.mean) * s.inverse;
    y[i] = from_float<T>(normed * (args.offset + w[i]) + (b == nullptr ? 0.0f : b[i]));
  }
}

// sums: [n] of dweight, then [n] of dbias; null: not wanted.
template <typename T>
inline void head_norm_one_backward(const ops::HeadNorm& args, const T* x, const T* dy, T* dx,
                                   int64_t n, float* sums) {
  const HeadStatistics s = statistics_of(args, x, n);
  const auto count = static_cast<float>(n);
  const float* w = args.weight.as<float>();
  const auto scaled = [&](int64_t i) { return (args.offset + w[i]) * to_float(dy[i]); };
  const auto normed = [&](int64_t i) { return (to_float(x[i]) - s.mean) * s.inverse; };
  const bool centred = args.kind == ops::NormKind::kLayer;
  const float shift = centred ? sum_over(n, scaled) / count : 0.0f;
  const float stretch = sum_over(n, [&](int64_t i) { return scaled(i) * normed(i); }) / count;
  for (int64_t i = 0; i < n; ++i) {
    const float d = to_float(dy[i]);
    if (sums != nullptr) {
      sums[i] += d * normed(i);
      sums[n + i] += d;
    }
    dx[i] = from_float<T>(s.inverse * ((args.offset + w[i]) * d - shift - normed(i) * stretch));
  }
}

void head_norm(ops::TrainContext& ctx, const ops::HeadNorm& args) {
  const int64_t heads = args.x.shape[1];
  const int64_t n = args.x.shape[2];
  with_element(args.x.dtype, [&](auto element) {
    using T = decltype(element);
    for_row_spans(ctx, args.x.rows(), [&](int64_t t) {
      for (int64_t h = 0; h < heads; ++h) {
        head_norm_one(args, row_of<const T>(args.x, t) + h * n, row_of<T>(args.y, t) + h * n, n);
      }
    });
  });
}

void head_norm_backward(ops::TrainContext& ctx, const ops::HeadNormBackward& args) {
  const ops::HeadNorm& forward = args.forward;
  const int64_t heads = forward.x.shape[1];
  const int64_t n = forward.x.shape[2];
  with_element(forward.x.dtype, [&](auto element) {
    using T = decltype(element);
    const auto row = [&](int64_t t, float* sums) {
      for (int64_t h = 0; h < heads; ++h) {
        head_norm_one_backward(forward, row_of<const T>(forward.x, t) + h * n,
                               row_of<const T>(args.dy, t) + h * n, row_of<T>(args.dx, t) + h * n,
                               n, sums);
      }
    };
    if (args.dweight.empty()) {
      for_row_spans(ctx, forward.x.rows(), [&](int64_t t) { row(t, nullptr); });
      return;
    }
    sum_row_spans(ctx, forward.x.rows(), 2 * n, row, [&](const float* sums) {
      add_to(args.dweight)(sums);
      if (!args.dbias.empty()) add_to(args.dbias)(sums + n);
    });
  });
}

}  // namespace
}  // namespace hearth::backend::cpu
