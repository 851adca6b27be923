#include "backend/cpu/attention_simd.h"

namespace hearth::backend::cpu {

const AttentionTiles kAttentionAvx2 = simd_attention("avx2");

}  // namespace hearth::backend::cpu
