// bf16 arithmetic: vdpbf16ps multiplies 32 pairs and adds them to 16 f32 lanes.
//
// The tile of linear_simd.h: for 32 elements of 6 rows and 4 outputs, 10 loads and 24 products.
#include "backend/cpu/linear_simd.h"

namespace hearth::backend::cpu {
namespace {

struct InBF16 {
  using Packed = U16;
  using W = U16;
  using Vector = __m512bh;
  static constexpr int64_t kStep = 32;
  static Vector packed(const Packed* p) { return (Vector)_mm512_loadu_si512(p); }
  static Vector w(const W* p) { return packed(p); }
  static Vector w(const W* p, int64_t n) {
    return (Vector)_mm512_maskz_loadu_epi16(static_cast<__mmask32>((1u << n) - 1u), p);
  }
  static Vector nothing() { return (Vector)_mm512_setzero_si512(); }
  static void put(Packed* p, Vector v) { _mm512_storeu_si512(p, (__m512i)v); }
  static F multiply_add(F total, Vector a, Vector b) { return _mm512_dpbf16_ps(total, a, b); }
};

void pack_bf16_rows(const float* x, int64_t x_stride, int64_t rows, int64_t in, void* packed) {
  constexpr int64_t kStep = InBF16::kStep;
  auto* y = static_cast<U16*>(packed);
  for (int64_t r = 0; r < rows; ++r) {
    const float* from = x + r * x_stride;
    U16* to = y + r * kStep;
    for (int64_t i = 0; i < in; i += kStep) {
      for (int64_t half = 0; half < kStep; half += kLanes) {
        const int64_t left = in - i - half;
        const F v = left >= kLanes ? load(from + i + half)
                    : left > 0     ? load(from + i + half, Part(left))
                                   : zero();
        store_u16(to + i * rows + half, f32_to_bf16(v));
      }
    }
  }
}

}  // namespace

const LinearTile kLinearAvx512Bf16 = linear_tile<InBF16, InBF16>("avx512bf16", pack_bf16_rows);

}  // namespace hearth::backend::cpu
