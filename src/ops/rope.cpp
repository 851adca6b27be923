#include "ops/rope.h"

#include "ops/checks.h"

namespace hearth::ops {

void rope_angles(Context& ctx, std::span<const int32_t> positions,
                 std::span<const float> inverse_frequency, float scale, TensorView cos,
                 TensorView sin) {
  const int64_t tokens = static_cast<int64_t>(positions.size());
  const int64_t half = static_cast<int64_t>(inverse_frequency.size());
  check_matrix("rope_angles cos", cos, tokens, half);
  check_matrix("rope_angles sin", sin, tokens, half);
  if (tokens == 0) return;
  kernel(ctx.kernels.rope_angles, "rope_angles", ctx.kernels)(ctx, positions, inverse_frequency,
                                                              scale, cos, sin);
}

void rope(Context& ctx, TensorView x, TensorView cos, TensorView sin, RopeStyle style) {
  CHECK(x.dtype == DType::kF32 && x.shape.rank() == 3 && x.row_stride >= x.cols(),
        "rope x: expected f32 [tokens, heads, head_dim], came {} {}", to_string(x.dtype),
        x.shape.to_string());
  check_matrix("rope cos", cos);
  check_matrix("rope cos", cos, x.rows(), cos.cols());
  check_matrix("rope sin", sin, x.rows(), cos.cols());
  CHECK(2 * cos.cols() <= x.shape[2], "rope: turns {} elements of a head of {}", 2 * cos.cols(),
        x.shape[2]);
  if (x.rows() > 0) kernel(ctx.kernels.rope, "rope", ctx.kernels)(ctx, x, cos, sin, style);
}

}  // namespace hearth::ops
