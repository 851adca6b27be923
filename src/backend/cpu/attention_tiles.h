// The inner functions of attention() that an instruction set brings. Plain pointers only: this
// header is included by files that are compiled for one instruction set.
#pragma once

#include <cstdint>

namespace hearth::backend::cpu {

// A sequence is cut at absolute positions, whatever is computed in a step:
//
//   span   512 tokens: softmax starts afresh; spans are merged in order
//   chunk   64 tokens: one update of the running maximum, sum and output of a span
//   block   16 tokens: a page of the KV cache
constexpr int64_t kSpanTokens = 512;
constexpr int64_t kChunkTokens = 64;
constexpr int64_t kChunkBlocks = kChunkTokens / 16;
constexpr int64_t kAttentionRowsMax = 6;

// The softmax of a query vector so far: sum of e^(score - highest), and the values so weighted.
struct SoftmaxState {
  float highest;
  float total;
};

// The pages of one kv head in a chunk; in 8 bits 16 scales stand behind each.
struct ChunkPages {
  const void* keys[kChunkBlocks];    // [head_dim, 16]
  const void* values[kChunkBlocks];  // [16, head_dim]
};

// Some query vectors of one kv head against one chunk.
struct AttentionChunk {
  const float* q = nullptr;       // [rows, stride], times the scale of scores
  float* out = nullptr;           // [rows, stride], not divided by the total yet
  SoftmaxState* state = nullptr;  // [rows]
  int64_t stride = 0;             // head_dim, rounded up to 16
  int64_t head_dim = 0;
  ChunkPages pages;
  // Pages to have in the cache soon, or null: they lie anywhere, no processor guesses where.
  const ChunkPages* next = nullptr;
  // Vector r sees tokens [begin[r], end[r]) of the chunk, perhaps none.
  int32_t begin[kAttentionRowsMax] = {};
  int32_t end[kAttentionRowsMax] = {};
  int32_t tokens = 0;    // greatest end; nothing is read past it but whole keys of its page
  float softcap = 0.0f;  // 0: off
};

struct AttentionTiles {
  const char* variant = nullptr;
  // chunk[rows - 1] for each type of pages.
  using Chunk = void (*)(const AttentionChunk&);
  Chunk f32[kAttentionRowsMax] = {};
  Chunk f16[kAttentionRowsMax] = {};
  Chunk bf16[kAttentionRowsMax] = {};
  Chunk i8[kAttentionRowsMax] = {};
  // Adds a later span to the spans before it, n = head_dim rounded up to 16.
  void (*merge)(const SoftmaxState& span, const float* span_out, int64_t n, SoftmaxState& state,
                float* out) = nullptr;
};

extern const AttentionTiles kAttentionAvx2;
extern const AttentionTiles kAttentionAvx512;

}  // namespace hearth::backend::cpu
