// linear() over quantised weights (ops/quantize.h): rows of x are quantised to 8 bits, a scale for
// each span of 128, and products are sums of integers.
#pragma once

#include "backend/cpu/quantized_tiles.h"
#include "ops/kernels.h"

namespace hearth::backend::cpu {

// The specification, bit for bit.
void quantized_reference(ops::Context& ctx, TensorView x, const ops::Weight& weight,
                         TensorView bias, TensorView y);

// Uses CpuKernels::quantized. All weights have the same format.
void quantized_tiled(ops::Context& ctx, TensorView x, std::span<const ops::LinearOutput> outputs);

}  // namespace hearth::backend::cpu
