// Causal attention over a paged KV cache: one ragged batch of prompt chunks and generating
// sequences.
#pragma once

#include <cstdint>
#include <span>

#include "ops/context.h"

namespace hearth::ops {

constexpr int kKvBlockTokens = 16;  // equals engine::kBlockTokens; the runner checks
constexpr int64_t kKvHeadDimMaxI8 = 4096;

// One layer's pages. Keys are stored transposed so that one vector holds a dimension of sixteen
// tokens:
//   keys   [blocks, kv_heads, head_dim, 16]
//   values [blocks, kv_heads, 16, head_dim]
// In 8 bits every head of every token has a scale of its own, so that what a token leaves in the
// cache depends on nothing else. Behind the levels of a page lie the f16 scales of its tokens:
//   keys, values [blocks, kv_heads, (head_dim + 2) * 16]
struct KvPages {
  TensorView keys;    // f32, f16, bf16 or i8
  TensorView values;  // same type
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
};

// Elements of one kv head's page of keys, or of values.
inline int64_t kv_page_elements(DType dtype, int64_t head_dim) {
  const int64_t scales = dtype == DType::kI8 ? static_cast<int64_t>(sizeof(uint16_t)) : 0;
  return (head_dim + scales) * kKvBlockTokens;
}
// Bytes of the keys, or of the values, of `blocks` blocks of a layer.
int64_t kv_bytes(DType dtype, int64_t blocks, int64_t kv_heads, int64_t head_dim);
// Pages over memory of kv_bytes() each.
KvPages kv_pages(void* keys, void* values, DType dtype, int64_t blocks, int64_t kv_heads,
                 int64_t head_dim);

// Rows [row, row + count) of the batch are positions [position, position + count) of a sequence
// whose pages are blocks[0 .. ceil((position + count) / 16)).
struct KvSequence {
  int32_t row = 0;
  int32_t count = 0;
  int32_t position = 0;
  const int32_t* blocks = nullptr;
};

// Writes keys and values [tokens, kv_heads, head_dim] f32 (rows may be strided) of this step into
// their pages.
void kv_store(Context& ctx, TensorView keys, TensorView values,
              std::span<const KvSequence> sequences, const KvPages& pages);

// Copies whole blocks: pages of `from` become those of `to`.
void kv_copy_block(Context& ctx, const KvPages& pages, int32_t from, int32_t to);

struct Attention {
  float scale = 1.0f;    // on q·k, usually 1/sqrt(head_dim)
  int32_t window = 0;    // a position sees itself and window - 1 before it; 0: all
  float softcap = 0.0f;  // scores become softcap * tanh(score / softcap); 0: off (Gemma 2)
};

// q, out [tokens, heads, head_dim] f32; heads is a multiple of pages.kv_heads. kv_store() of the
// same rows ran before.
//
// Batch-invariant: scores and sums are taken in spans of the sequence that are fixed by absolute
// position and merged in order, so a row's result depends neither on chunking, nor on its
// neighbours, nor on threads. Scratch memory does not grow with the number of rows, and with the
// context by one output for every 512 tokens.
void attention(Context& ctx, TensorView q, std::span<const KvSequence> sequences,
               const KvPages& pages, const Attention& attention, TensorView out);

}  // namespace hearth::ops
