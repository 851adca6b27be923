#include "backend/cpu/quantized_simd.h"

namespace hearth::backend::cpu {

const QuantizedTile kQuantizedAvxVnni = quantized_tile("avxvnni");

}  // namespace hearth::backend::cpu
