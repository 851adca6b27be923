// f32 arithmetic over f32, f16 and bf16 weights, for the instruction set of the including file.
//
// A tile of R rows by C outputs keeps R * C accumulators in registers and reads R + C vectors for
// R * C multiplications. 6 x 4 of the 32 AVX-512 registers: 24 products for 10 loads, so two loads
// and two products a cycle leave the multipliers busy. 3 x 4 of the 16 of AVX2: 12 for 7.
#pragma once

#include "backend/cpu/linear_tiles.h"
#include "backend/cpu/simd.h"

#if defined(__AVX2__)

namespace hearth::backend::cpu {
namespace {

#if defined(__AVX512F__)
constexpr int kTileRows = 6;
#else
constexpr int kTileRows = 3;
#endif
constexpr int kTileOuts = 4;

// kOuts outputs of kRows rows, starting at output `o`.
template <typename Element, int kRows, int kOuts>
inline void linear_tile(const LinearBlock& b, int64_t o) {
  const auto* x = static_cast<const float*>(b.x);
  const auto* w = static_cast<const typename Element::T*>(b.w) + o * b.w_stride;
  F total[kRows][kTileOuts];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int c = 0; c < kTileOuts; ++c) total[r][c] = zero();
  }
  const auto step = [&](int64_t i, auto... part) __attribute__((always_inline)) {
    F rows[kRows];
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) rows[r] = load(x + r * b.x_stride + i, part...);
#pragma GCC unroll 8
    for (int c = 0; c < kOuts; ++c) {
      const F column = Element::get(w + c * b.w_stride + i, part...);
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) total[r][c] = fma(rows[r], column, total[r][c]);
    }
  };
  int64_t i = 0;
  for (; i + kLanes <= b.in; i += kLanes) step(i);
  if (i < b.in) step(i, Part(b.in - i));
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
    __m128 y = sums(total[r][0], total[r][1], total[r][2], total[r][3]);
    float* out = b.y + r * b.y_stride + o;
    if constexpr (kOuts == kTileOuts) {
      if (b.bias != nullptr) y = _mm_add_ps(y, _mm_loadu_ps(b.bias + o));
      _mm_storeu_ps(out, y);
    } else {
      if (b.bias != nullptr) y = _mm_add_ss(y, _mm_load_ss(b.bias + o));
      _mm_store_ss(out, y);
    }
  }
}

template <typename Element, int kRows>
void linear_block(const LinearBlock& b) {
  int64_t o = 0;
  for (; o + kTileOuts <= b.outs; o += kTileOuts) linear_tile<Element, kRows, kTileOuts>(b, o);
  for (; o < b.outs; ++o) linear_tile<Element, kRows, 1>(b, o);
}

#if defined(__AVX512F__)
template <typename Element>
constexpr void (*kLinearRun[kTileRows])(const LinearBlock&) = {
    linear_block<Element, 1>, linear_block<Element, 2>, linear_block<Element, 3>,
    linear_block<Element, 4>, linear_block<Element, 5>, linear_block<Element, 6>};
#else
template <typename Element>
constexpr void (*kLinearRun[kTileRows])(const LinearBlock&) = {
    linear_block<Element, 1>, linear_block<Element, 2>, linear_block<Element, 3>};
#endif

constexpr LinearTiles simd_linear(const char* variant) {
  using Many = LinearTile::ManyRows;
  return {.f32 = {variant, nullptr, kTileRows, kLinearRun<AsF32>, Many::kSame},
          .f16 = {variant, nullptr, kTileRows, kLinearRun<AsF16>, Many::kWidenFirst},
          .bf16 = {variant, nullptr, kTileRows, kLinearRun<AsBF16>, Many::kWidenFirst},
          .bf16_fast = {}};
}

}  // namespace
}  // namespace hearth::backend::cpu

#endif
