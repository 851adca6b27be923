#include "backend/cpu/machine_limits_simd.h"

namespace hearth::backend::cpu {

const MachineLimits kLimitsAvx512 = {"avx512", f32_products, nullptr, nullptr, read_all};

}  // namespace hearth::backend::cpu
