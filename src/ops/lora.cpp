#include "ops/lora.h"

#include "ops/checks.h"

namespace hearth::ops {
namespace {

void check_part(const LoraPart& part, int64_t outs) {
  CHECK(part.dtype == DType::kF32 || part.dtype == DType::kF16 || part.dtype == DType::kBF16,
        "lora_add: an adapter in {}", to_string(part.dtype));
  CHECK(part.rank > 0 && part.a != nullptr && part.b != nullptr, "lora_add: rank {}", part.rank);
  CHECK(part.out_begin >= 0 && part.out > 0 && part.out_begin + part.out <= outs,
        "lora_add: outputs [{}, {}) of {}", part.out_begin, part.out_begin + part.out, outs);
  CHECK((part.gain == nullptr) == (part.shift == nullptr), "lora_add: gain without shift");
}

}  // namespace

void lora_add(Context& ctx, TensorView x, std::span<const LoraGroup> groups, TensorView y) {
  check_matrix("lora_add x", x);
  check_matrix("lora_add y", y);
  CHECK(x.rows() == y.rows(), "lora_add: {} rows of x, {} of y", x.rows(), y.rows());
  for (const LoraGroup& group : groups) {
    for (const LoraPart& part : group.parts) check_part(part, y.cols());
    for (int32_t row : group.rows) {
      CHECK(row >= 0 && row < x.rows(), "lora_add: row {} of {}", row, x.rows());
    }
  }
  if (groups.empty()) return;
  kernel(ctx.kernels.lora_add, "lora_add", ctx.kernels)(ctx, x, groups, y);
}

}  // namespace hearth::ops
