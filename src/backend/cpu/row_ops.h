// The ops that work row by row: norms, rotations, activations, look-ups.
#pragma once

#include "ops/kernels.h"

namespace hearth::backend::cpu {

// Fills the entries of norm.cpp, rope.cpp and elementwise.cpp.
void set_norm_kernels(ops::Kernels& kernels);
void set_rope_kernels(ops::Kernels& kernels);
void set_elementwise_kernels(ops::Kernels& kernels);

}  // namespace hearth::backend::cpu
