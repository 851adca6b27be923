// Tiles of lora_add() for the instruction set of the including file.
//
// One row of x meets its own adapter in generation, so A and B are read once and the arithmetic is
// that of their memory: eight rows of A at a time keep eight chains of products going. Prompts
// bring many rows of one adapter; then a vector of A or B serves as many of them as registers
// allow.
#pragma once

#include "backend/cpu/lora_tiles.h"
#include "backend/cpu/simd.h"

#if defined(__AVX2__)

namespace hearth::backend::cpu {
namespace {

#if defined(__AVX512F__)
constexpr int kShrinkRows = 3;  // 24 of 32 registers hold sums
constexpr int kExpandRows = 4;
#else
constexpr int kShrinkRows = 1;
constexpr int kExpandRows = 2;
#endif
constexpr int kRanks = static_cast<int>(kLoraRankTile);
constexpr int kExpandVectors = 4;

template <typename Element, int kRows>
inline void shrink_step(const typename Element::T* const (&a)[kRanks], const F (&x)[kRows],
                        int64_t i, F (&total)[kRows][kRanks]) {
#pragma GCC unroll 8
  for (int k = 0; k < kRanks; ++k) {
    const F v = Element::get(a[k] + i);
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) total[r][k] = fma(v, x[r], total[r][k]);
  }
}

// Rows [row, row + kRows) against the rows [k0, k0 + kRanks) of A, of which some may not exist.
template <typename Element, int kRows>
void shrink_tile(const LoraShrink& s, int64_t row, int64_t k0) {
  using T = typename Element::T;
  const int64_t exist = s.rank - k0 < kRanks ? s.rank - k0 : kRanks;
  const T* a[kRanks];
  for (int64_t k = 0; k < kRanks; ++k) {
    a[k] = static_cast<const T*>(s.a[k0 + (k < exist ? k : exist - 1)]);
  }
  const float* x[kRows];
  for (int r = 0; r < kRows; ++r) x[r] = s.x + s.rows[row + r] * s.x_stride;
  F total[kRows][kRanks];
  for (int r = 0; r < kRows; ++r) {
    for (int k = 0; k < kRanks; ++k) total[r][k] = zero();
  }
  int64_t i = 0;
  for (; i + kLanes <= s.in; i += kLanes) {
    F v[kRows];
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) v[r] = load(x[r] + i);
    shrink_step<Element, kRows>(a, v, i, total);
  }
  if (i < s.in) {
    const Part part(s.in - i);
    for (int k = 0; k < kRanks; ++k) {
      const F v = Element::get(a[k] + i, part);
      for (int r = 0; r < kRows; ++r) total[r][k] = fma(v, load(x[r] + i, part), total[r][k]);
    }
  }
  for (int r = 0; r < kRows; ++r) {
    alignas(32) float h[kRanks];
    const F(&t)[kRanks] = total[r];
    _mm_store_ps(h, sums(t[0], t[1], t[2], t[3]));
    _mm_store_ps(h + 4, sums(t[4], t[5], t[6], t[7]));
    float* to = s.h + (row + r) * s.h_stride + k0;
    for (int64_t k = 0; k < exist; ++k) to[k] = h[k] * s.scale;
  }
}

template <typename Element, int kRows>
void shrink_rows(const LoraShrink& s, int64_t row) {
  for (int64_t k0 = 0; k0 < s.rank; k0 += kRanks) shrink_tile<Element, kRows>(s, row, k0);
}

template <typename Element>
void shrink(const LoraShrink& s) {
  int64_t row = 0;
  for (; row + kShrinkRows <= s.count; row += kShrinkRows) {
    shrink_rows<Element, kShrinkRows>(s, row);
  }
  for (; row < s.count; ++row) shrink_rows<Element, 1>(s, row);
}

// A vector of outputs at `o`: the sum of the part, put into y.
template <typename... P>
inline void finish_expand(const LoraExpand& e, float* y, int64_t o, F total, P... part) {
  F value = add(load(y + o, part...), total);
  if (e.gain != nullptr) value = fma(load(e.gain + o, part...), value, load(e.shift + o, part...));
  store(y + o, value, part...);
}

// kVectors vectors of outputs at `o` for kRows rows.
template <typename Element, int kRows, int kVectors, typename... P>
inline void expand_tile(const LoraExpand& e, int64_t row, int64_t o, P... part) {
  F total[kRows][kVectors];
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVectors; ++v) total[r][v] = zero();
  }
  const float* h = e.h + row * e.h_stride;
  for (int64_t k = 0; k < e.rank; ++k) {
    const auto* b = static_cast<const typename Element::T*>(e.b[k]) + o;
    F column[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) column[v] = Element::get(b + v * kLanes, part...);
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      const F factor = broadcast(h[r * e.h_stride + k]);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) total[r][v] = fma(factor, column[v], total[r][v]);
    }
  }
  for (int r = 0; r < kRows; ++r) {
    float* y = e.y + e.rows[row + r] * e.y_stride;
    for (int v = 0; v < kVectors; ++v) {
      finish_expand(e, y, o + v * kLanes, total[r][v], part...);
    }
  }
}

template <typename Element, int kRows>
void expand_rows(const LoraExpand& e, int64_t row) {
  int64_t o = e.begin;
  for (; o + kExpandVectors * kLanes <= e.end; o += kExpandVectors * kLanes) {
    expand_tile<Element, kRows, kExpandVectors>(e, row, o);
  }
  for (; o + kLanes <= e.end; o += kLanes) expand_tile<Element, kRows, 1>(e, row, o);
  if (o < e.end) expand_tile<Element, kRows, 1>(e, row, o, Part(e.end - o));
}

template <typename Element>
void expand(const LoraExpand& e) {
  int64_t row = 0;
  for (; row + kExpandRows <= e.count; row += kExpandRows)
    expand_rows<Element, kExpandRows>(e, row);
  for (; row < e.count; ++row) expand_rows<Element, 1>(e, row);
}

constexpr LoraTiles lora_tiles(const char* variant) {
  return {variant,
          {shrink<AsF32>, shrink<AsF16>, shrink<AsBF16>},
          {expand<AsF32>, expand<AsF16>, expand<AsBF16>}};
}

}  // namespace
}  // namespace hearth::backend::cpu

#endif
