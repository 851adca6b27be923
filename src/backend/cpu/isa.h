// Which instruction sets the processor has and the system saves, in ascending order. A level has
// all below it, but for kAvxVnni: machines with AVX-512 may lack it.
#pragma once

#include <cstdint>

namespace hearth::backend::cpu {

enum class Isa : uint8_t {
  kBaseline,    // x86-64-v2: the reference kernels
  kAvx2,        // with FMA and F16C
  kAvxVnni,     // with 8-bit dot products of 256 bits
  kAvx512,      // F, BW, DQ, VL
  kAvx512Vnni,  // with 8-bit dot products
  kAvx512Bf16,  // with bf16 dot products
  kAmx,         // with products of tiles, 8-bit and bf16
};

const char* to_string(Isa isa);

constexpr Isa kIsaMost = Isa::kAmx;

// Whether this machine can run it. For kAmx the process asks the system for its registers, once.
bool has_isa(Isa isa);

// The best one that this machine can run and `limit` allows.
Isa detect_isa(Isa limit = kIsaMost);

}  // namespace hearth::backend::cpu
