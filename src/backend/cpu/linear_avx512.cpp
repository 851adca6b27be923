#include "backend/cpu/linear_simd.h"

namespace hearth::backend::cpu {

const LinearTiles kLinearAvx512 = {.f32 = linear_tile_f32<AsF32>("avx512"),
                                   .f16 = linear_tile_f32<AsF16>("avx512"),
                                   .bf16 = linear_tile_f32<AsBF16>("avx512"),
                                   .bf16_fast = {}};

}  // namespace hearth::backend::cpu
