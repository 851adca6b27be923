// y = x · Wᵀ + b: the op that takes nearly all the time.
#pragma once

#include <span>

#include "ops/context.h"
#include "ops/elementwise.h"
#include "ops/norm.h"
#include "ops/weight.h"

namespace hearth::ops {

// Rows, and the norm that they still have to go through: whoever reads them norms them on the way,
// so that nobody writes them down in between.
struct LinearInput {
  TensorView x;  // [tokens, in] f32; rows may be strided
  RowNorm norm;

  LinearInput(TensorView rows) : x(rows) {}            // NOLINT: rows are an input as they are
  LinearInput(const Tensor& rows) : x(rows.view()) {}  // NOLINT
  LinearInput(TensorView rows, RowNorm row_norm) : x(rows), norm(row_norm) {}
};
// An input as plain rows: its own, or normed into the arena.
TensorView normed(Context& ctx, const LinearInput& input);

// x [tokens, in], bias [out] f32 or empty, y [tokens, out] f32; rows of y may be strided. A norm of
// x gives the bits of that norm followed by linear().
//
// Batch-invariant: y[t] is the same bit for bit whatever other rows are in x and however many
// threads run: for each output the sum over `in` has one fixed order.
void linear(Context& ctx, const LinearInput& x, const Weight& weight, TensorView bias,
            TensorView y);

struct LinearOutput {
  const Weight* weight = nullptr;  // [out, in]
  TensorView bias;                 // [out] f32 or empty
  TensorView y;                    // [tokens, out]
};
// Several projections of one x: the bits of linear() for each, with x prepared once and the threads
// meeting once.
void linear_group(Context& ctx, const LinearInput& x, std::span<const LinearOutput> outputs);

struct GatedLinear {
  const Weight* gate = nullptr;  // [out, in]
  TensorView gate_bias;          // [out] f32 or empty
  const Weight* up = nullptr;    // [out, in]
  TensorView up_bias;
  Activation activation = Activation::kSilu;
};
// y = f(gate(x)) * up(x), [tokens, out]: the bits of linear_group() followed by gated_activate(). A
// backend may leave both projections out of memory.
void gated_linear(Context& ctx, const LinearInput& x, const GatedLinear& gated, TensorView y);

}  // namespace hearth::ops
