// linear() on the CPU: the specification, and the driver of the tiles of an instruction set.
#pragma once

#include <cstdint>

#include "backend/cpu/linear_tiles.h"
#include "ops/kernels.h"

namespace hearth::backend::cpu {

void linear_reference(ops::Context& ctx, TensorView x, const ops::Weight& weight, TensorView bias,
                      TensorView y);

// Uses CpuKernels::linear_tiles.
void linear_tiled(ops::Context& ctx, TensorView x, const ops::Weight& weight, TensorView bias,
                  TensorView y);

// One after the other.
void linear_group_reference(ops::Context& ctx, TensorView x,
                            std::span<const ops::LinearOutput> outputs);
// As one loop where their formats are alike.
void linear_group_tiled(ops::Context& ctx, TensorView x,
                        std::span<const ops::LinearOutput> outputs);

}  // namespace hearth::backend::cpu
