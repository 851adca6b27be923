// y = x · Wᵀ + b: the op that takes nearly all the time.
#pragma once

#include <span>

#include "ops/context.h"
#include "ops/weight.h"

namespace hearth::ops {

// x [tokens, in] f32, bias [out] f32 or empty, y [tokens, out] f32; rows of x and y may be strided.
//
// Batch-invariant: y[t] is the same bit for bit whatever other rows are in x and however many
// threads run: for each output the sum over `in` has one fixed order.
void linear(Context& ctx, TensorView x, const Weight& weight, TensorView bias, TensorView y);

struct LinearOutput {
  const Weight* weight = nullptr;  // [out, in]
  TensorView bias;                 // [out] f32 or empty
  TensorView y;                    // [tokens, out]
};
// Several projections of one x: the bits of linear() for each, with x prepared once and the threads
// meeting once.
void linear_group(Context& ctx, TensorView x, std::span<const LinearOutput> outputs);

}  // namespace hearth::ops
