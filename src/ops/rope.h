// Rotary position embedding (Su et al. 2021).
#pragma once

#include <cstdint>
#include <span>

#include "ops/context.h"

namespace hearth::ops {

enum class RopeStyle : uint8_t {
  kHalves,  // element i turns with i + rotary/2 (Llama, NeoX, Qwen, Phi, Gemma in HF layout)
  kPairs,   // element 2i turns with 2i + 1 (GPT-J, original Llama)
};

// Angles of each row of a step, computed once and used by all layers: cos, sin [tokens, rotary/2]
// f32. angle = position * inverse_frequency[i], rounded to f32 as transformers does; both results
// are multiplied by `scale` (yarn, longrope), else 1.
void rope_angles(Context& ctx, std::span<const int32_t> positions,
                 std::span<const float> inverse_frequency, float scale, TensorView cos,
                 TensorView sin);

// Turns the first 2 * cos.cols() elements of each head of x [tokens, heads, head_dim] f32 in place;
// row_stride may exceed heads * head_dim. cos, sin [tokens, rotary/2].
void rope(Context& ctx, TensorView x, TensorView cos, TensorView sin, RopeStyle style);

}  // namespace hearth::ops
