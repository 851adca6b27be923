#include "backend/cpu/attention_simd.h"

namespace hearth::backend::cpu {

const AttentionTiles kAttentionAvx512 = simd_attention("avx512");

}  // namespace hearth::backend::cpu
