// Attention over one chunk in vectors, for the instruction set of the including file.
//
// Scores: a vector holds one dimension of 16 (or 8) tokens, a query element is broadcast; values: a
// vector holds 16 (or 8) dimensions of one token, a weight is broadcast. Either way R query vectors
// share each loaded vector. R * 4 accumulators of 16 floats (AVX-512) make 24 products for 4 loads
// and 6 broadcasts; R * 2 of 8 floats (AVX2) make 12 for 8.
//
// For a query vector the order of every sum is fixed: scores over dimensions one by one, a chunk's
// weights over tokens one by one. Tokens that it does not see have weight zero, which changes
// nothing; so it does not matter with whom it shares a tile.
#pragma once

#include "backend/cpu/attention_tiles.h"
#include "backend/cpu/simd.h"

#if defined(__AVX2__)

namespace hearth::backend::cpu {
namespace {

constexpr int kBlockTokens = 16;
constexpr int kChunkVectors = kChunkTokens / kLanes;
#if defined(__AVX512F__)
constexpr int kTileVectors = 4;
#else
constexpr int kTileVectors = 2;
#endif

alignas(64) constexpr float kMinusInfinity = -__builtin_inff();

// What the next chunk reads is fetched at the pace at which this one is read: keys during scores,
// values during values, so that memory is never idle.
inline void fetch(const void* page, int64_t offset) {
  __builtin_prefetch(static_cast<const char*>(page) + offset, 0, 2);
}

enum class Fetch { kNothing, kNext };

// The scales of kLanes tokens from token `first` of a page on.
inline F page_scales(const AttentionChunk& a, const void* page, int64_t first) {
  const auto* scales =
      reinterpret_cast<const U16*>(static_cast<const int8_t*>(page) + a.head_dim * kBlockTokens);
  return f16_to_f32(load_u16(scales + first));
}

template <typename Element>
constexpr bool kScaled = sizeof(typename Element::T) == 1;

// scores[r][t] = q[r] · key of token t.
template <typename Element, int kRows, Fetch kFetch>
inline void chunk_scores(const AttentionChunk& a, float (&scores)[kRows][kChunkTokens]) {
  using T = typename Element::T;
  constexpr int kPerBlock = kBlockTokens / kLanes;
  const int64_t vectors = (a.tokens + kLanes - 1) / kLanes;
  for (int64_t first = 0; first < vectors; first += kTileVectors) {
    const T* keys[kTileVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kTileVectors; ++v) {
      const int64_t at = first + v;
      keys[v] = static_cast<const T*>(a.pages.keys[at / kPerBlock]) + at % kPerBlock * kLanes;
    }
    F total[kRows][kTileVectors];
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
      for (int v = 0; v < kTileVectors; ++v) total[r][v] = zero();
    }
    for (int64_t d = 0; d < a.head_dim; ++d) {
      F key[kTileVectors];
#pragma GCC unroll 4
      for (int v = 0; v < kTileVectors; ++v) key[v] = Element::get(keys[v] + d * kBlockTokens);
      if constexpr (kFetch == Fetch::kNext) {
#pragma GCC unroll 4
        for (int v = 0; v < kTileVectors; v += kPerBlock) {
          fetch(a.next->keys[(first + v) / kPerBlock], d * kBlockTokens * int64_t{sizeof(T)});
        }
      }
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        const F q = broadcast(a.q[r * a.stride + d]);
#pragma GCC unroll 4
        for (int v = 0; v < kTileVectors; ++v) total[r][v] = fma(q, key[v], total[r][v]);
      }
    }
    if constexpr (kScaled<Element>) {
#pragma GCC unroll 4
      for (int v = 0; v < kTileVectors; ++v) {
        const int64_t at = first + v;
        const F scale = page_scales(a, a.pages.keys[at / kPerBlock], at % kPerBlock * kLanes);
#pragma GCC unroll 8
        for (int r = 0; r < kRows; ++r) total[r][v] = mul(total[r][v], scale);
      }
    }
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
      for (int v = 0; v < kTileVectors; ++v) {
        store(scores[r] + (first + v) * kLanes, total[r][v]);
      }
    }
  }
}

// Weights take the scales of the values that they meet; those of tokens past the end are not read
// again.
template <int kRows>
inline void scale_weights(const AttentionChunk& a, float (&weights)[kRows][kChunkTokens]) {
  constexpr int kPerBlock = kBlockTokens / kLanes;
  const int64_t vectors = (a.tokens + kLanes - 1) / kLanes;
  for (int64_t v = 0; v < vectors; ++v) {
    const F scale = page_scales(a, a.pages.values[v / kPerBlock], v % kPerBlock * kLanes);
    for (int r = 0; r < kRows; ++r) {
      float* at = weights[r] + v * kLanes;
      store(at, mul(load(at), scale));
    }
  }
}

// Turns scores into weights and updates the state. Returns what the output so far is worth now.
inline float chunk_weights(const AttentionChunk& a, int r, float* scores) {
  SoftmaxState& state = a.state[r];
  const int vectors = (a.tokens + kLanes - 1) / kLanes;
  F highest = broadcast(kMinusInfinity);
  for (int v = 0; v < vectors; ++v) {
    F score = load(scores + v * kLanes);
    if (a.softcap > 0.0f) {
      const F cap = broadcast(a.softcap);
      score = mul(cap, tanh(div(score, cap)));
    }
    const Select seen = lanes_between(a.begin[r] - v * kLanes, a.end[r] - v * kLanes);
    score = choose(seen, score, broadcast(kMinusInfinity));
    store(scores + v * kLanes, score);
    highest = larger(highest, score);
  }
  const float before = state.highest, chunk_highest = greatest(highest);
  const float after = before > chunk_highest ? before : chunk_highest;
  // While nothing was seen, any finite reference gives weights of zero.
  const F reference = broadcast(after == kMinusInfinity ? 0.0f : after);
  F total = zero();
  for (int v = 0; v < vectors; ++v) {
    const F weight = exp(sub(load(scores + v * kLanes), reference));
    store(scores + v * kLanes, weight);
    total = add(total, weight);
  }
  float rest[kLanes];
  store(rest, exp(sub(broadcast(before), reference)));
  state.highest = after;
  state.total = state.total * rest[0] + sum(total);
  return rest[0];
}

// out[r] = out[r] * rest[r] + sum over tokens of weight * value, for kVectors vectors of dimensions
// from d; a partial last vector when `part` is given.
template <typename Element, int kRows, int kVectors, Fetch kFetch, typename... MaybePart>
inline void chunk_values(const AttentionChunk& a, const float (&weights)[kRows][kChunkTokens],
                         const float (&rest)[kRows], int64_t d, MaybePart... part) {
  F out[kRows][kVectors];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      out[r][v] = mul(load(a.out + r * a.stride + d + v * kLanes), broadcast(rest[r]));
    }
  }
  for (int64_t block = 0; block * kBlockTokens < a.tokens; ++block) {
    const auto* page = static_cast<const typename Element::T*>(a.pages.values[block]) + d;
    const int64_t first = block * kBlockTokens;
    const int64_t left = a.tokens - first, count = left < kBlockTokens ? left : kBlockTokens;
    for (int64_t t = 0; t < count; ++t) {
      F value[kVectors];
      if constexpr (kFetch == Fetch::kNext) {
        constexpr int64_t kBytes = kVectors * kLanes * sizeof(typename Element::T);
        const int64_t at = (t * a.head_dim + d) * int64_t{sizeof(typename Element::T)};
        for (int64_t line = 0; line < kBytes; line += 64) fetch(a.next->values[block], at + line);
      }
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) {
        value[v] = Element::get(page + t * a.head_dim + v * kLanes, part...);
      }
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        const F weight = broadcast(weights[r][first + t]);
#pragma GCC unroll 4
        for (int v = 0; v < kVectors; ++v) out[r][v] = fma(weight, value[v], out[r][v]);
      }
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      store(a.out + r * a.stride + d + v * kLanes, out[r][v]);
    }
  }
}

// Scales lie behind the levels of their page.
inline void fetch_scales(const AttentionChunk& a) {
  for (int block = 0; block < kChunkBlocks; ++block) {
    fetch(a.next->keys[block], a.head_dim * kBlockTokens);
    fetch(a.next->values[block], a.head_dim * kBlockTokens);
  }
}

template <typename Element, int kRows, Fetch kFetch>
inline void run_chunk(const AttentionChunk& a) {
  alignas(64) float scores[kRows][kChunkTokens];
  float rest[kRows];
  if constexpr (kScaled<Element> && kFetch == Fetch::kNext) fetch_scales(a);
  chunk_scores<Element, kRows, kFetch>(a, scores);
  for (int r = 0; r < kRows; ++r) rest[r] = chunk_weights(a, r, scores[r]);
  if constexpr (kScaled<Element>) scale_weights(a, scores);
  int64_t d = 0;
  for (; d + kTileVectors * kLanes <= a.head_dim; d += kTileVectors * kLanes) {
    chunk_values<Element, kRows, kTileVectors, kFetch>(a, scores, rest, d);
  }
  for (; d + kLanes <= a.head_dim; d += kLanes) {
    chunk_values<Element, kRows, 1, kFetch>(a, scores, rest, d);
  }
  if (d < a.head_dim) {
    chunk_values<Element, kRows, 1, kFetch>(a, scores, rest, d, Part(a.head_dim - d));
  }
}

template <typename Element, int kRows>
void attention_chunk(const AttentionChunk& a) {
  if (a.next == nullptr) {
    run_chunk<Element, kRows, Fetch::kNothing>(a);
  } else {
    run_chunk<Element, kRows, Fetch::kNext>(a);
  }
}

void merge_spans(const SoftmaxState& span, const float* span_out, int64_t n, SoftmaxState& state,
                 float* out) {
  if (span.highest == kMinusInfinity) return;
  const float highest = state.highest > span.highest ? state.highest : span.highest;
  const F old_weight = exp(broadcast(state.highest - highest));
  const F new_weight = exp(broadcast(span.highest - highest));
  for (int64_t d = 0; d < n; d += kLanes) {
    store(out + d, fma(load(span_out + d), new_weight, mul(load(out + d), old_weight)));
  }
  float total[kLanes];
  store(total, fma(broadcast(span.total), new_weight, mul(broadcast(state.total), old_weight)));
  state = {highest, total[0]};
}

template <typename Element>
constexpr void set_chunks(void (*(&row)[kAttentionRowsMax])(const AttentionChunk&)) {
  row[0] = attention_chunk<Element, 1>;
  row[1] = attention_chunk<Element, 2>;
  row[2] = attention_chunk<Element, 3>;
  row[3] = attention_chunk<Element, 4>;
  row[4] = attention_chunk<Element, 5>;
  row[5] = attention_chunk<Element, 6>;
}

constexpr AttentionTiles simd_attention(const char* variant) {
  AttentionTiles tiles;
  tiles.variant = variant;
  set_chunks<AsF32>(tiles.f32);
  set_chunks<AsF16>(tiles.f16);
  set_chunks<AsBF16>(tiles.bf16);
  set_chunks<AsI8>(tiles.i8);
  tiles.merge = merge_spans;
  return tiles;
}

}  // namespace
}  // namespace hearth::backend::cpu

#endif
