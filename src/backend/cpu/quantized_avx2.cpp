#include "backend/cpu/quantized_simd.h"

namespace hearth::backend::cpu {

const QuantizedTile kQuantizedAvx2 = quantized_tile("avx2");

}  // namespace hearth::backend::cpu
