// RMSNorm (Zhang, Sennrich 2019) and LayerNorm (Ba et al. 2016), over the last dimension.
#pragma once

#include <variant>

#include "ops/context.h"

namespace hearth::ops {

// y = x / rms(x) * (offset + weight). x, y [rows, n] f32 (may alias, rows may be strided), weight
// [n] f32. offset is 1 for Gemma, which stores weight - 1; 0 for everybody else.
struct RmsNorm {
  TensorView weight;
  float epsilon = 1e-6f;
  float offset = 0.0f;
};
void rms_norm(Context& ctx, TensorView x, const RmsNorm& norm, TensorView y);

// y = (x - mean) / sqrt(var + epsilon) * weight + bias. weight and bias [n] f32; either may be
// empty.
struct LayerNorm {
  TensorView weight;
  TensorView bias;
  float epsilon = 1e-5f;
};
void layer_norm(Context& ctx, TensorView x, const LayerNorm& norm, TensorView y);

// What rows go through before something reads them: nothing, or one of the two.
using RowNorm = std::variant<std::monostate, RmsNorm, LayerNorm>;

}  // namespace hearth::ops
