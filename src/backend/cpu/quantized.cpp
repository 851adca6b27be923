// The driver of quantised products: which rows meet which weights on which thread.
//
// One way from one row to hundreds. A task takes a panel of outputs and a part of the rows; two
// blocks of sixteen outputs at a time, in stretches that stay in the first-level cache while all
// tiles of rows pass by. So weights are read from memory once, whatever the number of rows.
#include "backend/cpu/quantized.h"

#include <algorithm>
#include <vector>

#include "backend/cpu/cpu_kernels.h"
#include "backend/cpu/parallel.h"
#include "ops/quantize.h"

namespace hearth::backend::cpu {
namespace {

static_assert(kQuantizedGroup == ops::kQuantGroup && kQuantizedOuts == ops::kQuantOuts);

// Outputs of one call of a tile.
constexpr int64_t kStripOuts = 2 * kQuantizedOuts;
// Weights that a thread takes at a time: at most so many, and of small matrices fewer, so that
// threads end together.
constexpr int64_t kPanelBytes = 128 * 1024;
constexpr int64_t kPanelsPerThread = 8;
// Of a strip of weights: half of a first-level cache of 32 KiB.
constexpr int64_t kStretchBytes = 16 * 1024;
// What one tile fetches ahead of itself, of each of its two blocks: more than memory takes to
// answer, and past the end of a page, where the processor's own prefetching stops.
constexpr int64_t kBytesAhead = 4096;
constexpr int64_t kLineBytes = 64;
// Rows that one task computes: their levels stay in the second-level cache.
constexpr int64_t kPartBytes = 512 * 1024;

// One call: the operands, and the rows cut into tiles of nearly equal height.
struct Product {
  const QuantizedTile& tile;
  const ops::Weight& weight;
  const float* bias;  // or null
  const TensorView& y;
  const QuantizedGroup* x;  // packed, tile after tile

  int64_t groups() const { return ops::quant_groups(weight.in); }
  int64_t group_bytes() const { return ops::quant_group_bytes(weight.format); }
  int64_t rows() const { return y.rows(); }
  int64_t tiles() const { return divide_up(rows(), tile.rows_max); }
  int64_t tile_begin(int64_t i) const { return rows() * i / tiles(); }
  int64_t tile_rows(int64_t i) const { return tile_begin(i + 1) - tile_begin(i); }
  const RunQuantized* runs() const {
    return weight.format == ops::WeightFormat::kQ8 ? tile.q8 : tile.q4;
  }
  QuantizedBlock strip(int64_t out) const {
    const int64_t block = out / kQuantizedOuts;
    QuantizedBlock b;
    b.w = weight.matrix.row<uint8_t>(block);
    b.w_stride = weight.matrix.row_stride;
    b.scales = weight.scales.row<uint16_t>(block);
    b.scales_stride = weight.scales.row_stride;
    b.groups = groups();
    b.outs = std::min(kStripOuts, weight.out - out);
    b.bias = bias == nullptr ? nullptr : bias + out;
    b.y_stride = y.row_stride;
    return b;
  }
};

void pack_tiles(ops::Context& ctx, const Product& p, const TensorView& x, QuantizedGroup* packed) {
  const int32_t zero = ops::quant_zero(p.weight.format);
  for_rows(ctx, p.tiles(), p.tile.rows_max * p.weight.in, [&](int64_t i) {
    const int64_t from = p.tile_begin(i);
    p.tile.pack_rows(x.row<float>(from), x.row_stride, p.tile_rows(i), p.weight.in, zero,
                     packed + from * p.groups());
  });
}

// Tiles [begin, end) against one strip of outputs. Each tile fetches its share of the weights that
// come next: one tile those a little further on, several the stretch or strip that follows.
void run_strip(const Product& p, int64_t out, int64_t begin, int64_t end) {
  QuantizedBlock b = p.strip(out);
  const uint8_t* const weights = b.w;
  const int64_t tiles = end - begin;
  const int64_t fits = kStretchBytes / (2 * p.group_bytes());
  const int64_t stretch = tiles == 1 ? p.groups() : fits;
  const int64_t lines = p.group_bytes() / kLineBytes;
  for (b.begin = 0; b.begin < p.groups(); b.begin = b.end) {
    b.end = std::min(p.groups(), b.begin + stretch);
    const int64_t next = tiles == 1 ? kBytesAhead / p.group_bytes() : b.end;
    const bool inside = next < p.groups();
    b.ahead = inside ? weights + next * p.group_bytes() : weights + 2 * b.w_stride;
    b.scales_ahead = inside ? b.scales + next * kQuantizedOuts : b.scales + 2 * b.scales_stride;
    for (int64_t i = begin; i < end; ++i) {
      b.x = p.x + p.tile_begin(i) * p.groups();
      b.y = p.y.row<float>(p.tile_begin(i)) + out;
      b.ahead_begin = lines * (i - begin) / tiles * kLineBytes;
      b.ahead_end = lines * (i - begin + 1) / tiles * kLineBytes;
      p.runs()[p.tile_rows(i) - 1](b);
    }
  }
}

// How a product is shared out: panels of outputs, and parts of the rows.
struct Tasks {
  int64_t panel;
  int64_t parts;
  int64_t count;
};

Tasks tasks_of(const Product& p, int64_t panel_bytes) {
  const int64_t out_bytes = p.groups() * p.group_bytes() / kQuantizedOuts;
  const int64_t panel = std::max(kStripOuts, panel_bytes / out_bytes / kStripOuts * kStripOuts);
  const auto row_bytes = p.groups() * static_cast<int64_t>(sizeof(QuantizedGroup));
  const int64_t parts = divide_up(p.rows() * row_bytes, kPartBytes);
  return {panel, parts, divide_up(p.weight.out, panel) * parts};
}

void run_task(const Product& p, const Tasks& tasks, int64_t task) {
  const int64_t begin = task / tasks.parts * tasks.panel, part = task % tasks.parts;
  const int64_t end = std::min(p.weight.out, begin + tasks.panel);
  for (int64_t out = begin; out < end; out += kStripOuts) {
    run_strip(p, out, p.tiles() * part / tasks.parts, p.tiles() * (part + 1) / tasks.parts);
  }
}

}  // namespace

void quantized_tiled(ops::Context& ctx, TensorView x, std::span<const ops::LinearOutput> outputs) {
  ops::ArenaScope scope(ctx.arena);
  const int64_t groups = ops::quant_groups(outputs.front().weight->in);
  auto* packed = static_cast<QuantizedGroup*>(
      ctx.arena.allocate(static_cast<size_t>(x.rows() * groups) * sizeof(QuantizedGroup)));
  int64_t bytes = 0;
  for (const ops::LinearOutput& each : outputs) bytes += each.weight->bytes();
  const int64_t panel_bytes =
      std::min(kPanelBytes, bytes / (kPanelsPerThread * ctx.workers.count()));
  std::vector<Product> products;
  std::vector<Tasks> tasks;
  std::vector<int64_t> counts;
  for (const ops::LinearOutput& each : outputs) {
    products.push_back(
        {*cpu_kernels(ctx).quantized, *each.weight, each.bias.as<float>(), each.y, packed});
    tasks.push_back(tasks_of(products.back(), panel_bytes));
    counts.push_back(tasks.back().count);
  }
  pack_tiles(ctx, products.front(), x, packed);
  run_joined(ctx, counts,
             [&](size_t i, int64_t task, int) { run_task(products[i], tasks[i], task); });
}

}  // namespace hearth::backend::cpu
