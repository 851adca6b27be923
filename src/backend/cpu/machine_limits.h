// Loops that do nothing but what a limit of the machine is about; `hearth bench kernels` times
// them.
#pragma once

#include <cstdint>

namespace hearth::backend::cpu {

struct MachineLimits {
  const char* variant = nullptr;  // the instruction set of the loops
  // Products and sums on registers only: each returns the operations it did.
  double (*f32_products)(int64_t iterations) = nullptr;
  double (*bf16_products)(int64_t iterations) = nullptr;  // null: the machine has none
  double (*int8_products)(int64_t iterations) = nullptr;  // of unsigned and signed, in 32 bits
  // Reads every byte once; the result only keeps the loads alive. `bytes` is a multiple of 512.
  float (*read)(const void* data, int64_t bytes) = nullptr;
};

// For the best instruction set of this machine; all null where it is the baseline.
MachineLimits machine_limits();

extern const MachineLimits kLimitsAvx2;
extern const MachineLimits kLimitsAvx512;
double int8_products_avxvnni(int64_t iterations);
double int8_products_avx512vnni(int64_t iterations);
double bf16_products_avx512bf16(int64_t iterations);
double int8_products_amx(int64_t iterations);
double bf16_products_amx(int64_t iterations);

}  // namespace hearth::backend::cpu
