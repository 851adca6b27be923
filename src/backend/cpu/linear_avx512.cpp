#include "backend/cpu/linear_simd.h"

namespace hearth::backend::cpu {

const LinearTiles kLinearAvx512 = simd_linear("avx512");

}  // namespace hearth::backend::cpu
