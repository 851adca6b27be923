#include <immintrin.h>

#include "backend/cpu/machine_limits.h"

namespace hearth::backend::cpu {

double int8_products_avx512vnni(int64_t iterations) {
  constexpr int kChains = 24;
  __m512i total[kChains];
#pragma GCC unroll 24
  for (int c = 0; c < kChains; ++c) total[c] = _mm512_set1_epi32(c);
  __m512i factor = _mm512_set1_epi8(3);
  for (int64_t i = 0; i < iterations; ++i) {
    asm volatile("" : "+x"(factor));
#pragma GCC unroll 24
    for (int c = 0; c < kChains; ++c) total[c] = _mm512_dpbusd_epi32(total[c], factor, factor);
  }
#pragma GCC unroll 24
  for (int c = 0; c < kChains; ++c) asm volatile("" : : "x"(total[c]));
  return 2.0 * kChains * static_cast<double>(sizeof(__m512i)) * static_cast<double>(iterations);
}

}  // namespace hearth::backend::cpu
