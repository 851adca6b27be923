// linear() on the CPU: the specification, and the driver of the tiles of an instruction set.
#pragma once

#include <cstdint>

#include "backend/cpu/linear_tiles.h"
#include "ops/kernels.h"

namespace hearth::backend::cpu {

void linear_reference(ops::Context& ctx, const ops::LinearInput& x, const ops::Weight& weight,
                      TensorView bias, TensorView y);

// Uses CpuKernels::linear_tiles.
void linear_tiled(ops::Context& ctx, const ops::LinearInput& x, const ops::Weight& weight,
                  TensorView bias, TensorView y);

// One after the other.
void linear_group_reference(ops::Context& ctx, const ops::LinearInput& x,
                            std::span<const ops::LinearOutput> outputs);
// As one loop where their formats are alike.
void linear_group_tiled(ops::Context& ctx, const ops::LinearInput& x,
                        std::span<const ops::LinearOutput> outputs);

// Both projections in memory, then their product.
void gated_linear_apart(ops::Context& ctx, const ops::LinearInput& x, const ops::GatedLinear& gated,
                        TensorView y);
// As one loop where both are quantised alike and rows are more than a tile has.
void gated_linear_tiled(ops::Context& ctx, const ops::LinearInput& x, const ops::GatedLinear& gated,
                        TensorView y);

}  // namespace hearth::backend::cpu
