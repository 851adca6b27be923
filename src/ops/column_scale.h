// A factor for each column of a matrix, and the gradient of these factors: the magnitudes of DoRA.
#pragma once

#include "ops/train_context.h"

namespace hearth::ops {

// y[t][j] = x[t][j] * factors[j]: x, y [rows, n], each f32 or bf16, rows may be strided, y may be
// x; factors [n] f32.
void scale_columns(TrainContext& ctx, TensorView x, TensorView factors, TensorView y);

// sums[j] += Σ over t of x[t][j] * y[t][j]: x, y [rows, n], each f32 or bf16, rows may be strided;
// sums [n] f32. The order of the sum does not depend on threads.
void column_dots(TrainContext& ctx, TensorView x, TensorView y, TensorView sums);

}  // namespace hearth::ops
