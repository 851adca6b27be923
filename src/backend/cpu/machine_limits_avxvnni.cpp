#include <immintrin.h>

#include "backend/cpu/machine_limits.h"

namespace hearth::backend::cpu {

double int8_products_avxvnni(int64_t iterations) {
  constexpr int kChains = 12;
  __m256i total[kChains];
#pragma GCC unroll 12
  for (int c = 0; c < kChains; ++c) total[c] = _mm256_set1_epi32(c);
  __m256i factor = _mm256_set1_epi8(3);
  for (int64_t i = 0; i < iterations; ++i) {
    asm volatile("" : "+x"(factor));
#pragma GCC unroll 12
    for (int c = 0; c < kChains; ++c) total[c] = _mm256_dpbusd_avx_epi32(total[c], factor, factor);
  }
#pragma GCC unroll 12
  for (int c = 0; c < kChains; ++c) asm volatile("" : : "x"(total[c]));
  return 2.0 * kChains * static_cast<double>(sizeof(__m256i)) * static_cast<double>(iterations);
}

}  // namespace hearth::backend::cpu
