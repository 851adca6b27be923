#include "backend/cpu/rows_simd.h"

namespace hearth::backend::cpu {

const RowKernels kRowsAvx512 = simd_rows("avx512");

}  // namespace hearth::backend::cpu
