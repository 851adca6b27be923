// Rotary position embedding for training. A rotation's gradient is the rotation back.
#pragma once

#include <cstdint>
#include <span>

#include "ops/train_context.h"

namespace hearth::ops {

enum class Turn : uint8_t { kForward, kBackward };

// cos and sin of position * inverse_frequency: [positions, rotary / 2] f32.
struct RopeTable {
  TensorView cos;
  TensorView sin;
};

// Turns x [tokens, heads, head_dim] f32 or bf16 in place, element i with i + rotary/2 (the halves
// style of HF checkpoints). positions[t] is the row of the table for token t.
void rope_turn(TrainContext& ctx, TensorView x, std::span<const int32_t> positions,
               const RopeTable& table, Turn turn);

}  // namespace hearth::ops
