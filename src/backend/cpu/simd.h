// The vector of the instruction set that this file is compiled for: 16 floats with AVX-512, 8 with
// AVX2, nothing otherwise.
//
// Included only by the files compiled for one instruction set (x_avx2.cpp, x_avx512.cpp). All is in
// an anonymous namespace and those files include nothing else with inline code: two translation
// units must never share a function that was compiled for different machines.
#pragma once

#if defined(__AVX2__)

#include <cstdint>
#include <immintrin.h>

namespace hearth::backend::cpu {
namespace {

using U16 = uint16_t;

#if defined(__AVX512F__)

using F = __m512;
using Select = __mmask16;  // one bit a lane
constexpr int kLanes = 16;

// The first n lanes.
struct Part {
  __mmask16 mask;
  explicit Part(int64_t n) : mask(static_cast<__mmask16>((1u << n) - 1u)) {}
};

inline F zero() { return _mm512_setzero_ps(); }
inline F broadcast(float x) { return _mm512_set1_ps(x); }
inline F load(const float* p) { return _mm512_loadu_ps(p); }
inline F load(const float* p, Part part) { return _mm512_maskz_loadu_ps(part.mask, p); }
inline void store(float* p, F x) { _mm512_storeu_ps(p, x); }
inline void store(float* p, F x, Part part) { _mm512_mask_storeu_ps(p, part.mask, x); }

inline F f16_to_f32(__m256i x) { return _mm512_cvtph_ps(x); }
inline F bf16_to_f32(__m256i x) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16));
}
inline __m256i load_u16(const U16* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}
inline __m256i load_u16(const U16* p, Part part) { return _mm256_maskz_loadu_epi16(part.mask, p); }
inline void store_u16(U16* p, __m256i x) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), x); }
inline void store_u16(U16* p, __m256i x, Part part) { _mm256_mask_storeu_epi16(p, part.mask, x); }
inline __m256i f32_to_f16(F x) { return _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT); }
// Round to nearest even by adding half a unit less the last kept bit; NaN stays NaN.
inline __m256i f32_to_bf16(F x) {
  const __m512i bits = _mm512_castps_si512(x);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
  const __m512i quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x400000));
  const __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
  return _mm512_cvtepi32_epi16(_mm512_srli_epi32(_mm512_mask_mov_epi32(rounded, nan, quiet), 16));
}

inline __m128i load_i8(const int8_t* p) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
}
inline __m128i load_i8(const int8_t* p, Part part) { return _mm_maskz_loadu_epi8(part.mask, p); }
inline F i8_to_f32(__m128i x) { return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(x)); }
// Rounded to nearest even; the caller keeps it within 8 bits.
inline __m128i f32_to_i8(F x) { return _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(x)); }
inline void store_i8(int8_t* p, __m128i x) { _mm_storeu_si128(reinterpret_cast<__m128i*>(p), x); }
inline void store_i8(int8_t* p, __m128i x, Part part) { _mm_mask_storeu_epi8(p, part.mask, x); }

inline F add(F a, F b) { return _mm512_add_ps(a, b); }
inline F sub(F a, F b) { return _mm512_sub_ps(a, b); }
inline F mul(F a, F b) { return _mm512_mul_ps(a, b); }
inline F div(F a, F b) { return _mm512_div_ps(a, b); }
inline F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }    // a * b + c
inline F fnma(F a, F b, F c) { return _mm512_fnmadd_ps(a, b, c); }  // c - a * b
inline F larger(F a, F b) { return _mm512_max_ps(a, b); }           // b when either is NaN
inline F smaller(F a, F b) { return _mm512_min_ps(a, b); }
inline F absolute(F x) { return _mm512_abs_ps(x); }
inline F round(F x) {
  return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
inline F times_power_of_two(F x, F n) { return _mm512_scalef_ps(x, n); }
inline F with_sign_of(F magnitude, F sign) {
  const __m512i bit = _mm512_set1_epi32(INT32_MIN);
  return _mm512_castsi512_ps(_mm512_or_si512(_mm512_castps_si512(magnitude),
                                             _mm512_and_si512(_mm512_castps_si512(sign), bit)));
}
inline Select less(F a, F b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
inline F choose(Select which, F yes, F no) { return _mm512_mask_blend_ps(which, no, yes); }
// Lanes whose number lies in [begin, end).
inline Select lanes_between(int64_t begin, int64_t end) {
  const uint32_t low = begin <= 0 ? 0u : begin >= 16 ? 0xffffu : (1u << begin) - 1u;
  const uint32_t high = end <= 0 ? 0u : end >= 16 ? 0xffffu : (1u << end) - 1u;
  return static_cast<__mmask16>(high & ~low);
}
inline __m256 fold(F x) {
  return _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
}
inline float greatest(F x) { return _mm512_reduce_max_ps(x); }

#else

using F = __m256;
using Select = __m256;  // all bits of a lane
constexpr int kLanes = 8;

alignas(64) constexpr int32_t kOnesThenZeros[16] = {-1, -1, -1, -1, -1, -1, -1, -1};

struct Part {
  __m256i mask;
  int64_t n;
  explicit Part(int64_t count)
      : mask(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(kOnesThenZeros + 8 - count))),
        n(count) {}
};

inline F zero() { return _mm256_setzero_ps(); }
inline F broadcast(float x) { return _mm256_set1_ps(x); }
inline F load(const float* p) { return _mm256_loadu_ps(p); }
inline F load(const float* p, Part part) { return _mm256_maskload_ps(p, part.mask); }
inline void store(float* p, F x) { _mm256_storeu_ps(p, x); }
inline void store(float* p, F x, Part part) { _mm256_maskstore_ps(p, part.mask, x); }

inline F f16_to_f32(__m128i x) { return _mm256_cvtph_ps(x); }
inline F bf16_to_f32(__m128i x) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(x), 16));
}
inline __m128i load_u16(const U16* p) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
}
inline __m128i load_u16(const U16* p, Part part) {
  alignas(16) U16 buffer[8] = {};
  for (int64_t i = 0; i < part.n; ++i) buffer[i] = p[i];
  return _mm_load_si128(reinterpret_cast<const __m128i*>(buffer));
}
inline void store_u16(U16* p, __m128i x) { _mm_storeu_si128(reinterpret_cast<__m128i*>(p), x); }
inline void store_u16(U16* p, __m128i x, Part part) {
  alignas(16) U16 buffer[8];
  _mm_store_si128(reinterpret_cast<__m128i*>(buffer), x);
  for (int64_t i = 0; i < part.n; ++i) p[i] = buffer[i];
}
inline __m128i f32_to_f16(F x) { return _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT); }
inline __m128i f32_to_bf16(F x) {
  const __m256i bits = _mm256_castps_si256(x);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const __m256i rounded = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
  const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
  const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
  const __m256i kept = _mm256_srli_epi32(_mm256_blendv_epi8(rounded, quiet, nan), 16);
  return _mm_packus_epi32(_mm256_castsi256_si128(kept), _mm256_extracti128_si256(kept, 1));
}

inline __m128i load_i8(const int8_t* p) {
  return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
}
inline __m128i load_i8(const int8_t* p, Part part) {
  alignas(16) int8_t buffer[16] = {};
  for (int64_t i = 0; i < part.n; ++i) buffer[i] = p[i];
  return _mm_load_si128(reinterpret_cast<const __m128i*>(buffer));
}
inline F i8_to_f32(__m128i x) { return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(x)); }
inline __m128i f32_to_i8(F x) {
  const __m256i whole = _mm256_cvtps_epi32(x);
  const __m128i words =
      _mm_packs_epi32(_mm256_castsi256_si128(whole), _mm256_extracti128_si256(whole, 1));
  return _mm_packs_epi16(words, words);
}
inline void store_i8(int8_t* p, __m128i x) { _mm_storel_epi64(reinterpret_cast<__m128i*>(p), x); }
inline void store_i8(int8_t* p, __m128i x, Part part) {
  alignas(16) int8_t buffer[16];
  _mm_store_si128(reinterpret_cast<__m128i*>(buffer), x);
  for (int64_t i = 0; i < part.n; ++i) p[i] = buffer[i];
}

inline F add(F a, F b) { return _mm256_add_ps(a, b); }
inline F sub(F a, F b) { return _mm256_sub_ps(a, b); }
inline F mul(F a, F b) { return _mm256_mul_ps(a, b); }
inline F div(F a, F b) { return _mm256_div_ps(a, b); }
inline F fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }    // a * b + c
inline F fnma(F a, F b, F c) { return _mm256_fnmadd_ps(a, b, c); }  // c - a * b
inline F larger(F a, F b) { return _mm256_max_ps(a, b); }           // b when either is NaN
inline F smaller(F a, F b) { return _mm256_min_ps(a, b); }
inline F absolute(F x) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x); }
inline F round(F x) { return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
// In two factors, so that results below the smallest normal number come out right.
inline F times_power_of_two(F x, F n) {
  const __m256i whole = _mm256_cvtps_epi32(n);
  const __m256i half = _mm256_srai_epi32(whole, 1);
  const auto power = [](__m256i e) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(e, _mm256_set1_epi32(127)), 23));
  };
  return _mm256_mul_ps(_mm256_mul_ps(x, power(half)), power(_mm256_sub_epi32(whole, half)));
}
inline F with_sign_of(F magnitude, F sign) {
  return _mm256_or_ps(magnitude, _mm256_and_ps(sign, _mm256_set1_ps(-0.0f)));
}
inline Select less(F a, F b) { return _mm256_cmp_ps(a, b, _CMP_LT_OQ); }
inline F choose(Select which, F yes, F no) { return _mm256_blendv_ps(no, yes, which); }
inline Select lanes_between(int64_t begin, int64_t end) {
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  const auto clamped = [](int64_t x) {
    return _mm256_set1_epi32(static_cast<int32_t>(x < 0 ? 0 : x > 8 ? 8 : x));
  };
  return _mm256_castsi256_ps(_mm256_andnot_si256(_mm256_cmpgt_epi32(clamped(begin), lane),
                                                 _mm256_cmpgt_epi32(clamped(end), lane)));
}
inline __m256 fold(F x) { return x; }
inline float greatest(F x) {
  __m128 m = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  m = _mm_max_ps(m, _mm_movehl_ps(m, m));
  return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
}

#endif

inline __m128 quarter(F x) {
  const __m256 half = fold(x);
  return _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
}

// The sums of the lanes of four vectors. One tree for every sum in this backend: halves onto each
// other down to four lanes, then (0 + 2) + (1 + 3).
inline __m128 sums(F a, F b, F c, F d) {
  const __m128 qa = quarter(a), qb = quarter(b), qc = quarter(c), qd = quarter(d);
  const __m128 ab = _mm_add_ps(_mm_unpacklo_ps(qa, qb), _mm_unpackhi_ps(qa, qb));
  const __m128 cd = _mm_add_ps(_mm_unpacklo_ps(qc, qd), _mm_unpackhi_ps(qc, qd));
  return _mm_add_ps(_mm_movelh_ps(ab, cd), _mm_movehl_ps(cd, ab));
}

inline float sum(F x) {
  const __m128 q = quarter(x);
  const __m128 pairs = _mm_add_ps(q, _mm_movehl_ps(q, q));
  return _mm_cvtss_f32(_mm_add_ss(pairs, _mm_movehdup_ps(pairs)));
}

// Element types in memory.
struct AsF32 {
  using T = float;
  static F get(const T* p) { return load(p); }
  static F get(const T* p, Part part) { return load(p, part); }
  static void put(T* p, F x) { store(p, x); }
  static void put(T* p, F x, Part part) { store(p, x, part); }
};
struct AsF16 {
  using T = U16;
  static F get(const T* p) { return f16_to_f32(load_u16(p)); }
  static F get(const T* p, Part part) { return f16_to_f32(load_u16(p, part)); }
  static void put(T* p, F x) { store_u16(p, f32_to_f16(x)); }
  static void put(T* p, F x, Part part) { store_u16(p, f32_to_f16(x), part); }
};
struct AsBF16 {
  using T = U16;
  static F get(const T* p) { return bf16_to_f32(load_u16(p)); }
  static F get(const T* p, Part part) { return bf16_to_f32(load_u16(p, part)); }
  static void put(T* p, F x) { store_u16(p, f32_to_bf16(x)); }
  static void put(T* p, F x, Part part) { store_u16(p, f32_to_bf16(x), part); }
};

// Levels; whoever reads them has the scales.
struct AsI8 {
  using T = int8_t;
  static F get(const T* p) { return i8_to_f32(load_i8(p)); }
  static F get(const T* p, Part part) { return i8_to_f32(load_i8(p, part)); }
  static void put(T* p, F x) { store_i8(p, f32_to_i8(x)); }
  static void put(T* p, F x, Part part) { store_i8(p, f32_to_i8(x), part); }
};

inline U16 f16_of(float x) {
  return static_cast<U16>(
      _mm_cvtsi128_si32(_mm_cvtps_ph(_mm_set_ss(x), _MM_FROUND_TO_NEAREST_INT)));
}
inline float f16_value(U16 x) { return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(x))); }

// e^x: x = n ln 2 + r with |r| <= ln 2 / 2, a polynomial of degree 7 for e^r (Cephes'
// coefficients), times 2^n. Within 2 units in the last place; 0 for -infinity and below -104.
inline F exp(F x) {
  const F limited = smaller(broadcast(89.0f), larger(broadcast(-110.0f), x));
  const F n = round(mul(limited, broadcast(1.44269504f)));
  const F r = fnma(n, broadcast(-2.12194440e-4f), fnma(n, broadcast(0.693359375f), limited));
  F p = broadcast(1.9875691500e-4f);
  p = fma(p, r, broadcast(1.3981999507e-3f));
  p = fma(p, r, broadcast(8.3334519073e-3f));
  p = fma(p, r, broadcast(4.1665795894e-2f));
  p = fma(p, r, broadcast(1.6666665459e-1f));
  p = fma(p, r, broadcast(5.0000001201e-1f));
  p = fma(p, mul(r, r), add(r, broadcast(1.0f)));
  return times_power_of_two(p, n);
}

// tanh x: an odd polynomial (Cephes) below 0.625, else 1 - 2 / (e^2|x| + 1). Within 3 units in the
// last place.
inline F tanh(F x) {
  const F magnitude = absolute(x);
  const F z = mul(x, x);
  F p = broadcast(-5.70498872745e-3f);
  p = fma(p, z, broadcast(2.06390887954e-2f));
  p = fma(p, z, broadcast(-5.37397155531e-2f));
  p = fma(p, z, broadcast(1.33314422036e-1f));
  p = fma(p, z, broadcast(-3.33332819422e-1f));
  const F near = fma(mul(p, z), x, x);
  const F one = broadcast(1.0f);
  const F far = sub(one, div(broadcast(2.0f), add(exp(add(magnitude, magnitude)), one)));
  return choose(less(magnitude, broadcast(0.625f)), near, with_sign_of(far, x));
}

}  // namespace
}  // namespace hearth::backend::cpu

#endif
