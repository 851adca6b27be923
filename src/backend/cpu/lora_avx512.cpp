#include "backend/cpu/lora_simd.h"

namespace hearth::backend::cpu {

const LoraTiles kLoraAvx512 = lora_tiles("avx512");

}  // namespace hearth::backend::cpu
