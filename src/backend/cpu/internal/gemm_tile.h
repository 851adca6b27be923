// The inner loop of every matrix product in training: one tile of c = a · b with the sums in
// registers, and the packing that feeds it.
//
// Operands come in units along k: one f32, or a pair of bf16 (what vdpbf16ps multiplies at once).
//
//   b, packed: panels of kCols columns     [panel][unit][kCols][pair]     zero-padded
//   a, packed: panels of kRows rows        [panel][unit][kRows][pair]     zero-padded
//   a, as is : row-major rows of the same element type, read with their own stride
//
// Tile sizes: with 32 vector registers 14 rows x 2 vectors leave 28 sums, 2 of b and a broadcast
// from memory; 16 loads feed 28 multiply-adds, so the two multiplier ports are the limit. With 16
// registers 6 x 2.
#pragma once

#if defined(__AVX512F__)
// g++ 12 takes the undefined lanes of its own intrinsics for uninitialised variables.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#endif

#include "backend/cpu/internal/simd.h"

namespace hearth::backend::cpu {
namespace {

#if defined(__AVX512F__)
constexpr int kVectorFloats = 16;
constexpr int kTileRows = 14;
#elif defined(__AVX2__)
constexpr int kVectorFloats = 8;
constexpr int kTileRows = 6;
#else
constexpr int kVectorFloats = 4;
constexpr int kTileRows = 6;
#endif
constexpr int kTileCols = 2 * kVectorFloats;

typedef float VecF __attribute__((vector_size(kVectorFloats * 4), aligned(4), may_alias));

#if defined(__AVX512BF16__)
constexpr bool kMultipliesBf16 = true;
#else
constexpr bool kMultipliesBf16 = false;
#endif

// Elements in one unit of k.
template <typename E>
constexpr int kPair = sizeof(E) == 2 ? 2 : 1;

template <typename E>
inline int64_t units_of(int64_t k) {
  return (k + kPair<E> - 1) / kPair<E>;
}

inline int64_t panels_of(int64_t n, int width) { return (n + width - 1) / width; }

// Elements of a packed operand.
template <typename E>
inline int64_t packed_elements(int64_t n, int width, int64_t k) {
  return panels_of(n, width) * units_of<E>(k) * width * kPair<E>;
}

// A matrix read as value(lane, depth): lanes are rows of a or columns of b, depth is k.
template <typename S>
struct PackSource {
  const S* data = nullptr;
  int64_t stride = 0;
  bool depth_contiguous = false;  // data[lane * stride + depth], else data[depth * stride + lane]
  const S* at(int64_t lane, int64_t depth) const {
    return depth_contiguous ? data + lane * stride + depth : data + depth * stride + lane;
  }
};

#if defined(__AVX512BF16__)
// Sixteen lanes of depths (d, d + 1), pairs interleaved; lanes and depth beyond the matrix are 0.
// Exactly min(16, width) units are written: the next panel may belong to another thread.
template <int Width>
inline void interleave_pair(const Bf16* low, const Bf16* high, int lanes, Bf16* out) {
  const __mmask16 mask = static_cast<__mmask16>(lanes >= 16 ? 0xffff : (1 << lanes) - 1);
  const __m512i a = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, low));
  const __m512i b = high == nullptr ? _mm512_setzero_si512()
                                    : _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, high));
  const __m512i both = _mm512_or_si512(a, _mm512_slli_epi32(b, 16));
  if constexpr (Width >= 16) {
    _mm512_storeu_si512(out, both);
  } else {
    _mm512_mask_storeu_epi32(out, (1 << Width) - 1, both);
  }
}

// Sixteen rows of sixteen units, turned: unit u of all rows goes to out + u * step. Rows and units
// beyond the matrix are 0; `store` says which lanes are written.
inline void turn_units(const Bf16* rows, int64_t stride, int lanes, int units, __mmask16 store,
                       Bf16* out, int64_t step) {
  const __mmask16 inside = static_cast<__mmask16>(units >= 16 ? 0xffff : (1 << units) - 1);
  __m512i r[16];
  __m512i t[16];
  for (int i = 0; i < 16; ++i) {
    r[i] = i < lanes ? _mm512_maskz_loadu_epi32(inside, rows + i * stride) : _mm512_setzero_si512();
  }
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
  }
  // r[i + c]: of rows i to i + 3, in its quarter q, unit 4 q + c.
  for (int i = 0; i < 16; i += 4) {
    r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
  for (int c = 0; c < 4; ++c) {
    const __m512i even_low = _mm512_shuffle_i32x4(r[c], r[4 + c], 0x88);  // quarters 0 and 2
    const __m512i even_high = _mm512_shuffle_i32x4(r[8 + c], r[12 + c], 0x88);
    const __m512i odd_low = _mm512_shuffle_i32x4(r[c], r[4 + c], 0xdd);  // quarters 1 and 3
    const __m512i odd_high = _mm512_shuffle_i32x4(r[8 + c], r[12 + c], 0xdd);
    t[c] = _mm512_shuffle_i32x4(even_low, even_high, 0x88);
    t[4 + c] = _mm512_shuffle_i32x4(odd_low, odd_high, 0x88);
    t[8 + c] = _mm512_shuffle_i32x4(even_low, even_high, 0xdd);
    t[12 + c] = _mm512_shuffle_i32x4(odd_low, odd_high, 0xdd);
  }
  for (int u = 0; u < units; ++u) _mm512_mask_storeu_epi32(out + u * step, store, t[u]);
}
#endif

// Packs lanes [begin, begin + Width) of `source` into one panel. `lanes` is their total number.
template <int Width, typename E, typename S>
inline void pack_panel(const PackSource<S>& source, int64_t begin, int64_t lanes, int64_t k,
                       E* out) {
  const int here = static_cast<int>(least<int64_t>(Width, lanes - begin));
  const int64_t units = units_of<E>(k);
#if defined(__AVX512BF16__)
  if constexpr (sizeof(E) == 2 && sizeof(S) == 2) {
    if (!source.depth_contiguous) {
      for (int64_t u = 0; u < units; ++u) {
        for (int lane = 0; lane < Width; lane += 16) {
          const S* low = source.at(begin + lane, 2 * u);
          const S* high = 2 * u + 1 < k ? source.at(begin + lane, 2 * u + 1) : nullptr;
          interleave_pair<Width>(low, high, here > lane ? here - lane : 0,
                                 out + (u * Width + lane) * 2);
        }
      }
      return;
    }
    const int64_t whole = k / 2;
    for (int lane = 0; lane < Width; lane += 16) {
      const int filled = here > lane ? here - lane : 0;
      const auto store =
          static_cast<__mmask16>(Width - lane >= 16 ? 0xffff : (1 << Width % 16) - 1);
      for (int64_t u = 0; u < whole; u += 16) {
        turn_units(source.at(begin + lane, 2 * u), source.stride, filled,
                   static_cast<int>(least<int64_t>(16, whole - u)), store,
                   out + (u * Width + lane) * 2, int64_t{Width} * 2);
      }
    }
    for (int lane = 0; k % 2 != 0 && lane < Width; ++lane) {
      Bf16* to = out + (whole * Width + lane) * 2;
      to[0] = lane < here ? *source.at(begin + lane, k - 1) : Bf16{};
      to[1] = Bf16{};
    }
    return;
  }
#endif
  for (int64_t u = 0; u < units; ++u) {
    for (int pair = 0; pair < kPair<E>; ++pair) {
      const int64_t depth = u * kPair<E> + pair;
      E* to = out + u * Width * kPair<E> + pair;
      for (int lane = 0; lane < Width; ++lane) {
        const bool inside = lane < here && depth < k;
        to[lane * kPair<E>] =
            inside ? from_float<E>(to_float(*source.at(begin + lane, depth))) : E{};
      }
    }
  }
}

// a as the tile reads it: element (row, unit) starts at data + row * row_step + unit * unit_step.
template <typename E>
struct TileRowsView {
  const E* data = nullptr;
  int64_t row_step = 0;
  int64_t unit_step = 0;
};

template <typename E>
inline TileRowsView<E> packed_rows(const E* panel) {
  return {panel, kPair<E>, kTileRows * kPair<E>};
}

template <typename E>
inline TileRowsView<E> plain_rows(const E* rows, int64_t stride) {
  return {rows, stride, kPair<E>};
}

// sums[kTileRows][kTileCols] = a · b over `units`; b is one packed panel.
template <typename E>
inline void multiply_tile(int64_t units, TileRowsView<E> a, const E* b, float* sums) {
#if defined(__AVX512BF16__)
  if constexpr (sizeof(E) == 2) {
    __m512 acc[kTileRows][2];
    for (auto& row : acc) row[0] = row[1] = _mm512_setzero_ps();
    const char* at = reinterpret_cast<const char*>(a.data);
    const int64_t row_bytes = a.row_step * 2;
    const int64_t unit_bytes = a.unit_step * 2;
    for (int64_t u = 0; u < units; ++u) {
      const __m512bh b0 = reinterpret_cast<__m512bh>(_mm512_loadu_si512(b));
      const __m512bh b1 = reinterpret_cast<__m512bh>(_mm512_loadu_si512(b + 32));
#pragma GCC unroll 14
      for (int r = 0; r < kTileRows; ++r) {
        int32_t pair;
        std::memcpy(&pair, at + r * row_bytes, 4);
        const __m512bh value = reinterpret_cast<__m512bh>(_mm512_set1_epi32(pair));
        acc[r][0] = _mm512_dpbf16_ps(acc[r][0], value, b0);
        acc[r][1] = _mm512_dpbf16_ps(acc[r][1], value, b1);
      }
      at += unit_bytes;
      b += 2 * kTileCols;
    }
#pragma GCC unroll 14
    for (int r = 0; r < kTileRows; ++r) {
      _mm512_storeu_ps(sums + r * kTileCols, acc[r][0]);
      _mm512_storeu_ps(sums + r * kTileCols + 16, acc[r][1]);
    }
    return;
  }
#endif
  VecF acc[kTileRows][2] = {};
  const E* at = a.data;
  for (int64_t u = 0; u < units; ++u) {
    VecF b0, b1;
    std::memcpy(&b0, b, sizeof b0);
    std::memcpy(&b1, b + kVectorFloats, sizeof b1);
#pragma GCC unroll 14
    for (int r = 0; r < kTileRows; ++r) {
      const float value = to_float(at[r * a.row_step]);
      acc[r][0] += value * b0;
      acc[r][1] += value * b1;
    }
    at += a.unit_step;
    b += kTileCols;
  }
  std::memcpy(sums, acc, sizeof acc);
}

// Where a tile goes: rows x cols of it, replacing or adding.
struct TileTarget {
  void* c = nullptr;
  int64_t stride = 0;
  int rows = 0;
  int cols = 0;
  bool bf16 = false;
  bool add = false;
};

inline void store_tile(const float* sums, const TileTarget& target) {
  for (int r = 0; r < target.rows; ++r) {
    const float* from = sums + r * kTileCols;
    if (target.bf16) {
      Bf16* to = static_cast<Bf16*>(target.c) + r * target.stride;
      for (int j = 0; j < target.cols; ++j) to[j] = from_float<Bf16>(from[j]);
    } else {
      float* to = static_cast<float*>(target.c) + r * target.stride;
      if (target.add) {
        for (int j = 0; j < target.cols; ++j) to[j] += from[j];
      } else {
        for (int j = 0; j < target.cols; ++j) to[j] = from[j];
      }
    }
  }
}

// c[rows, cols] (+)= a[rows, k] · b for one block in cache, on one thread. a is read as it is
// (row-major, stride) or was packed; where a tile would read beyond it (the last rows, an odd k of
// pairs), its panel is packed into `spare` (packed_elements<E>(kTileRows, kTileRows, k)).
template <typename E>
struct BlockProduct {
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t k = 0;
  const E* a = nullptr;
  int64_t a_stride = 0;
  const E* a_packed = nullptr;  // instead of a
  const E* b_packed = nullptr;
  E* spare = nullptr;
  float* c = nullptr;
  int64_t c_stride = 0;
  bool add = false;
};

template <typename E>
inline void multiply_block(const BlockProduct<E>& p) {
  const int64_t units = units_of<E>(p.k);
  const int64_t panel_a = units * kTileRows * kPair<E>;
  const int64_t panel_b = units * kTileCols * kPair<E>;
  float sums[kTileRows * kTileCols];
  for (int64_t i = 0; i < p.rows; i += kTileRows) {
    const int64_t rows = least<int64_t>(kTileRows, p.rows - i);
    TileRowsView<E> a;
    if (p.a_packed != nullptr) {
      a = packed_rows(p.a_packed + i / kTileRows * panel_a);
    } else if (rows == kTileRows && p.k % kPair<E> == 0) {
      a = plain_rows(p.a + i * p.a_stride, p.a_stride);
    } else {
      pack_panel<kTileRows>(PackSource<E>{p.a, p.a_stride, true}, i, p.rows, p.k, p.spare);
      a = packed_rows<E>(p.spare);
    }
    for (int64_t j = 0; j < p.cols; j += kTileCols) {
      multiply_tile(units, a, p.b_packed + j / kTileCols * panel_b, sums);
      store_tile(sums, {p.c + i * p.c_stride + j, p.c_stride, static_cast<int>(rows),
                        static_cast<int>(least<int64_t>(kTileCols, p.cols - j)), false, p.add});
    }
  }
}

}  // namespace
}  // namespace hearth::backend::cpu
