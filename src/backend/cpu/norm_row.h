// One row through a norm.
#pragma once

#include "backend/cpu/rows.h"
#include "ops/norm.h"

namespace hearth::backend::cpu {

// x [n] -> y [n].
inline void norm_row(const RowKernels& rows, const ops::RmsNorm& norm, const float* x, int64_t n,
                     float* y) {
  rows.rms_norm(x, norm.weight.as<float>(), norm.epsilon, norm.offset, n, y);
}
inline void norm_row(const RowKernels& rows, const ops::LayerNorm& norm, const float* x, int64_t n,
                     float* y) {
  rows.layer_norm(x, norm.weight.as<float>(), norm.bias.as<float>(), norm.epsilon, n, y);
}

}  // namespace hearth::backend::cpu
