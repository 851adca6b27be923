#include "backend/cpu/rows_simd.h"

namespace hearth::backend::cpu {

const RowKernels kRowsAvx2 = simd_rows("avx2");

}  // namespace hearth::backend::cpu
