// A quantised weight back as a matrix: what a frozen base that is kept in 8 or 4 bits does before
// each product of its training.
#pragma once

#include "ops/train_context.h"
#include "ops/weight.h"

namespace hearth::ops {

// y [out, in] f32 or bf16, contiguous.
void unpack(TrainContext& ctx, const Weight& weight, TensorView y);

}  // namespace hearth::ops
