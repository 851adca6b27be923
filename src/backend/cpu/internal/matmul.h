// Matrix products of training: operands are packed once, then tasks own blocks of c.
#pragma once

#include "backend/cpu/internal/gemm_tile.h"
#include "ops/matmul.h"

namespace hearth::backend::cpu {
namespace {

constexpr int64_t kBlockRows = 4 * kTileRows;  // of c for one task
constexpr int64_t kBlockCols = 16 * kTileCols;
constexpr int64_t kBlockDepth = 512;  // of k: a panel of b (32 KiB in bf16) stays in L1
constexpr int64_t kPanelsPerTask = 4;

template <int Width, typename E, typename S>
void pack_all(ops::TrainContext& ctx, const PackSource<S>& source, int64_t lanes, int64_t k,
              E* out) {
  const int64_t panel = units_of<E>(k) * Width * kPair<E>;
  const int64_t panels = panels_of(lanes, Width);
  ctx.workers.run(panels_of(panels, kPanelsPerTask), [&](int64_t task, int) {
    const int64_t end = least((task + 1) * kPanelsPerTask, panels);
    for (int64_t p = task * kPanelsPerTask; p < end; ++p) {
      pack_panel<Width>(source, p * Width, lanes, k, out + p * panel);
    }
  });
}

template <int Width, typename E>
void pack_operand(ops::TrainContext& ctx, const TensorView& x, bool depth_contiguous, int64_t lanes,
                  int64_t k, E* out) {
  with_element(x.dtype, [&](auto element) {
    using S = decltype(element);
    pack_all<Width>(ctx,
                    PackSource<S>{static_cast<const S*>(x.data), x.row_stride, depth_contiguous},
                    lanes, k, out);
  });
}

// A product whose operands are ready. a is packed, or read in place with its last panel packed.
template <typename E>
struct ReadyProduct {
  int64_t m = 0, n = 0, k = 0;
  const E* a_rows = nullptr;
  int64_t a_stride = 0;
  const E* a_packed = nullptr;  // all panels, or only the last when a_rows is set
  const E* b_packed = nullptr;
};

template <typename E>
TileRowsView<E> tile_rows(const ReadyProduct<E>& p, int64_t row) {
  const int64_t panel = units_of<E>(p.k) * kTileRows * kPair<E>;
  if (p.a_rows == nullptr) return packed_rows(p.a_packed + row / kTileRows * panel);
  if (row + kTileRows > p.m) return packed_rows(p.a_packed);
  return plain_rows(p.a_rows + row * p.a_stride, p.a_stride);
}

// One block of c. Sums over k in spans of kBlockDepth added in order; a bf16 c cannot hold partial
// sums and takes k in one span.
template <typename E>
void multiply_task(const ReadyProduct<E>& p, const ops::Matmul& product, int64_t row_begin,
                   int64_t col_begin) {
  const bool bf16 = product.c.dtype == DType::kBF16;
  const int64_t row_end = least(row_begin + kBlockRows, p.m);
  const int64_t col_end = least(col_begin + kBlockCols, p.n);
  const int64_t units = units_of<E>(p.k);
  const int64_t span = bf16 ? units : kBlockDepth / kPair<E>;
  float sums[kTileRows * kTileCols];
  for (int64_t u = 0; u < units; u += span) {
    const int64_t count = least(span, units - u);
    const bool add = product.store == ops::Store::kAdd || u > 0;
    for (int64_t j = col_begin; j < col_end; j += kTileCols) {
      const E* b = p.b_packed + (j / kTileCols * units + u) * kTileCols * kPair<E>;
      const int cols = static_cast<int>(least<int64_t>(kTileCols, p.n - j));
      for (int64_t i = row_begin; i < row_end; i += kTileRows) {
        TileRowsView<E> a = tile_rows(p, i);
        a.data += u * a.unit_step;
        multiply_tile(count, a, b, sums);
        char* c =
            static_cast<char*>(product.c.data) + (i * product.c.row_stride + j) * (bf16 ? 2 : 4);
        store_tile(sums, {c, product.c.row_stride,
                          static_cast<int>(least<int64_t>(kTileRows, p.m - i)), cols, bf16, add});
      }
    }
  }
}

template <typename E>
void multiply(ops::TrainContext& ctx, const ops::Matmul& product) {
  ReadyProduct<E> p;
  const bool a_transposed = product.transpose_a == ops::Transpose::kYes;
  p.m = product.c.rows();
  p.n = product.c.cols();
  p.k = a_transposed ? product.a.rows() : product.a.cols();
  const bool in_place =
      !a_transposed && dtype_bytes(product.a.dtype) == sizeof(E) && p.k % kPair<E> == 0;
  const int64_t a_elements = packed_elements<E>(in_place ? kTileRows : p.m, kTileRows, p.k);
  const int64_t b_elements = packed_elements<E>(p.n, kTileCols, p.k);
  const int64_t align = 64 / static_cast<int64_t>(sizeof(E));
  const int64_t b_offset = panels_of(a_elements, align) * align;
  E* memory =
      static_cast<E*>(ctx.scratch.reserve(static_cast<size_t>(b_offset + b_elements) * sizeof(E)));
  p.a_packed = memory;
  p.b_packed = memory + b_offset;
  pack_operand<kTileCols>(ctx, product.b, product.transpose_b == ops::Transpose::kYes, p.n, p.k,
                          memory + b_offset);
  if (in_place) {
    p.a_rows = static_cast<const E*>(product.a.data);
    p.a_stride = product.a.row_stride;
    const int64_t tail = p.m / kTileRows * kTileRows;
    if (tail < p.m) {
      pack_panel<kTileRows>(PackSource<E>{p.a_rows, p.a_stride, true}, tail, p.m, p.k, memory);
    }
  } else {
    pack_operand<kTileRows>(ctx, product.a, !a_transposed, p.m, p.k, memory);
  }
  const int64_t row_blocks = panels_of(p.m, kBlockRows);
  const int64_t col_blocks = panels_of(p.n, kBlockCols);
  ctx.workers.run(row_blocks * col_blocks, [&](int64_t task, int) {
    multiply_task(p, product, task % row_blocks * kBlockRows, task / row_blocks * kBlockCols);
  });
}

void matmul(ops::TrainContext& ctx, const ops::Matmul& product) {
  if constexpr (kMultipliesBf16) {
    if (product.a.dtype == DType::kBF16 && product.b.dtype == DType::kBF16) {
      return multiply<Bf16>(ctx, product);
    }
  }
  multiply<float>(ctx, product);
}

}  // namespace
}  // namespace hearth::backend::cpu
