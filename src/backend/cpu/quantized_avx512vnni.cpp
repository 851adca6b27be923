#include "backend/cpu/quantized_simd.h"

namespace hearth::backend::cpu {

const QuantizedTile kQuantizedAvx512Vnni = quantized_tile("avx512vnni");

}  // namespace hearth::backend::cpu
