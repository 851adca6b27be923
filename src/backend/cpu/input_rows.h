// The rows of an input on their way into what a product reads: where they lie, or, where a norm is
// still to be done, normed into memory that stays in a worker's cache.
#pragma once

#include <cstdint>

#include "backend/cpu/rows.h"
#include "ops/linear.h"

namespace hearth::backend::cpu {

class InputRows {
 public:
  // `rows_max`: the most that one read() asks for. Takes its memory from the arena.
  InputRows(ops::Context& ctx, const ops::LinearInput& input, int64_t rows_max);

  struct Rows {
    const float* first = nullptr;
    int64_t stride = 0;
  };
  // Rows [begin, end), which stay until the worker reads others.
  Rows read(int64_t begin, int64_t end, int worker) const;

 private:
  const RowKernels& kernels_;
  const ops::LinearInput& input_;
  const int64_t rows_max_;
  TensorView normed_;  // [workers * rows_max, in], of a norm
};

}  // namespace hearth::backend::cpu
