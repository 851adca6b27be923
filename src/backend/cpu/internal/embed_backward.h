// Rows of dy are added to rows of the table. A task owns a range of columns, so two tokens with
// one id never meet on two threads, and sums follow the order of tokens.
#pragma once

#include "backend/cpu/internal/simd.h"
#include "ops/embed_backward.h"

namespace hearth::backend::cpu {
namespace {

template <typename T>
inline void look_up(const ops::EmbedRows& args, int64_t t) {
  const T* from = row_of<const T>(args.table, args.ids[static_cast<size_t>(t)]);
  float* to = args.y.row<float>(t);
  const int64_t n = args.y.cols();
  const float factor = args.factor;
  if (args.store == ops::Store::kAdd) {
    for (int64_t i = 0; i < n; ++i) to[i] += factor * to_float(from[i]);
  } else {
    for (int64_t i = 0; i < n; ++i) to[i] = factor * to_float(from[i]);
  }
}

void embed_rows(ops::TrainContext& ctx, const ops::EmbedRows& args) {
  with_element(args.table.dtype, [&](auto element) {
    using T = decltype(element);
    for_row_spans(ctx, args.y.rows(), [&](int64_t t) { look_up<T>(args, t); });
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
      for (int64_t i = begin; i < end; ++i) to[i] += args.factor * from[i];
    }
  });
}

}  // namespace
}  // namespace hearth::backend::cpu
