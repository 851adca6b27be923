// machine_limits.h for the instruction set of the including file.
#pragma once

#include "backend/cpu/machine_limits.h"
#include "backend/cpu/simd.h"

#if defined(__AVX2__)

namespace hearth::backend::cpu {
namespace {

double f32_products(int64_t iterations) {
  constexpr int kChains = 12;  // more than latency times throughput of any core so far
  F total[kChains];
  for (int c = 0; c < kChains; ++c) total[c] = broadcast(static_cast<float>(c));
  F factor = broadcast(0.999f);
  for (int64_t i = 0; i < iterations; ++i) {
    asm volatile("" : "+x"(factor));
#pragma GCC unroll 12
    for (int c = 0; c < kChains; ++c) total[c] = fma(total[c], factor, factor);
  }
  for (int c = 0; c < kChains; ++c) asm volatile("" : : "x"(total[c]));
  return 2.0 * kChains * kLanes * static_cast<double>(iterations);
}

float read_all(const void* data, int64_t bytes) {
  constexpr int64_t kStreams = 8;
  const auto* p = static_cast<const float*>(data);
  const int64_t count = bytes / 4 / kLanes / kStreams;  // vectors of a stream
  F total[kStreams] = {};
  for (int64_t i = 0; i < count; ++i) {
#pragma GCC unroll 8
    for (int64_t s = 0; s < kStreams; ++s) {
      total[s] = larger(total[s], load(p + (s * count + i) * kLanes));
    }
  }
  for (int64_t s = 1; s < kStreams; ++s) total[0] = larger(total[0], total[s]);
  return greatest(total[0]);
}

}  // namespace
}  // namespace hearth::backend::cpu

#endif
