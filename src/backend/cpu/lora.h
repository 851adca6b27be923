// lora_add() on the CPU.
#pragma once

#include "ops/lora.h"

namespace hearth::backend::cpu {

// The specification: sums in double, rounded once.
void lora_reference(ops::Context& ctx, TensorView x, std::span<const ops::LoraGroup> groups,
                    TensorView y);
// With the tiles of an instruction set.
void lora_tiled(ops::Context& ctx, TensorView x, std::span<const ops::LoraGroup> groups,
                TensorView y);

}  // namespace hearth::backend::cpu
