// Quantising groups for AVX-512: the plain loops of ops in vectors of 512 bits.
#include "backend/cpu/quantize_groups.h"
#include "ops/internal/quantize_groups.h"

namespace hearth::backend::cpu {

const ops::QuantizeKernels kQuantizeAvx512 = ops::quantize_kernels_named("avx512");

}  // namespace hearth::backend::cpu
