#include "ops/attention.h"

#include "ops/checks.h"

namespace hearth::ops {
namespace {

void check_heads(const char* name, const TensorView& t, int64_t heads, int64_t head_dim) {
  CHECK(t.dtype == DType::kF32 && t.shape.rank() == 3 && t.row_stride >= t.cols(),
        "{}: expected f32 [tokens, heads, head_dim], came {} {}", name, to_string(t.dtype),
        t.shape.to_string());
  CHECK(t.shape[1] == heads && t.shape[2] == head_dim, "{}: expected [tokens, {}, {}], came {}",
        name, heads, head_dim, t.shape.to_string());
}

Shape page_shape(DType dtype, int64_t blocks, int64_t kv_heads, int64_t rows, int64_t cols) {
  if (dtype == DType::kI8) return {blocks, kv_heads, rows * cols + 2 * kKvBlockTokens};
  return {blocks, kv_heads, rows, cols};
}

bool stores_kv(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16 ||
         dtype == DType::kI8;
}

void check_pages(const KvPages& pages) {
  CHECK(pages.kv_heads > 0 && pages.head_dim > 0, "kv pages of {} heads of {}", pages.kv_heads,
        pages.head_dim);
  CHECK(pages.keys.dtype == pages.values.dtype && stores_kv(pages.keys.dtype),
        "kv pages are f32, f16, bf16 or i8, came {} and {}", to_string(pages.keys.dtype),
        to_string(pages.values.dtype));
  CHECK(pages.keys.dtype != DType::kI8 || pages.head_dim <= kKvHeadDimMaxI8,
        "8-bit kv pages of heads of {}, at most {}", pages.head_dim, kKvHeadDimMaxI8);
  const int64_t blocks = pages.keys.rows();
  const Shape keys =
      page_shape(pages.keys.dtype, blocks, pages.kv_heads, pages.head_dim, kKvBlockTokens);
  const Shape values =
      page_shape(pages.keys.dtype, blocks, pages.kv_heads, kKvBlockTokens, pages.head_dim);
  CHECK(pages.keys.shape == keys && pages.keys.contiguous(), "kv keys: expected {}, came {}",
        keys.to_string(), pages.keys.shape.to_string());
  CHECK(pages.values.shape == values && pages.values.contiguous(),
        "kv values: expected {}, came {}", values.to_string(), pages.values.shape.to_string());
}

void check_sequences(std::span<const KvSequence> sequences, int64_t rows, int64_t blocks) {
  for (const KvSequence& s : sequences) {
    CHECK(s.row >= 0 && s.count >= 0 && s.position >= 0 && s.row + s.count <= rows,
          "rows [{}, {} + {}) of {} at position {}", s.row, s.row, s.count, rows, s.position);
    const int32_t last = (s.position + s.count + kKvBlockTokens - 1) / kKvBlockTokens;
    CHECK(s.blocks != nullptr || s.count == 0, "a sequence without blocks");
    for (int32_t i = 0; s.count > 0 && i < last; ++i) {
      DCHECK(s.blocks[i] >= 0 && s.blocks[i] < blocks, "block {} of {}", s.blocks[i], blocks);
    }
  }
  static_cast<void>(blocks);
}

}  // namespace

int64_t kv_bytes(DType dtype, int64_t blocks, int64_t kv_heads, int64_t head_dim) {
  return blocks * kv_heads * kv_page_elements(dtype, head_dim) *
         static_cast<int64_t>(dtype_bytes(dtype));
}

KvPages kv_pages(void* keys, void* values, DType dtype, int64_t blocks, int64_t kv_heads,
                 int64_t head_dim) {
  return {{keys, dtype, page_shape(dtype, blocks, kv_heads, head_dim, kKvBlockTokens)},
          {values, dtype, page_shape(dtype, blocks, kv_heads, kKvBlockTokens, head_dim)},
          kv_heads,
          head_dim};
}

void kv_store(Context& ctx, TensorView keys, TensorView values,
              std::span<const KvSequence> sequences, const KvPages& pages) {
  check_pages(pages);
  check_heads("kv_store keys", keys, pages.kv_heads, pages.head_dim);
  check_heads("kv_store values", values, pages.kv_heads, pages.head_dim);
  CHECK(keys.rows() == values.rows(), "kv_store: {} keys, {} values", keys.rows(), values.rows());
  check_sequences(sequences, keys.rows(), pages.keys.rows());
  kernel(ctx.kernels.kv_store, "kv_store", ctx.kernels)(ctx, keys, values, sequences, pages);
}

void kv_copy_block(Context& ctx, const KvPages& pages, int32_t from, int32_t to) {
  check_pages(pages);
  const int64_t blocks = pages.keys.rows();
  CHECK(from >= 0 && from < blocks && to >= 0 && to < blocks, "kv_copy_block: {} to {} of {}", from,
        to, blocks);
  if (from == to) return;
  kernel(ctx.kernels.kv_copy_block, "kv_copy_block", ctx.kernels)(ctx, pages, from, to);
}

void attention(Context& ctx, TensorView q, std::span<const KvSequence> sequences,
               const KvPages& pages, const Attention& attention, TensorView out) {
  check_pages(pages);
  CHECK(q.shape.rank() == 3, "attention q: expected [tokens, heads, head_dim], came {}",
        q.shape.to_string());
  const int64_t heads = q.shape[1];
  CHECK(heads > 0 && heads % pages.kv_heads == 0, "{} heads over {} kv heads", heads,
        pages.kv_heads);
  check_heads("attention q", q, heads, pages.head_dim);
  check_heads("attention out", out, heads, pages.head_dim);
  CHECK(out.rows() == q.rows(), "attention: {} rows of q, {} of out", q.rows(), out.rows());
  CHECK(attention.window >= 0 && attention.softcap >= 0.0f, "attention: window {}, softcap {}",
        attention.window, attention.softcap);
  check_sequences(sequences, q.rows(), pages.keys.rows());
  kernel(ctx.kernels.attention, "attention", ctx.kernels)(ctx, q, sequences, pages, attention, out);
}

}  // namespace hearth::ops
