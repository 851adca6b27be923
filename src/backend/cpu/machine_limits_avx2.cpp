#include "backend/cpu/machine_limits_simd.h"

namespace hearth::backend::cpu {

const MachineLimits kLimitsAvx2 = {"avx2", f32_products, nullptr, nullptr, read_all};

}  // namespace hearth::backend::cpu
