// The driver of quantised products: which rows meet which weights on which thread.
//
// A task takes a part of the rows and a panel of outputs. Rows of a single tile meet one block of
// sixteen outputs after the other, as they lie in memory. More meet two blocks at a time, in
// stretches that stay in the first-level cache while all tiles of the part pass by. So weights are
// read from memory once for each part, and a batch of sequences that generate is one part.
#include "backend/cpu/quantized.h"

#include <algorithm>
#include <vector>

#include "backend/cpu/cpu_kernels.h"
#include "backend/cpu/parallel.h"
#include "ops/quantize.h"

namespace hearth::backend::cpu {
namespace {

static_assert(kQuantizedGroup == ops::kQuantGroup && kQuantizedOuts == ops::kQuantOuts);

// Outputs of one call of a tile, where several tiles of rows pass by.
constexpr int64_t kStripOuts = 2 * kQuantizedOuts;
// Weights that a thread takes at a time: at most so many, and of small matrices fewer, so that
// threads end together.
constexpr int64_t kPanelBytes = 64 * 1024;
constexpr int64_t kPanelsPerThread = 16;
// Of a strip of weights: most of a first-level cache of 48 KiB. Where that is smaller they come
// from the second, fast enough for a tile: what is shorter begins and ends too often.
constexpr int64_t kStretchBytes = 32 * 1024;
// What one tile fetches ahead of itself: more than memory takes to answer, and past the end of a
// page, where the processor's own prefetching stops.
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
  std::span<const int64_t> begins;  // the first row of each tile, and the end
  const QuantizedGroup* x;          // packed, tile after tile
  TensorView sums;  // [workers, floats]: those of a part against a strip, between stretches

  int64_t groups() const { return ops::quant_groups(weight.in); }
  int64_t group_bytes() const { return ops::quant_group_bytes(weight.format); }
  int64_t rows() const { return y.rows(); }
  int64_t tiles() const { return std::ssize(begins) - 1; }
  int64_t tile_begin(int64_t i) const { return begins[static_cast<size_t>(i)]; }
  int64_t tile_rows(int64_t i) const { return tile_begin(i + 1) - tile_begin(i); }
  const RunQuantized* runs() const {
    return weight.format == ops::WeightFormat::kQ8 ? tile.q8 : tile.q4;
  }
  QuantizedBlock strip(int64_t out, int64_t outs_most) const {
    const int64_t block = out / kQuantizedOuts;
    QuantizedBlock b;
    b.w = weight.matrix.row<uint8_t>(block);
    b.w_stride = weight.matrix.row_stride;
    b.scales = weight.scales.row<uint16_t>(block);
    b.scales_stride = weight.scales.row_stride;
    b.groups = groups();
    b.outs = std::min(outs_most, weight.out - out);
    b.bias = bias == nullptr ? nullptr : bias + out;
    b.y_stride = y.row_stride;
    return b;
  }
  // Tile i against the groups of a strip that begins with `out`.
  void run_tile(int64_t i, int64_t out, QuantizedBlock& b) const {
    b.x = x + tile_begin(i) * b.groups;
    b.y = y.row<float>(tile_begin(i)) + out;
    runs()[tile_rows(i) - 1](b);
  }
  void end_task() const {
    if (tile.end_task != nullptr) tile.end_task();
  }
  // Parts of the rows, cut between tiles.
  int64_t parts() const {
    const auto row_bytes = groups() * static_cast<int64_t>(sizeof(QuantizedGroup));
    return std::min(tiles(), divide_up(rows() * row_bytes, kPartBytes));
  }
  // Of the sums of all tiles of a part against a strip.
  int64_t sums_size() const { return divide_up(tiles(), parts()) * tile.rows_max * kStripOuts; }
};

std::span<const int64_t> tile_begins(ops::Arena& arena, int64_t rows, int64_t rows_max) {
  const int64_t tiles = divide_up(rows, rows_max);
  auto* begins =
      static_cast<int64_t*>(arena.allocate(static_cast<size_t>(tiles + 1) * sizeof(int64_t)));
  for (int64_t i = 0; i <= tiles; ++i) begins[i] = rows * i / tiles;
  return {begins, static_cast<size_t>(tiles + 1)};
}

void pack_tiles(ops::Context& ctx, const Product& p, const TensorView& x, QuantizedGroup* packed) {
  const int32_t zero = ops::quant_zero(p.weight.format);
  for_rows(ctx, p.tiles(), p.tile.rows_max * p.weight.in, [&](int64_t i) {
    const int64_t from = p.tile_begin(i);
    p.tile.pack_rows(x.row<float>(from), x.row_stride, p.tile_rows(i), p.weight.in, zero,
                     packed + from * p.groups());
  });
}

// One tile against one block: blocks lie one after the other and are read from the first byte to
// the last, as memory likes it best.
void run_alone(const Product& p, int64_t out, int64_t tile) {
  QuantizedBlock b = p.strip(out, kQuantizedOuts);
  b.end = b.groups;
  b.ahead = b.w + kBytesAhead;
  b.ahead_end = p.group_bytes();
  b.scales_ahead = b.scales + kBytesAhead / p.group_bytes() * kQuantizedOuts;
  p.run_tile(tile, out, b);
}

// Several, stretch by stretch: each fetches its share of the next one. Their sums rest close
// together: rows of y may lie at distances at which caches hold few of them.
void run_together(const Product& p, int64_t out, int64_t begin, int64_t end, int worker) {
  QuantizedBlock b = p.strip(out, kStripOuts);
  b.sums_stride = kStripOuts;
  const uint8_t* const weights = b.w;
  const int64_t tiles = end - begin, lines = p.group_bytes() / kLineBytes;
  const int64_t sums_of_tile = p.tile.rows_max * kStripOuts;
  const int64_t spans = divide_up(b.groups, kQuantizedSpan);
  const int64_t stretches =
      std::min(spans, divide_up(2 * b.groups * p.group_bytes(), kStretchBytes));
  for (int64_t stretch = 0; stretch < stretches; ++stretch) {
    b.begin = b.end;
    b.end = std::min(b.groups, spans * (stretch + 1) / stretches * kQuantizedSpan);
    const bool inside = b.end < b.groups;
    b.ahead = inside ? weights + b.end * p.group_bytes() : weights + 2 * b.w_stride;
    b.scales_ahead = inside ? b.scales + b.end * kQuantizedOuts : b.scales + 2 * b.scales_stride;
    b.sums = p.sums.row<float>(worker);
    for (int64_t i = begin; i < end; ++i, b.sums += sums_of_tile) {
      // Where tiles are more than lines, some fetch what one before did: always one is a branch
      // less for the tile to guess.
      const int64_t from = lines * (i - begin) / tiles, to = lines * (i - begin + 1) / tiles;
      b.ahead_begin = from * kLineBytes;
      b.ahead_end = std::max(to, from + 1) * kLineBytes;
      p.run_tile(i, out, b);
    }
  }
}

// How a product is shared out: parts of the rows, and for each all panels of outputs. A part stays
// in a thread's cache while it goes from panel to panel.
struct Tasks {
  int64_t panel;  // outputs
  int64_t panels;
  int64_t parts;

  int64_t count() const { return panels * parts; }
};

Tasks tasks_of(const Product& p, int64_t panel_bytes) {
  const int64_t out_bytes = p.groups() * p.group_bytes() / kQuantizedOuts;
  const int64_t panel = std::max(kStripOuts, panel_bytes / out_bytes / kStripOuts * kStripOuts);
  return {panel, divide_up(p.weight.out, panel), p.parts()};
}

void run_task(const Product& p, const Tasks& tasks, int64_t task, int worker) {
  const int64_t part = task / tasks.panels, begin = task % tasks.panels * tasks.panel;
  const int64_t end = std::min(p.weight.out, begin + tasks.panel);
  const int64_t first = p.tiles() * part / tasks.parts;
  const int64_t last = p.tiles() * (part + 1) / tasks.parts;
  if (last - first == 1) {
    for (int64_t out = begin; out < end; out += kQuantizedOuts) run_alone(p, out, first);
  } else {
    for (int64_t out = begin; out < end; out += kStripOuts) {
      run_together(p, out, first, last, worker);
    }
  }
}

}  // namespace

void quantized_tiled(ops::Context& ctx, TensorView x, std::span<const ops::LinearOutput> outputs) {
  ops::ArenaScope scope(ctx.arena);
  const int64_t groups = ops::quant_groups(outputs.front().weight->in);
  int64_t bytes = 0;
  for (const ops::LinearOutput& each : outputs) bytes += each.weight->bytes();
  const int64_t panel_bytes =
      std::min(kPanelBytes, bytes / (kPanelsPerThread * ctx.workers.count()));
  const QuantizedTile& tile = *cpu_kernels(ctx).quantized;
  const auto begins = tile_begins(ctx.arena, x.rows(), tile.rows_max);
  auto* packed = static_cast<QuantizedGroup*>(ctx.arena.allocate(
      static_cast<size_t>(x.rows() * groups + tile.rows_max) * sizeof(QuantizedGroup)));
  std::vector<Product> products;
  std::vector<Tasks> tasks;
  std::vector<int64_t> counts;
  for (const ops::LinearOutput& each : outputs) {
    products.push_back({tile, *each.weight, each.bias.as<float>(), each.y, begins, packed, {}});
    tasks.push_back(tasks_of(products.back(), panel_bytes));
    counts.push_back(tasks.back().count());
  }
  const TensorView sums =
      ctx.arena.tensor(DType::kF32, {ctx.workers.count(), products.front().sums_size()});
  for (Product& each : products) each.sums = sums;
  pack_tiles(ctx, products.front(), x, packed);
  run_joined(ctx, counts, [&](size_t i, int64_t task, int worker) {
    run_task(products[i], tasks[i], task, worker);
    products[i].end_task();
  });
}

}  // namespace hearth::backend::cpu
