// Tiles of linear() for the instruction set of the including file.
//
// A tile of R rows by 4 outputs keeps 4 R accumulators in registers and reads R + 4 vectors for 4 R
// multiplications. 6 x 4 of the 32 AVX-512 registers: 24 products for 10 loads, so that two loads
// and two products a cycle leave the multipliers busy. 3 x 4 of the 16 of AVX2: 12 for 7.
//
// Long rows are cut into stretches whose R rows stay in the first-level cache while outputs pass
// by; between stretches the accumulators rest in memory as they are, which changes no bit.
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
constexpr int kTileOuts = kLinearTileOuts;
// Of R rows of x: half of a first-level cache of 48 KiB.
constexpr int64_t kStretchBytes = 24 * 1024;

// Arithmetic in f32 over weights of any element type.
template <typename Element>
struct InF32 {
  using Packed = float;
  using W = typename Element::T;
  using Vector = F;
  static constexpr int64_t kStep = kLanes;
  static Vector packed(const Packed* p) { return load(p); }
  static Vector w(const W* p) { return Element::get(p); }
  static Vector w(const W* p, int64_t n) { return Element::get(p, Part(n)); }
  static Vector nothing() { return zero(); }
  static void put(Packed* p, Vector v) { store(p, v); }
  static F multiply_add(F total, Vector a, Vector b) { return fma(a, b, total); }
};

// Writes the sums of a tile, of which `outs` outputs exist.
template <int kRows>
inline void finish_tile(const LinearBlock& b, int64_t o, int64_t outs,
                        const F (&total)[kRows][kTileOuts]) {
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
    __m128 y = sums(total[r][0], total[r][1], total[r][2], total[r][3]);
    float* out = b.y + r * b.y_stride + o;
    if (outs >= kTileOuts) {
      if (b.bias != nullptr) y = _mm_add_ps(y, _mm_loadu_ps(b.bias + o));
      _mm_storeu_ps(out, y);
      continue;
    }
    alignas(16) float values[kTileOuts];
    _mm_store_ps(values, y);
    for (int64_t c = 0; c < outs; ++c) {
      out[c] = b.bias == nullptr ? values[c] : values[c] + b.bias[o + c];
    }
  }
}

template <int kRows>
inline void clear_tile(F (&total)[kRows][kTileOuts]) {
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int c = 0; c < kTileOuts; ++c) total[r][c] = zero();
  }
}

// Few rows: weights stream by once, kOuts rows of the file at a time. With one row the processor's
// own prefetching keeps up; with more there is less reading and more computing in its window, and
// the next outputs are fetched by hand.
template <typename Arithmetic, int kRows, int kOuts>
inline void direct_tile(const LinearBlock& b, int64_t o) {
  const auto* x = static_cast<const typename Arithmetic::Packed*>(b.x);
  const auto* w = static_cast<const typename Arithmetic::W*>(b.w) + o * b.w_stride;
  F total[kRows][kTileOuts];
  clear_tile(total);
  const auto step = [&](int64_t i, auto... left) __attribute__((always_inline)) {
    typename Arithmetic::Vector rows[kRows];
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      rows[r] = Arithmetic::packed(x + i * kRows + r * Arithmetic::kStep);
    }
#pragma GCC unroll 4
    for (int c = 0; c < kOuts; ++c) {
      if constexpr (kRows > 1) __builtin_prefetch(w + (c + kOuts) * b.w_stride + i);
      const auto column = Arithmetic::w(w + c * b.w_stride + i, left...);
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        total[r][c] = Arithmetic::multiply_add(total[r][c], rows[r], column);
      }
    }
  };
  int64_t i = 0;
  for (; i + Arithmetic::kStep <= b.in; i += Arithmetic::kStep) step(i);
  if (i < b.in) step(i, b.in - i);
  finish_tile(b, o, kOuts, total);
}

template <typename Arithmetic, int kRows>
void direct_block(const LinearBlock& b) {
  int64_t o = 0;
  for (; o + kTileOuts <= b.outs; o += kTileOuts) direct_tile<Arithmetic, kRows, kTileOuts>(b, o);
  for (; o < b.outs; ++o) direct_tile<Arithmetic, kRows, 1>(b, o);
}

// Elements [begin, end) of the sums of a tile. Unless begin is 0 they go on from `resting`; unless
// end is `in` they rest there again.
template <typename Arithmetic, int kRows, int kAhead>
inline void packed_tile(const LinearBlock& b, int64_t o, int64_t begin, int64_t end,
                        F (&resting)[kRows][kTileOuts]) {
  using T = typename Arithmetic::Packed;
  const T* x = static_cast<const T*>(b.x) + begin * kRows;
  const T* w = static_cast<const T*>(b.w) + o * b.w_stride + begin * kTileOuts;
  const char* ahead = static_cast<const char*>(b.ahead);
  F total[kRows][kTileOuts];
  if (begin == 0) {
    clear_tile(total);
  } else {
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
      for (int c = 0; c < kTileOuts; ++c) total[r][c] = resting[r][c];
    }
  }
  for (int64_t i = begin; i < end; i += Arithmetic::kStep) {
    typename Arithmetic::Vector rows[kRows];
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) rows[r] = Arithmetic::packed(x + r * Arithmetic::kStep);
#pragma GCC unroll 4
    for (int c = 0; c < kTileOuts; ++c) {
      const auto column = Arithmetic::packed(w + c * Arithmetic::kStep);
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        total[r][c] = Arithmetic::multiply_add(total[r][c], rows[r], column);
      }
    }
#pragma GCC unroll 2
    for (int a = 0; a < kAhead; ++a) __builtin_prefetch(ahead + a * 64);
    ahead += kAhead * 64;
    x += kRows * Arithmetic::kStep;
    w += kTileOuts * Arithmetic::kStep;
  }
  if (end == b.in) {
    finish_tile(b, o, b.outs - o, total);
    return;
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int c = 0; c < kTileOuts; ++c) resting[r][c] = total[r][c];
  }
}

template <typename Arithmetic, int kRows, int kAhead>
void packed_block(const LinearBlock& b) {
  F resting[kLinearOutsMax / kTileOuts][kRows][kTileOuts];
  constexpr int64_t kFits =
      kStretchBytes / (kRows * static_cast<int64_t>(sizeof(typename Arithmetic::Packed)));
  constexpr int64_t kStretch = kFits / kPackedMultiple * kPackedMultiple;
  // A row that is a little longer than a stretch is not worth two.
  const int64_t stretch = b.outs <= kTileOuts || b.in <= kStretch * 3 / 2 ? b.in : kStretch;
  for (int64_t begin = 0; begin < b.in; begin += stretch) {
    const int64_t end = begin + stretch < b.in ? begin + stretch : b.in;
    for (int64_t o = 0; o < b.outs; o += kTileOuts) {
      packed_tile<Arithmetic, kRows, kAhead>(b, o, begin, end, resting[o / kTileOuts]);
    }
  }
}

template <typename Arithmetic>
void pack_linear_weights(const void* weights, int64_t w_stride, int64_t outs, int64_t in,
                         void* packed) {
  constexpr int64_t kStep = Arithmetic::kStep;
  const auto* w = static_cast<const typename Arithmetic::W*>(weights);
  const int64_t padded = (in + kPackedMultiple - 1) / kPackedMultiple * kPackedMultiple;
  for (int64_t o = 0; o < outs; o += kTileOuts) {
    auto* to = static_cast<typename Arithmetic::Packed*>(packed) + o * padded;
    for (int64_t c = 0; c < kTileOuts; ++c) {
      const bool exists = o + c < outs;
      const auto* from = w + (o + c) * w_stride;
      int64_t i = 0;
      for (; exists && i + kStep <= in; i += kStep) {
        Arithmetic::put(to + i * kTileOuts + c * kStep, Arithmetic::w(from + i));
      }
      for (; i < in; i += kStep) {
        const auto v = exists ? Arithmetic::w(from + i, in - i) : Arithmetic::nothing();
        Arithmetic::put(to + i * kTileOuts + c * kStep, v);
      }
    }
  }
}

// f32 rows, `rows` side by side in each step.
inline void pack_f32_rows(const float* x, int64_t x_stride, int64_t rows, int64_t in,
                          void* packed) {
  auto* y = static_cast<float*>(packed);
  for (int64_t r = 0; r < rows; ++r) {
    const float* from = x + r * x_stride;
    float* to = y + r * kLanes;
    int64_t i = 0;
    for (; i + kLanes <= in; i += kLanes) store(to + i * rows, load(from + i));
    if (i < in) store(to + i * rows, load(from + i, Part(in - i)));
  }
}

template <typename Arithmetic, int kAhead, typename Rows>
struct PackedRuns;
template <typename Arithmetic, typename Rows>
struct DirectRuns;

template <int... kRows>
struct RowCounts {};
#if defined(__AVX512F__)
using TileRowCounts = RowCounts<1, 2, 3, 4, 5, 6>;
#else
using TileRowCounts = RowCounts<1, 2, 3>;
#endif

template <typename Arithmetic, int kAhead, int... kRows>
struct PackedRuns<Arithmetic, kAhead, RowCounts<kRows...>> {
  static constexpr RunLinear kRun[] = {packed_block<Arithmetic, kRows, kAhead>...};
};
template <typename Arithmetic, int... kRows>
struct DirectRuns<Arithmetic, RowCounts<kRows...>> {
  static constexpr RunLinear kRun[] = {direct_block<Arithmetic, kRows>...};
};

// `Packing` is the arithmetic of packed operands: all of f32's share one.
template <typename Arithmetic, typename Packing>
constexpr LinearTile linear_tile(const char* variant, void (*pack_rows)(const float*, int64_t,
                                                                        int64_t, int64_t, void*)) {
  return {variant,
          kTileRows,
          sizeof(typename Arithmetic::Packed),
          pack_rows,
          pack_linear_weights<Arithmetic>,
          DirectRuns<Arithmetic, TileRowCounts>::kRun,
          {PackedRuns<Packing, 0, TileRowCounts>::kRun, PackedRuns<Packing, 1, TileRowCounts>::kRun,
           PackedRuns<Packing, 2, TileRowCounts>::kRun}};
}

template <typename Element>
constexpr LinearTile linear_tile_f32(const char* variant) {
  return linear_tile<InF32<Element>, InF32<AsF32>>(variant, pack_f32_rows);
}

}  // namespace
}  // namespace hearth::backend::cpu

#endif
