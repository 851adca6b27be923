// Quantising groups for AVX2: the plain loops of ops in vectors of 256 bits.
#include "backend/cpu/quantize_groups.h"
#include "ops/internal/quantize_groups.h"

namespace hearth::backend::cpu {

const ops::QuantizeKernels kQuantizeAvx2 = ops::quantize_kernels_named("avx2");

}  // namespace hearth::backend::cpu
