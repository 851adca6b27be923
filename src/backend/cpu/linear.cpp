// The driver of linear(): which rows meet which weights on which thread.
//
// Few rows (generation) read the weights as they are in the file, each once. With more rows than a
// tile has, the weights of a panel are laid out for the tile first (see linear_tiles.h): for tens
// of rows four outputs at a time, while the next four come from memory; for hundreds (prompts) a
// panel that stays in the second-level cache while all rows pass by.
#include "backend/cpu/linear.h"

#include <algorithm>
#include <vector>

#include "backend/cpu/cpu_kernels.h"
#include "backend/cpu/input_rows.h"
#include "backend/cpu/parallel.h"
#include "backend/cpu/quantized.h"

namespace hearth::backend::cpu {
namespace {

// Weights that a thread takes at a time when they are read once: small, to share the work out well.
constexpr int64_t kOnceBytes = 64 * 1024;
// A packed panel: half of a second-level cache of 1 MiB, the rest is for the rows that pass by.
constexpr int64_t kPanelBytes = 384 * 1024;
constexpr int64_t kPanelOutsMin = 16;
// Up to here, packed weights are used once for all rows and four outputs at a time.
constexpr int64_t kFewRows = 48;
// Rows that one task computes: enough to repay packing, few enough to share out long prompts.
constexpr int64_t kTaskRows = 384;

const LinearTile& tile_for(const LinearTiles& tiles, const ops::Weight& weight) {
  switch (weight.format) {
    case ops::WeightFormat::kF32:
      return tiles.f32;
    case ops::WeightFormat::kF16:
      return tiles.f16;
    default:
      break;
  }
  const bool fast = weight.compute == ops::ComputeType::kAuto && tiles.bf16_fast.rows_max > 0;
  return fast ? tiles.bf16_fast : tiles.bf16;
}

// One call: the operands, and the rows cut into tiles of nearly equal height.
struct Product {
  const LinearTile& tile;
  const ops::Weight& weight;
  const float* bias;  // or null
  const TensorView& y;
  int64_t weight_bytes;  // of an element in the file
  int64_t padded;        // weight.in, padded
  const char* x;         // packed, tile after tile

  int64_t rows() const { return y.rows(); }
  int64_t tiles() const { return divide_up(rows(), tile.rows_max); }
  int64_t tile_begin(int64_t i) const { return rows() * i / tiles(); }
  const char* weights_of(int64_t out) const {
    return static_cast<const char*>(weight.matrix.data) +
           out * weight.matrix.row_stride * weight_bytes;
  }
  LinearBlock block(int64_t out, int64_t outs) const {
    LinearBlock b;
    b.bias = bias == nullptr ? nullptr : bias + out;
    b.y_stride = y.row_stride;
    b.in = weight.in;
    b.outs = outs;
    return b;
  }
  void run_tile(const RunLinear* run, int64_t i, int64_t out, LinearBlock& b) const {
    const int64_t from = tile_begin(i);
    b.x = x + from * padded * tile.packed_bytes;
    b.y = y.row<float>(from) + out;
    run[tile_begin(i + 1) - from - 1](b);
  }
  void end_task() const {
    if (tile.end_task != nullptr) tile.end_task();
  }
};

void pack_tiles(ops::Context& ctx, const Product& p, const ops::LinearInput& x, char* packed) {
  const InputRows input(ctx, x, p.tile.rows_max);
  for_rows_by_worker(ctx, p.tiles(), p.tile.rows_max * p.weight.in, [&](int64_t i, int worker) {
    const int64_t from = p.tile_begin(i), to = p.tile_begin(i + 1);
    const auto [rows, stride] = input.read(from, to, worker);
    p.tile.pack_rows(rows, stride, to - from, p.weight.in,
                     packed + from * p.padded * p.tile.packed_bytes);
  });
}

// Products of one x that are alike in all but their weights.
void run_direct(ops::Context& ctx, std::span<const Product> products) {
  const Product& any = products.front();
  const int64_t outs = any.tile.outs;
  const int64_t panel = std::clamp(kOnceBytes / (any.weight.in * any.weight_bytes) / outs * outs,
                                   outs, kLinearOutsMax);
  std::vector<int64_t> tasks;
  for (const Product& p : products) tasks.push_back(divide_up(p.weight.out, panel));
  run_joined(ctx, tasks, [&](size_t loop, int64_t task, int) {
    const Product& p = products[loop];
    const int64_t out = task * panel;
    LinearBlock b = p.block(out, std::min(panel, p.weight.out - out));
    b.w = p.weights_of(out);
    b.w_stride = p.weight.matrix.row_stride;
    p.run_tile(p.tile.direct, 0, out, b);
    p.end_task();
  });
}

// Four outputs against all rows. What follows them in memory is fetched meanwhile, evenly.
void run_strip(const Product& p, int64_t out, char* packed) {
  const int64_t outs = std::min(kLinearTileOuts, p.weight.out - out);
  LinearBlock b = p.block(out, outs);
  p.tile.pack_weights(p.weights_of(out), p.weight.matrix.row_stride, outs, p.weight.in, packed);
  b.w = packed;
  b.w_stride = p.padded;
  const int64_t tiles = p.tiles();
  const bool more = out + 2 * kLinearTileOuts <= p.weight.out;
  const int64_t bytes = kLinearTileOuts * p.weight.matrix.row_stride * p.weight_bytes;
  const int64_t lines = !more ? 0 : tiles >= 2 * kLinearTileOuts ? 1 : 2;
  for (int64_t i = 0; i < tiles; ++i) {
    b.ahead = more ? p.weights_of(out + kLinearTileOuts) + bytes * i / tiles : nullptr;
    p.run_tile(p.tile.packed[lines], i, out, b);
  }
}

void run_strips(ops::Context& ctx, const Product& p) {
  const int64_t panel = std::max(int64_t{4}, kOnceBytes / (p.weight.in * p.weight_bytes) / 4 * 4);
  const TensorView packed = ctx.arena.tensor(
      DType::kU8, {ctx.workers.count(), kLinearTileOuts * p.padded * p.tile.packed_bytes});
  ctx.workers.run(divide_up(p.weight.out, panel), [&](int64_t task, int worker) {
    const int64_t end = std::min(p.weight.out, (task + 1) * panel);
    for (int64_t out = task * panel; out < end; out += kLinearTileOuts) {
      run_strip(p, out, packed.row<char>(worker));
    }
  });
}

void run_panels(ops::Context& ctx, const Product& p) {
  const int64_t outs = p.tile.outs;
  const int64_t panel = std::clamp(kPanelBytes / (p.padded * p.tile.packed_bytes) / outs * outs,
                                   kPanelOutsMin, kLinearOutsMax);
  const int64_t parts = divide_up(p.rows(), kTaskRows);
  const TensorView packed =
      ctx.arena.tensor(DType::kU8, {ctx.workers.count(), panel * p.padded * p.tile.packed_bytes});
  ctx.workers.run(divide_up(p.weight.out, panel) * parts, [&](int64_t task, int worker) {
    const int64_t out = task / parts * panel, part = task % parts;
    LinearBlock b = p.block(out, std::min(panel, p.weight.out - out));
    b.w = packed.row<char>(worker);
    b.w_stride = p.padded;
    p.tile.pack_weights(p.weights_of(out), p.weight.matrix.row_stride, b.outs, p.weight.in,
                        packed.row<char>(worker));
    const int64_t end = p.tiles() * (part + 1) / parts;
    for (int64_t i = p.tiles() * part / parts; i < end; ++i) {
      p.run_tile(p.tile.packed[0], i, out, b);
    }
    p.end_task();
  });
}

Product product_of(const LinearTile& tile, const ops::LinearOutput& output, int64_t padded,
                   const char* packed) {
  const ops::Weight& weight = *output.weight;
  return {tile,
          weight,
          output.bias.as<float>(),
          output.y,
          static_cast<int64_t>(dtype_bytes(weight.matrix.dtype)),
          padded,
          packed};
}

// The tile by which all are computed; null: they differ.
const LinearTile* common_tile(const LinearTiles& tiles,
                              std::span<const ops::LinearOutput> outputs) {
  const LinearTile* tile = nullptr;
  for (const ops::LinearOutput& each : outputs) {
    if (ops::quantized(each.weight->format)) return nullptr;
    const LinearTile* its = &tile_for(tiles, *each.weight);
    if (tile != nullptr && its != tile) return nullptr;
    tile = its;
  }
  return tile;
}

void run_alike(ops::Context& ctx, const LinearTile& tile, const ops::LinearInput& x,
               std::span<const ops::LinearOutput> outputs) {
  ops::ArenaScope scope(ctx.arena);
  const int64_t rows = x.x.rows();
  const int64_t padded = round_up(outputs.front().weight->in, kPackedMultiple);
  auto* packed = static_cast<char*>(ctx.arena.allocate(
      static_cast<size_t>(rows * padded * tile.packed_bytes + tile.bytes_beyond)));
  std::vector<Product> products;
  for (const ops::LinearOutput& each : outputs) {
    products.push_back(product_of(tile, each, padded, packed));
  }
  pack_tiles(ctx, products.front(), x, packed);
  if (rows <= tile.rows_max) return run_direct(ctx, products);
  const bool few = rows <= kFewRows && tile.packed[1] != nullptr;
  for (const Product& each : products) few ? run_strips(ctx, each) : run_panels(ctx, each);
}

bool all_quantized_alike(std::span<const ops::LinearOutput> outputs) {
  const ops::WeightFormat format = outputs.front().weight->format;
  return ops::quantized(format) &&
         std::all_of(outputs.begin(), outputs.end(),
                     [&](const ops::LinearOutput& each) { return each.weight->format == format; });
}

}  // namespace

void linear_tiled(ops::Context& ctx, const ops::LinearInput& x, const ops::Weight& weight,
                  TensorView bias, TensorView y) {
  const ops::LinearOutput output{&weight, bias, y};
  linear_group_tiled(ctx, x, {&output, 1});
}

void linear_group_tiled(ops::Context& ctx, const ops::LinearInput& x,
                        std::span<const ops::LinearOutput> outputs) {
  if (all_quantized_alike(outputs)) return quantized_tiled(ctx, x, outputs);
  const LinearTile* tile = common_tile(cpu_kernels(ctx).linear_tiles, outputs);
  if (tile != nullptr) return run_alike(ctx, *tile, x, outputs);
  ops::ArenaScope scope(ctx.arena);
  const TensorView rows = ops::normed(ctx, x);
  for (const ops::LinearOutput& each : outputs) {
    linear_tiled(ctx, rows, *each.weight, each.bias, each.y);
  }
}

// A single tile reads each matrix from the first byte to the last, which is worth more than results
// that stay in a cache: they do so anyway.
void gated_linear_tiled(ops::Context& ctx, const ops::LinearInput& x, const ops::GatedLinear& gated,
                        TensorView y) {
  const ops::WeightFormat format = gated.gate->format;
  if (ops::quantized(format) && gated.up->format == format &&
      y.rows() > cpu_kernels(ctx).quantized->rows_max) {
    return quantized_gated_tiled(ctx, x, gated, y);
  }
  gated_linear_apart(ctx, x, gated, y);
}

}  // namespace hearth::backend::cpu
