// Small ops over rows: embedding look-up, residual sums, activations, soft caps.
#pragma once

#include <cstdint>
#include <span>

#include "ops/context.h"
#include "ops/weight.h"

namespace hearth::ops {

enum class Activation : uint8_t {
  kSilu,
  kGelu,      // exact, with erf
  kGeluTanh,  // the tanh approximation ("gelu_new", "gelu_pytorch_tanh", "gelu_fast")
  kRelu,
};

// y[t] = table[ids[t]] * factor; y [tokens, n] f32. Ids must be inside the table.
void embed(Context& ctx, std::span<const int32_t> ids, const Weight& table, float factor,
           TensorView y);

// y[i] = x[rows[i]]: x [tokens, n] f32 (rows may be strided), y [rows.size(), n] f32.
void gather_rows(Context& ctx, TensorView x, std::span<const int32_t> rows, TensorView y);

// y += x, both [rows, n] f32; rows may be strided.
void add(Context& ctx, TensorView x, TensorView y);

// x = f(x) in place, [rows, n] f32; rows may be strided.
void activate(Context& ctx, Activation activation, TensorView x);

// y = f(gate) * up, all [rows, n] f32; rows may be strided; y may alias gate or up.
void gated_activate(Context& ctx, Activation activation, TensorView gate, TensorView up,
                    TensorView y);

// x = cap * tanh(x / cap) in place, [rows, n] f32; rows may be strided.
void soft_cap(Context& ctx, float cap, TensorView x);

// x *= factor in place, [rows, n] f32; rows may be strided.
void scale(Context& ctx, float factor, TensorView x);

}  // namespace hearth::ops
