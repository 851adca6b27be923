// Quantising groups for each instruction set. Plain pointers only: this header is included by files
// that are compiled for one of them.
#pragma once

#include "ops/quantize_kernels.h"

namespace hearth::backend::cpu {

extern const ops::QuantizeKernels kQuantizeAvx2;
extern const ops::QuantizeKernels kQuantizeAvx512;

}  // namespace hearth::backend::cpu
