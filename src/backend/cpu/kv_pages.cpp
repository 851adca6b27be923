// Writing the pages of the KV cache.
#include <algorithm>
#include <cstddef>
#include <cstring>

#include "backend/cpu/attention.h"
#include "backend/cpu/cpu_kernels.h"
#include "backend/cpu/parallel.h"

namespace hearth::backend::cpu {
namespace {

constexpr int64_t kBlock = ops::kKvBlockTokens;
constexpr int64_t kPiece = 256;  // elements of a key converted at a time

// Element d of a key goes to its token's slot of row d of the page.
template <typename T>
void scatter_key(const T* key, int64_t head_dim, int64_t slot, T* page) {
  for (int64_t d = 0; d < head_dim; ++d) page[d * kBlock + slot] = key[d];
}

void store_token(const RowKernels& rows, const float* key, const float* value, int64_t block,
                 int64_t slot, const ops::KvPages& pages) {
  const int64_t head_dim = pages.head_dim;
  const auto bytes = static_cast<int64_t>(dtype_bytes(pages.keys.dtype));
  const auto narrow = rows.narrow[static_cast<size_t>(ops::weight_format(pages.keys.dtype))];
  alignas(64) std::byte converted[kPiece * sizeof(float)];
  for (int64_t h = 0; h < pages.kv_heads; ++h) {
    const int64_t page = (block * pages.kv_heads + h) * head_dim * kBlock;
    narrow(value + h * head_dim,
           static_cast<char*>(pages.values.data) + (page + slot * head_dim) * bytes, head_dim);
    for (int64_t d = 0; d < head_dim; d += kPiece) {
      const int64_t n = std::min(kPiece, head_dim - d);
      narrow(key + h * head_dim + d, converted, n);
      const int64_t to = page + d * kBlock;
      if (bytes == 4) {
        scatter_key(reinterpret_cast<const float*>(converted), n, slot,
                    pages.keys.as<float>() + to);
      } else {
        scatter_key(reinterpret_cast<const uint16_t*>(converted), n, slot,
                    pages.keys.as<uint16_t>() + to);
      }
    }
  }
}

// In 8 bits: levels where the elements would be, and the token's scale behind them.
void store_token_i8(const RowKernels& rows, const float* key, const float* value, int64_t block,
                    int64_t slot, const ops::KvPages& pages) {
  const int64_t head_dim = pages.head_dim;
  const int64_t page = ops::kv_page_elements(DType::kI8, head_dim);
  int8_t levels[ops::kKvHeadDimMaxI8];
  for (int64_t h = 0; h < pages.kv_heads; ++h) {
    const int64_t at = (block * pages.kv_heads + h) * page;
    int8_t* keys = pages.keys.as<int8_t>() + at;
    int8_t* values = pages.values.as<int8_t>() + at;
    const auto put_scale = [&](int8_t* to, uint16_t scale) {
      std::memcpy(to + head_dim * kBlock + slot * int64_t{sizeof(scale)}, &scale, sizeof(scale));
    };
    put_scale(values, rows.narrow_i8(value + h * head_dim, values + slot * head_dim, head_dim));
    put_scale(keys, rows.narrow_i8(key + h * head_dim, levels, head_dim));
    scatter_key(levels, head_dim, slot, keys);
  }
}

}  // namespace

void kv_store(ops::Context& ctx, TensorView keys, TensorView values,
              std::span<const ops::KvSequence> sequences, const ops::KvPages& pages) {
  const RowKernels& rows = *cpu_kernels(ctx).rows;
  for (const ops::KvSequence& sequence : sequences) {
    // Eight multiplications' worth of time for each element: the scatter touches many lines.
    for_rows(ctx, sequence.count, keys.cols() * 8, [&](int64_t i) {
      const int64_t position = sequence.position + i;
      const auto store = pages.keys.dtype == DType::kI8 ? store_token_i8 : store_token;
      store(rows, keys.row<float>(sequence.row + i), values.row<float>(sequence.row + i),
            sequence.blocks[position / kBlock], position % kBlock, pages);
    });
  }
}

void kv_copy_block(ops::Context&, const ops::KvPages& pages, int32_t from, int32_t to) {
  const size_t bytes = static_cast<size_t>(pages.keys.cols()) * dtype_bytes(pages.keys.dtype);
  for (const TensorView& part : {pages.keys, pages.values}) {
    auto* data = static_cast<char*>(part.data);
    std::memcpy(data + static_cast<size_t>(to) * bytes, data + static_cast<size_t>(from) * bytes,
                bytes);
  }
}

}  // namespace hearth::backend::cpu
