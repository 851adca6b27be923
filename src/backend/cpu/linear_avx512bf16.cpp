// bf16 arithmetic: vdpbf16ps multiplies 32 pairs and adds them to 16 f32 lanes.
//
// A tile of 6 rows by 4 outputs: for 32 elements, 10 loads and 24 products, twelve cycles where two
// products a cycle are the limit.
#include "backend/cpu/linear_tiles.h"
#include "backend/cpu/simd.h"

namespace hearth::backend::cpu {
namespace {

constexpr int kTileRows = 6;
constexpr int kTileOuts = 4;
constexpr int64_t kStep = kPackedRowMultiple;

// [in] f32 to bf16, zeros up to a multiple of kStep.
void pack_row(const float* x, int64_t in, void* packed) {
  auto* y = static_cast<U16*>(packed);
  int64_t i = 0;
  for (; i + kLanes <= in; i += kLanes) store_u16(y + i, f32_to_bf16(load(x + i)));
  for (; i % kStep != 0 || i < in; i += kLanes) {
    const int64_t left = in - i;
    const F v = left > 0 ? load(x + i, Part(left)) : zero();
    store_u16(y + i, f32_to_bf16(v));
  }
}

inline __m512bh pairs(const U16* p) { return (__m512bh)_mm512_loadu_si512(p); }
inline __m512bh pairs(const U16* p, __mmask32 mask) {
  return (__m512bh)_mm512_maskz_loadu_epi16(mask, p);
}

template <int kRows, int kOuts>
inline void tile(const LinearBlock& b, int64_t o) {
  const auto* x = static_cast<const U16*>(b.x);
  const auto* w = static_cast<const U16*>(b.w) + o * b.w_stride;
  F total[kRows][kTileOuts];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int c = 0; c < kTileOuts; ++c) total[r][c] = zero();
  }
  const auto step = [&](int64_t i, auto... mask) __attribute__((always_inline)) {
    __m512bh rows[kRows];
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) rows[r] = pairs(x + r * b.x_stride + i);
#pragma GCC unroll 8
    for (int c = 0; c < kOuts; ++c) {
      const __m512bh column = pairs(w + c * b.w_stride + i, mask...);
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        total[r][c] = _mm512_dpbf16_ps(total[r][c], rows[r], column);
      }
    }
  };
  int64_t i = 0;
  for (; i + kStep <= b.in; i += kStep) step(i);
  if (i < b.in) step(i, static_cast<__mmask32>((1u << (b.in - i)) - 1u));
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

template <int kRows>
void block(const LinearBlock& b) {
  int64_t o = 0;
  for (; o + kTileOuts <= b.outs; o += kTileOuts) tile<kRows, kTileOuts>(b, o);
  for (; o < b.outs; ++o) tile<kRows, 1>(b, o);
}

constexpr void (*kRun[kTileRows])(const LinearBlock&) = {block<1>, block<2>, block<3>,
                                                         block<4>, block<5>, block<6>};

}  // namespace

const LinearTile kLinearAvx512Bf16 = {"avx512bf16", pack_row, kTileRows, kRun,
                                      LinearTile::ManyRows::kSame};

}  // namespace hearth::backend::cpu
