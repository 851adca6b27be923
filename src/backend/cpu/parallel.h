// Loops over rows and ranges on the workers of a Context, and only when they are worth it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include "ops/context.h"

namespace hearth::backend::cpu {

// Elements below which a loop over rows stays on the calling thread: about the work of ten
// microseconds.
constexpr int64_t kParallelElementsMin = 32 * 1024;

inline int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }
inline int64_t round_up(int64_t a, int64_t b) { return divide_up(a, b) * b; }

// Calls body(row, worker) for each row of a [rows, n] tensor.
template <typename Body>
void for_rows_by_worker(ops::Context& ctx, int64_t rows, int64_t n, const Body& body) {
  const int64_t per_task = std::clamp<int64_t>(kParallelElementsMin / std::max<int64_t>(n, 1), 1,
                                               std::max<int64_t>(rows, 1));
  const int64_t tasks = divide_up(rows, per_task);
  if (rows * n < 2 * kParallelElementsMin || tasks <= 1) {
    for (int64_t row = 0; row < rows; ++row) body(row, 0);
    return;
  }
  ctx.workers.run(tasks, [&](int64_t task, int worker) {
    const int64_t end = std::min(rows, (task + 1) * per_task);
    for (int64_t row = task * per_task; row < end; ++row) body(row, worker);
  });
}

// Calls body(row).
template <typename Body>
void for_rows(ops::Context& ctx, int64_t rows, int64_t n, const Body& body) {
  for_rows_by_worker(ctx, rows, n, [&](int64_t row, int) { body(row); });
}

// Several loops as one, so that the threads meet once: loops[i] tasks each. Calls body(loop, task,
// worker).
template <typename Body>
void run_joined(ops::Context& ctx, std::span<const int64_t> loops, const Body& body) {
  int64_t all = 0;
  for (int64_t tasks : loops) all += tasks;
  ctx.workers.run(all, [&](int64_t task, int worker) {
    size_t loop = 0;
    while (task >= loops[loop]) task -= loops[loop++];
    body(loop, task, worker);
  });
}

}  // namespace hearth::backend::cpu
