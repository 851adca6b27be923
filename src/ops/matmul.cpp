#include "ops/matmul.h"

#include "ops/train_checks.h"
#include "ops/train_kernels.h"

namespace hearth::ops {

void matmul(TrainContext& ctx, const Matmul& product) {
  const bool turn_a = product.transpose_a == Transpose::kYes;
  const bool turn_b = product.transpose_b == Transpose::kYes;
  const int64_t m = product.c.rows();
  const int64_t n = product.c.cols();
  const int64_t k = turn_a ? product.a.rows() : product.a.cols();
  check_activation("matmul a", product.a, turn_a ? Shape{k, m} : Shape{m, k});
  check_activation("matmul b", product.b, turn_b ? Shape{n, k} : Shape{k, n});
  check_activation("matmul c", product.c, Shape{m, n});
  CHECK(product.c.dtype == DType::kF32 || product.store == Store::kReplace,
        "matmul c: only f32 is added to");
  if (m > 0 && n > 0) ctx.kernels.matmul(ctx, product);
}

}  // namespace hearth::ops
