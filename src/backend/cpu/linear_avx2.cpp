#include "backend/cpu/linear_simd.h"

namespace hearth::backend::cpu {

const LinearTiles kLinearAvx2 = {.f32 = linear_tile_f32<AsF32>("avx2"),
                                 .f16 = linear_tile_f32<AsF16>("avx2"),
                                 .bf16 = linear_tile_f32<AsBF16>("avx2"),
                                 .bf16_fast = {}};

}  // namespace hearth::backend::cpu
