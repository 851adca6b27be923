// linear() over quantised weights (ops/quantize.h): rows of x are quantised to 8 bits, a scale for
// each span of them, and products are sums of integers.
#pragma once

#include "backend/cpu/quantized_tiles.h"
#include "ops/kernels.h"

namespace hearth::backend::cpu {

// The specification, bit for bit.
void quantized_reference(ops::Context& ctx, TensorView x, const ops::Weight& weight,
                         TensorView bias, TensorView y);

// Uses CpuKernels::quantized. All weights have the same format.
void quantized_tiled(ops::Context& ctx, const ops::LinearInput& x,
                     std::span<const ops::LinearOutput> outputs);

// The same of gate and up: a strip of outputs of the one meets that of the other while its results
// are in a cache, and only their product goes to memory. For more rows than a tile has.
void quantized_gated_tiled(ops::Context& ctx, const ops::LinearInput& x,
                           const ops::GatedLinear& gated, TensorView y);

}  // namespace hearth::backend::cpu
