// The driver of linear(): panels of outputs that stay in the second-level cache while rows pass by.
#include "backend/cpu/linear.h"

#include <algorithm>

#include "backend/cpu/cpu_kernels.h"
#include "backend/cpu/parallel.h"

namespace hearth::backend::cpu {
namespace {

// A panel of weights, with the rows that pass by it, is at home in a second-level cache of 512 KiB
// and more; it is also the piece of work that a thread takes at a time.
constexpr int64_t kPanelBytes = 128 * 1024;
constexpr int64_t kPanelOutsMin = 16;
// Rows that one task computes: enough to use a panel well, few enough to share out long prompts.
constexpr int64_t kTaskRows = 384;

const LinearTile& tile_for(const LinearTiles& tiles, const ops::Weight& weight) {
  switch (weight.format) {
    case ops::WeightFormat::kF32:
      return tiles.f32;
    case ops::WeightFormat::kF16:
      return tiles.f16;
    case ops::WeightFormat::kBF16:
      break;
  }
  const bool fast = weight.compute == ops::ComputeType::kAuto && tiles.bf16_fast.run != nullptr;
  return fast ? tiles.bf16_fast : tiles.bf16;
}

// Rows in the type that the tile reads.
struct PackedRows {
  const char* data;
  int64_t stride;  // elements
  int64_t element_bytes;
  const void* row(int64_t i) const { return data + i * stride * element_bytes; }
};

PackedRows pack_rows(ops::Context& ctx, const TensorView& x, const LinearTile& tile) {
  if (tile.pack == nullptr) return {static_cast<const char*>(x.data), x.row_stride, 4};
  const int64_t stride = round_up(x.cols(), kPackedRowMultiple);
  const TensorView packed = ctx.arena.tensor(DType::kBF16, {x.rows(), stride});
  for_rows(ctx, x.rows(), x.cols(),
           [&](int64_t t) { tile.pack(x.row<float>(t), x.cols(), packed.row<uint16_t>(t)); });
  return {static_cast<const char*>(packed.data), stride, 2};
}

// Rows [begin, end) against one panel, in tiles of nearly equal height.
void run_rows(const LinearTile& tile, const PackedRows& x, const TensorView& y, int64_t begin,
              int64_t end, int64_t out, LinearBlock block) {
  const int64_t tiles = divide_up(end - begin, tile.rows_max);
  for (int64_t i = 0; i < tiles; ++i) {
    const int64_t from = begin + (end - begin) * i / tiles;
    const int64_t to = begin + (end - begin) * (i + 1) / tiles;
    block.x = x.row(from);
    block.y = y.row<float>(from) + out;
    tile.run[to - from - 1](block);
  }
}

}  // namespace

void linear_tiled(ops::Context& ctx, TensorView x, const ops::Weight& weight, TensorView bias,
                  TensorView y) {
  ops::ArenaScope scope(ctx.arena);
  const CpuKernels& kernels = cpu_kernels(ctx);
  const LinearTile* tile = &tile_for(kernels.linear_tiles, weight);
  const bool widen =
      tile->many_rows == LinearTile::ManyRows::kWidenFirst && x.rows() > tile->rows_max;
  const auto widen_row = kernels.rows->widen[static_cast<size_t>(weight.format)];
  if (widen) tile = &kernels.linear_tiles.f32;

  const PackedRows packed = pack_rows(ctx, x, *tile);
  const auto weight_bytes = static_cast<int64_t>(dtype_bytes(weight.matrix.dtype));
  const int64_t row_bytes = weight.in * (widen ? 4 : weight_bytes);
  const int64_t panel = std::max(kPanelOutsMin, kPanelBytes / row_bytes / 4 * 4);
  const int64_t panels = divide_up(weight.out, panel);
  const int64_t row_parts = divide_up(x.rows(), kTaskRows);
  const TensorView wide =
      widen ? ctx.arena.tensor(DType::kF32, {ctx.workers.count(), panel * weight.in})
            : TensorView();

  ctx.workers.run(panels * row_parts, [&](int64_t task, int worker) {
    const int64_t out = task / row_parts * panel, part = task % row_parts;
    const int64_t outs = std::min(panel, weight.out - out);
    LinearBlock block;
    block.w = static_cast<const char*>(weight.matrix.data) +
              out * weight.matrix.row_stride * weight_bytes;
    block.w_stride = weight.matrix.row_stride;
    if (widen) {
      float* to = wide.row<float>(worker);
      for (int64_t o = 0; o < outs; ++o) {
        const char* from = static_cast<const char*>(block.w) + o * block.w_stride * weight_bytes;
        widen_row(from, 1.0f, to + o * weight.in, weight.in);
      }
      block.w = to;
      block.w_stride = weight.in;
    }
    block.x_stride = packed.stride;
    block.bias = bias.empty() ? nullptr : bias.as<float>() + out;
    block.y_stride = y.row_stride;
    block.in = weight.in;
    block.outs = outs;
    run_rows(*tile, packed, y, x.rows() * part / row_parts, x.rows() * (part + 1) / row_parts, out,
             block);
  });
}

}  // namespace hearth::backend::cpu
