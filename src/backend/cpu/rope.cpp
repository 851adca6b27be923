// Rotary embedding: angles once a step, rotations by row and head.
#include <cmath>

#include "backend/cpu/cpu_kernels.h"
#include "backend/cpu/parallel.h"
#include "backend/cpu/row_ops.h"

namespace hearth::backend::cpu {
namespace {

// A cosine costs about this many times an addition.
constexpr int64_t kAngleWork = 16;

void rope_angles(ops::Context& ctx, std::span<const int32_t> positions,
                 std::span<const float> inverse_frequency, float scale, TensorView cos,
                 TensorView sin) {
  const int64_t half = cos.cols();
  for_rows(ctx, cos.rows(), half * kAngleWork, [&](int64_t t) {
    const float position = static_cast<float>(positions[static_cast<size_t>(t)]);
    float* c = cos.row<float>(t);
    float* s = sin.row<float>(t);
    for (int64_t i = 0; i < half; ++i) {
      const float angle = position * inverse_frequency[static_cast<size_t>(i)];
      c[i] = std::cos(angle) * scale;
      s[i] = std::sin(angle) * scale;
    }
  });
}

void rope(ops::Context& ctx, TensorView x, TensorView cos, TensorView sin, ops::RopeStyle style) {
  const RowKernels& rows = *cpu_kernels(ctx).rows;
  const auto turn = style == ops::RopeStyle::kHalves ? rows.rope_halves : rows.rope_pairs;
  const int64_t heads = x.shape[1], head_dim = x.shape[2], half = cos.cols();
  for_rows(ctx, x.rows(), heads * head_dim, [&](int64_t t) {
    for (int64_t h = 0; h < heads; ++h) {
      turn(x.row<float>(t) + h * head_dim, cos.row<float>(t), sin.row<float>(t), half);
    }
  });
}

}  // namespace

void set_rope_kernels(ops::Kernels& kernels) {
  kernels.rope_angles = rope_angles;
  kernels.rope = rope;
}

}  // namespace hearth::backend::cpu
