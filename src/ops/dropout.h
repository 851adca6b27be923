// Inverted dropout whose mask is a function of a key, so that the backward pass, and a forward pass
// that runs a second time, leave out the same elements without a mask in memory.
#pragma once

#include <cstdint>

#include "ops/train_context.h"

namespace hearth::ops {

struct Dropout {
  TensorView x;      // [rows, n] f32 or bf16; rows may be strided
  TensorView y;      // [rows, n], each its own type; may be x: kept / (1 - share), else 0
  float share = 0;   // of elements left out, in [0, 1), in steps of 1/65536
  uint64_t key = 0;  // element (row, column) is left out or not by (key, row, column) alone
};
void dropout(TrainContext& ctx, const Dropout& args);

}  // namespace hearth::ops
