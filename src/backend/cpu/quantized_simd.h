// Tiles of linear() over quantised weights, for the instruction set of the including file.
//
// A vector of weights holds four elements of each of 16 outputs (8 with 256 bits); it meets the
// same four elements of a row of x, repeated in every lane. With 512 bits a tile is 6 rows by 2
// vectors: 12 integer sums and 12 of the span in 32 registers, 12 products for 8 loads; the sums of
// the spans before rest in memory.
#pragma once

#include <cstring>

#include "backend/cpu/quantized_tiles.h"
#include "backend/cpu/simd.h"

#if defined(__AVX2__)

namespace hearth::backend::cpu {
namespace {

#if defined(__AVX512VNNI__)

using I = __m512i;
constexpr int kQuantizedRows = 6;
constexpr int kQuantizedVectors = 2;

inline I load_i(const void* p) { return _mm512_loadu_si512(p); }
inline I repeat(int32_t x) { return _mm512_set1_epi32(x); }
inline I low_half(I x) { return _mm512_and_si512(x, _mm512_set1_epi8(15)); }
inline I high_half(I x) { return low_half(_mm512_srli_epi16(x, 4)); }
inline F to_float(I x) { return _mm512_cvtepi32_ps(x); }
inline I to_int(F x) { return _mm512_cvtps_epi32(x); }
inline I greater(I a, I b) { return _mm512_max_epi32(a, b); }
inline I bits(F x) { return _mm512_castps_si512(x); }
inline int32_t greatest_i(I x) { return _mm512_reduce_max_epi32(x); }
inline I add_i(I a, I b) { return _mm512_add_epi32(a, b); }
inline int32_t sum_i(I x) { return _mm512_reduce_add_epi32(x); }
inline void store_i8(int8_t* p, I x) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtsepi32_epi8(x));
}

#else

using I = __m256i;
constexpr int kQuantizedRows = 3;
constexpr int kQuantizedVectors = 2;

inline I load_i(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
inline I repeat(int32_t x) { return _mm256_set1_epi32(x); }
inline I low_half(I x) { return _mm256_and_si256(x, _mm256_set1_epi8(15)); }
inline I high_half(I x) { return low_half(_mm256_srli_epi16(x, 4)); }
inline F to_float(I x) { return _mm256_cvtepi32_ps(x); }
inline I to_int(F x) { return _mm256_cvtps_epi32(x); }
inline I greater(I a, I b) { return _mm256_max_epi32(a, b); }
inline I bits(F x) { return _mm256_castps_si256(x); }
inline __m128i halves(__m128i x) { return _mm_shuffle_epi32(x, 0x4e); }
inline __m128i pairs(__m128i x) { return _mm_shuffle_epi32(x, 0xb1); }
inline int32_t greatest_i(I x) {
  __m128i m = _mm_max_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
  m = _mm_max_epi32(m, halves(m));
  return _mm_cvtsi128_si32(_mm_max_epi32(m, pairs(m)));
}
inline I add_i(I a, I b) { return _mm256_add_epi32(a, b); }
inline int32_t sum_i(I x) {
  __m128i s = _mm_add_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
  s = _mm_add_epi32(s, halves(s));
  return _mm_cvtsi128_si32(_mm_add_epi32(s, pairs(s)));
}
inline void store_i8(int8_t* p, I x) {
  const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packs_epi16(words, words));
}

#endif

// How unsigned levels of weights meet signed levels of x; four products are added to each lane.
#if defined(__AVX512VNNI__) || defined(__AVXVNNI__)

inline I dot_add(I total, I w, I x) {
#if defined(__AVX512VNNI__)
  return _mm512_dpbusd_epi32(total, w, x);
#else
  return _mm256_dpbusd_avx_epi32(total, w, x);
#endif
}
struct Q8Dot {
  static I start(int32_t offset) { return repeat(offset); }
  static I weights(I levels) { return levels; }
  static I add(I total, I w, I x) { return dot_add(total, w, x); }
};
using Q4Dot = Q8Dot;

#else

// Products of pairs are added in 16 bits, which 4-bit levels never fill.
struct Q4Dot {
  static I start(int32_t offset) { return repeat(offset); }
  static I weights(I levels) { return levels; }
  static I add(I total, I w, I x) {
    const I products = _mm256_maddubs_epi16(w, x);
    return _mm256_add_epi32(total, _mm256_madd_epi16(products, _mm256_set1_epi16(1)));
  }
};
// 8-bit ones would: signs move from the weights to x, and magnitudes up to 128 * 127 * 2 fit.
struct Q8Dot {
  static I start(int32_t) { return _mm256_setzero_si256(); }
  static I weights(I levels) { return _mm256_xor_si256(levels, _mm256_set1_epi8(-128)); }
  static I add(I total, I w, I x) {
    const I products = _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w));
    return _mm256_add_epi32(total, _mm256_madd_epi16(products, _mm256_set1_epi16(1)));
  }
};

#endif

constexpr int64_t kVectorBytes = sizeof(I);
constexpr int64_t kQuadBytes = kQuantizedOuts * 4;  // four elements of a block of outputs
// Vectors that a block of outputs is made of.
constexpr int kBlockVectors = static_cast<int>(kQuadBytes / kVectorBytes);

inline int32_t quad_of(const QuantizedGroup& group, int quad) {
  int32_t x;
  std::memcpy(&x, group.levels + quad * 4, sizeof(x));
  return x;
}

template <typename Dot, int kRows, int kVectors>
inline void add_quad(I (&sum)[kRows][kVectors], const I (&w)[kVectors], const QuantizedGroup* x,
                     int quad) {
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
    const I repeated = repeat(quad_of(x[r], quad));
#pragma GCC unroll 2
    for (int c = 0; c < kVectors; ++c) sum[r][c] = Dot::add(sum[r][c], w[c], repeated);
  }
}

struct Q8 {
  using Dot = Q8Dot;
  static constexpr int64_t kSpan = kQ8Span;
  static constexpr int64_t kBytes = 8 * kQuadBytes;  // of a group of a block
  template <int kRows, int kVectors>
  static void add_group(I (&sum)[kRows][kVectors], const uint8_t* const (&w)[kVectors],
                        const QuantizedGroup* x) {
#pragma GCC unroll 8
    for (int quad = 0; quad < 8; ++quad) {
      I levels[kVectors];
#pragma GCC unroll 2
      for (int c = 0; c < kVectors; ++c) {
        levels[c] = Dot::weights(load_i(w[c] + quad * kQuadBytes));
      }
      add_quad<Dot>(sum, levels, x, quad);
    }
  }
};

struct Q4 {
  using Dot = Q4Dot;
  static constexpr int64_t kSpan = kQ4Span;
  static constexpr int64_t kBytes = 4 * kQuadBytes;
  template <int kRows, int kVectors>
  static void add_group(I (&sum)[kRows][kVectors], const uint8_t* const (&w)[kVectors],
                        const QuantizedGroup* x) {
#pragma GCC unroll 4
    for (int pair = 0; pair < 4; ++pair) {
      I even[kVectors], odd[kVectors];
#pragma GCC unroll 2
      for (int c = 0; c < kVectors; ++c) {
        const I both = load_i(w[c] + pair * kQuadBytes);
        even[c] = low_half(both);
        odd[c] = high_half(both);
      }
      add_quad<Dot>(sum, even, x, 2 * pair);
      add_quad<Dot>(sum, odd, x, 2 * pair + 1);
    }
  }
};

// The outputs of vector c of a call that exist.
inline int64_t outs_of(const QuantizedBlock& b, int64_t first) {
  const int64_t left = b.outs - first;
  return left < 0 ? 0 : left > kLanes ? kLanes : left;
}

// kVectors vectors of outputs, from output `first` of the call on.
template <typename Format, int kRows, int kVectors>
inline void quantized_columns(const QuantizedBlock& b, int64_t first) {
  // Blocks of outputs that these are.
  constexpr int kBlocks = kVectors > kBlockVectors ? kVectors / kBlockVectors : 1;
  const uint8_t* ahead = b.ahead + first / kQuantizedOuts * b.w_stride;
  const uint16_t* scales_ahead = b.scales_ahead + first / kQuantizedOuts * b.scales_stride;
  const uint8_t* w[kVectors];
  const U16* scales[kVectors];
  const bool last = b.end == b.groups;
  float* const results = last ? b.y : b.sums;
  const int64_t stride = last ? b.y_stride : b.sums_stride;
  F total[kRows][kVectors];
#pragma GCC unroll 2
  for (int c = 0; c < kVectors; ++c) {
    const int64_t o = first + c * kLanes;
    const int64_t block = o / kQuantizedOuts, lane = o % kQuantizedOuts;
    w[c] = b.w + block * b.w_stride + b.begin * Format::kBytes + lane * 4;
    scales[c] = b.scales + block * b.scales_stride + b.begin * kQuantizedOuts + lane;
    const Part part(outs_of(b, o));
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      total[r][c] = b.begin == 0 ? zero() : load(b.sums + r * b.sums_stride + o, part);
      // A prompt's y lies in memory, and a store would wait for its line.
      __builtin_prefetch(results + r * stride + o, 1);
    }
  }
  const QuantizedGroup* x = b.x + b.begin * kRows;
  const auto fetch_ahead = [&] {
#pragma GCC unroll 2
    for (int block = 0; block < kBlocks; ++block) {
      const uint8_t* const line = ahead + block * b.w_stride;
      int64_t at = b.ahead_begin;
      do __builtin_prefetch(line + at);
      while ((at += 64) < b.ahead_end);
      if (b.ahead_begin == 0) __builtin_prefetch(scales_ahead + block * b.scales_stride);
    }
    ahead += Format::kBytes;
    scales_ahead += kQuantizedOuts;
  };
  const auto add_span = [&](int64_t groups) __attribute__((always_inline)) {
    F part[kRows][kVectors];  // without the scale of x
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
      for (int c = 0; c < kVectors; ++c) part[r][c] = zero();
    }
    for (int64_t g = 0; g < groups; ++g, x += kRows) {
      I sum[kRows][kVectors];
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
        for (int c = 0; c < kVectors; ++c) sum[r][c] = Format::Dot::start(x[r].offset);
      }
      fetch_ahead();
      Format::add_group(sum, w, x);
#pragma GCC unroll 2
      for (int c = 0; c < kVectors; ++c) {
        const F scale = f16_to_f32(load_u16(scales[c]));
        scales[c] += kQuantizedOuts;
        w[c] += Format::kBytes;
#pragma GCC unroll 8
        for (int r = 0; r < kRows; ++r) part[r][c] = fma(to_float(sum[r][c]), scale, part[r][c]);
      }
    }
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const F scale = broadcast(x[r - kRows].scale);
#pragma GCC unroll 2
      for (int c = 0; c < kVectors; ++c) total[r][c] = fma(part[r][c], scale, total[r][c]);
    }
  };
  // Of whole spans the compiler knows the number of groups: worth a tenth to a single row.
  int64_t g = b.begin;
  for (; g + Format::kSpan <= b.end; g += Format::kSpan) add_span(Format::kSpan);
  if (g < b.end) add_span(b.end - g);
#pragma GCC unroll 2
  for (int c = 0; c < kVectors; ++c) {
    const int64_t o = first + c * kLanes;
    const Part part(outs_of(b, o));
    const bool biased = last && b.bias != nullptr;
    const F bias = biased ? load(b.bias + o, part) : zero();
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const F y = biased ? add(total[r][c], bias) : total[r][c];
      store(results + r * stride + o, y, part);
    }
  }
}

template <typename Format, int kRows>
void quantized_block(const QuantizedBlock& b) {
  int64_t o = 0;
  for (; o + kLanes < b.outs; o += kQuantizedVectors * kLanes) {
    quantized_columns<Format, kRows, kQuantizedVectors>(b, o);
  }
  if (o < b.outs) quantized_columns<Format, kRows, 1>(b, o);
}

// The greatest magnitude of a span becomes level 127. Magnitudes are compared as integers, among
// which a NaN is the greatest: it becomes the scale, and so every result.
struct SpanScale {
  float scale;
  F inverse;
};

inline SpanScale span_scale(const float* x, int64_t n) {
  I most = repeat(0);
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) most = greater(most, bits(absolute(load(x + i))));
  if (i < n) most = greater(most, bits(absolute(load(x + i, Part(n - i)))));
  const int32_t most_bits = greatest_i(most);
  float magnitude;
  std::memcpy(&magnitude, &most_bits, sizeof(magnitude));
  const float inverse = magnitude < kQuantizedTiny ? 0.0f : 127.0f / magnitude;
  return {magnitude / 127.0f, broadcast(inverse)};
}

// The first n of x, which may be fewer than a group.
inline void quantize_group(const float* x, int64_t n, SpanScale by, int32_t zero_level,
                           QuantizedGroup& group) {
  I sum = repeat(0);
#pragma GCC unroll 4
  for (int64_t i = 0; i < kQuantizedGroup; i += kLanes) {
    const int64_t left = n - i;
    const F v = left >= kLanes ? load(x + i) : left > 0 ? load(x + i, Part(left)) : zero();
    // The inverse of an infinity or a NaN gives NaNs; levels stay in range all the same.
    const F scaled = smaller(larger(mul(v, by.inverse), broadcast(-127.0f)), broadcast(127.0f));
    const I levels = to_int(scaled);
    store_i8(group.levels + i, levels);
    sum = add_i(sum, levels);
  }
  group.scale = by.scale;
  group.offset = -zero_level * sum_i(sum);
}

void pack_quantized_rows(const float* x, int64_t x_stride, int64_t rows, int64_t in,
                         int32_t zero_level, int64_t span_groups, QuantizedGroup* packed) {
  const int64_t span_size = span_groups * kQuantizedGroup;
  for (int64_t r = 0; r < rows; ++r) {
    const float* const row = x + r * x_stride;
    QuantizedGroup* group = packed + r;
    for (int64_t span = 0; span < in; span += span_size) {
      const int64_t end = span + span_size < in ? span + span_size : in;
      const SpanScale by = span_scale(row + span, end - span);
      for (int64_t i = span; i < end; i += kQuantizedGroup, group += rows) {
        quantize_group(row + i, end - i, by, zero_level, *group);
      }
    }
  }
}

template <typename Format>
struct QuantizedRuns {
#if defined(__AVX512VNNI__)
  static constexpr RunQuantized kAll[kQuantizedRows] = {
      quantized_block<Format, 1>, quantized_block<Format, 2>, quantized_block<Format, 3>,
      quantized_block<Format, 4>, quantized_block<Format, 5>, quantized_block<Format, 6>};
#else
  static constexpr RunQuantized kAll[kQuantizedRows] = {
      quantized_block<Format, 1>, quantized_block<Format, 2>, quantized_block<Format, 3>};
#endif
};

constexpr QuantizedTile quantized_tile(const char* variant) {
  return {variant, kQuantizedRows, pack_quantized_rows, QuantizedRuns<Q8>::kAll,
          QuantizedRuns<Q4>::kAll};
}

}  // namespace
}  // namespace hearth::backend::cpu

#endif
