// Softmax cross-entropy: loss = log Σ exp(z) - z_target, d = (softmax(z) - onehot) * scale.
#pragma once

#include <cmath>

#include "backend/cpu/internal/simd.h"
#include "ops/cross_entropy.h"

namespace hearth::backend::cpu {
namespace {

template <typename T>
inline void cross_entropy_gradient(const float* logits, int64_t vocab, int32_t target, float lse,
                                   float scale, T* out) {
  if (target == ops::kIgnoreTarget) {
    std::memset(static_cast<void*>(out), 0, static_cast<size_t>(vocab) * sizeof(T));
    return;
  }
  for (int64_t i = 0; i < vocab; ++i) out[i] = from_float<T>(exp_fast(logits[i] - lse) * scale);
  out[target] = from_float<T>((exp_fast(logits[target] - lse) - 1.0f) * scale);
}

void cross_entropy(ops::TrainContext& ctx, const ops::CrossEntropy& args) {
  constexpr int64_t kRowsPerTask = 16;
  const int64_t vocab = args.logits.cols();
  ctx.workers.run((args.logits.rows() + kRowsPerTask - 1) / kRowsPerTask, [&](int64_t task, int) {
    const int64_t end = least((task + 1) * kRowsPerTask, args.logits.rows());
    for (int64_t t = task * kRowsPerTask; t < end; ++t) {
      const auto at = static_cast<size_t>(t);
      const float* z = args.logits.row<float>(t);
      const int32_t target = args.targets[at];
      const float peak = max_of(z, vocab);
      const float sum = sum_over(vocab, [&](int64_t i) { return exp_fast(z[i] - peak); });
      const float lse = peak + std::log(sum);
      args.losses[at] = target == ops::kIgnoreTarget ? 0.0f : lse - z[target];
      if (args.dlogits.empty()) continue;
      const float weight = args.weights.empty() ? 1.0f : args.weights[at];
      with_element(args.dlogits.dtype, [&](auto element) {
        using T = decltype(element);
        cross_entropy_gradient(z, vocab, target, lse, args.gradient_scale * weight,
                               static_cast<T*>(args.dlogits.data) + t * args.dlogits.row_stride);
      });
    }
  });
}

}  // namespace
}  // namespace hearth::backend::cpu
