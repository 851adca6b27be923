#include "backend/cpu/machine_limits.h"
#include "backend/cpu/simd.h"

namespace hearth::backend::cpu {

double bf16_products_avx512bf16(int64_t iterations) {
  constexpr int kChains = 24;
  F total[kChains];
  for (int c = 0; c < kChains; ++c) total[c] = broadcast(static_cast<float>(c));
  __m512i bits = _mm512_set1_epi16(0x3f00);
  for (int64_t i = 0; i < iterations; ++i) {
    asm volatile("" : "+x"(bits));
    const __m512bh factor = (__m512bh)bits;
#pragma GCC unroll 24
    for (int c = 0; c < kChains; ++c) total[c] = _mm512_dpbf16_ps(total[c], factor, factor);
  }
  for (int c = 0; c < kChains; ++c) asm volatile("" : : "x"(total[c]));
  return 4.0 * kChains * kLanes * static_cast<double>(iterations);
}

}  // namespace hearth::backend::cpu
