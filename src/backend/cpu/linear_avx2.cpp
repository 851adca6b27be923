#include "backend/cpu/linear_simd.h"

namespace hearth::backend::cpu {

const LinearTiles kLinearAvx2 = simd_linear("avx2");

}  // namespace hearth::backend::cpu
