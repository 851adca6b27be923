#include "backend/cpu/lora_simd.h"

namespace hearth::backend::cpu {

const LoraTiles kLoraAvx2 = lora_tiles("avx2");

}  // namespace hearth::backend::cpu
