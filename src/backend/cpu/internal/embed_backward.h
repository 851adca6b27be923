// Rows of dy are added to rows of the table. A task owns a range of columns, so two tokens with
// one id never meet on two threads, and sums follow the order of tokens.
#pragma once

#include "backend/cpu/internal/simd.h"
#include "ops/embed_backward.h"

namespace hearth::backend::cpu {
namespace {

void embed_rows(ops::TrainContext& ctx, std::span<const int32_t> ids, TensorView table,
                TensorView y) {
  ctx.workers.run(spans_of(y.rows()), [&](int64_t task, int) {
    const int64_t end = least((task + 1) * kSpanRows, y.rows());
    for (int64_t t = task * kSpanRows; t < end; ++t) {
      std::memcpy(y.row<float>(t), table.row<float>(ids[static_cast<size_t>(t)]),
                  static_cast<size_t>(y.cols()) * sizeof(float));
    }
  });
}

void embed_backward(ops::TrainContext& ctx, const ops::EmbedBackward& args) {
  constexpr int64_t kColsPerTask = 64;
  const int64_t n = args.dy.cols();
  ctx.workers.run((n + kColsPerTask - 1) / kColsPerTask, [&](int64_t task, int) {
    const int64_t begin = task * kColsPerTask;
    const int64_t end = least(begin + kColsPerTask, n);
    for (size_t t = 0; t < args.ids.size(); ++t) {
      const float* from = args.dy.row<float>(static_cast<int64_t>(t));
      float* to = args.dtable.row<float>(args.ids[t]);
      for (int64_t i = begin; i < end; ++i) to[i] += from[i];
    }
  });
}

}  // namespace
}  // namespace hearth::backend::cpu
