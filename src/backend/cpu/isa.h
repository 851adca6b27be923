// Which instruction sets the processor has and the system saves, in ascending order.
#pragma once

#include <cstdint>

namespace hearth::backend::cpu {

enum class Isa : uint8_t {
  kBaseline,    // x86-64-v2: the reference kernels
  kAvx2,        // with FMA and F16C
  kAvx512,      // F, BW, DQ, VL
  kAvx512Bf16,  // with bf16 dot products
};

const char* to_string(Isa isa);

// The best one that this machine can run.
Isa detect_isa();

}  // namespace hearth::backend::cpu
