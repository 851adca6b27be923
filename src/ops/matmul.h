// c = op(a) · op(b), the three products of a linear layer's training: Y = X·Wᵀ, dX = dY·W and
// dW = dYᵀ·X.
#pragma once

#include "ops/train_context.h"

namespace hearth::ops {

enum class Transpose : uint8_t { kNo, kYes };
enum class Store : uint8_t { kReplace, kAdd };

struct Matmul {
  TensorView a;  // [m, k], or [k, m] with kYes
  Transpose transpose_a = Transpose::kNo;
  TensorView b;  // [k, n], or [n, k] with kYes
  Transpose transpose_b = Transpose::kNo;
  TensorView c;  // [m, n]
  Store store = Store::kReplace;
};

// a and b are f32 or bf16, c is f32, or bf16 with kReplace; rows may be strided. Where both are
// bf16 and the machine multiplies bf16, products are of bf16 and sums in f32; else all is f32.
void matmul(TrainContext& ctx, const Matmul& product);

}  // namespace hearth::ops
