// What adapters add to a linear layer (Hu et al. 2021): y += scale · B·(A·x), for the rows of many
// adapters at once, of any ranks. With a gain (DoRA, Liu et al. 2024) the outputs are rescaled too.
#pragma once

#include <cstdint>
#include <span>

#include "ops/context.h"

namespace hearth::ops {

// One adapter's part in one linear layer, or in some outputs of a fused one. The rows of A and the
// columns of B stand one by one, so that they may lie in the pages of a pool.
struct LoraPart {
  DType dtype = DType::kF32;  // of A and B: f32, f16 or bf16
  int32_t rank = 0;
  const void* const* a = nullptr;  // [rank], each [in]
  const void* const* b = nullptr;  // [rank], each [out]
  float scale = 1.0f;
  int64_t out_begin = 0;  // the outputs that it speaks of: [out_begin, out_begin + out)
  int64_t out = 0;
  const float* gain = nullptr;   // [out] f32 or null: y = gain · (y + scale · B·A·x) + shift
  const float* shift = nullptr;  // [out] f32, with gain
};

// The rows of x that one adapter adds to; no row is in two groups.
struct LoraGroup {
  std::span<const LoraPart> parts;  // of different outputs
  std::span<const int32_t> rows;
};

// x [tokens, in] f32, y [tokens, out] f32, added to in place; rows of both may be strided.
//
// Batch-invariant: what a row gets does not depend, bit for bit, on other rows, groups or threads.
void lora_add(Context& ctx, TensorView x, std::span<const LoraGroup> groups, TensorView y);

}  // namespace hearth::ops
