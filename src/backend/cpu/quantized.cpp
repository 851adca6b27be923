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
#include "backend/cpu/input_rows.h"
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

// Results of a tile: [rows, outs].
struct Results {
  float* first = nullptr;
  int64_t stride = 0;
};

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
  int64_t span() const { return weight.format == ops::WeightFormat::kQ8 ? kQ8Span : kQ4Span; }
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
    return b;
  }
  // Tile i against the groups of a strip.
  void run_tile(int64_t i, QuantizedBlock& b) const {
    b.x = x + tile_begin(i) * b.groups;
    runs()[tile_rows(i) - 1](b);
  }
  void end_task() const {
    if (tile.end_task != nullptr) tile.end_task();
  }
  Results results(int64_t i, int64_t out) const {
    return {y.row<float>(tile_begin(i)) + out, y.row_stride};
  }
  // Parts of the rows, cut between tiles.
  int64_t parts() const {
    const auto row_bytes = groups() * static_cast<int64_t>(sizeof(QuantizedGroup));
    return std::min(tiles(), divide_up(rows() * row_bytes, kPartBytes));
  }
  // Floats of the sums of a tile against a strip, and of all tiles of a part.
  int64_t sums_of_tile() const { return tile.rows_max * kStripOuts; }
  int64_t sums_size() const { return divide_up(tiles(), parts()) * sums_of_tile(); }
};

std::span<const int64_t> tile_begins(ops::Arena& arena, int64_t rows, int64_t rows_max) {
  const int64_t tiles = divide_up(rows, rows_max);
  auto* begins =
      static_cast<int64_t*>(arena.allocate(static_cast<size_t>(tiles + 1) * sizeof(int64_t)));
  for (int64_t i = 0; i <= tiles; ++i) begins[i] = rows * i / tiles;
  return {begins, static_cast<size_t>(tiles + 1)};
}

void pack_tiles(ops::Context& ctx, const Product& p, const ops::LinearInput& x,
                QuantizedGroup* packed) {
  const int32_t zero = ops::quant_zero(p.weight.format);
  const InputRows input(ctx, x, p.tile.rows_max);
  for_rows_by_worker(ctx, p.tiles(), p.tile.rows_max * p.weight.in, [&](int64_t i, int worker) {
    const int64_t from = p.tile_begin(i);
    const auto [rows, stride] = input.read(from, from + p.tile_rows(i), worker);
    p.tile.pack_rows(rows, stride, p.tile_rows(i), p.weight.in, zero, p.span(),
                     packed + from * p.groups());
  });
}

// One tile against one block: blocks lie one after the other and are read from the first byte to
// the last, as memory likes it best.
void run_alone(const Product& p, int64_t out, int64_t tile, Results results) {
  QuantizedBlock b = p.strip(out, kQuantizedOuts);
  b.end = b.groups;
  b.ahead = b.w + kBytesAhead;
  b.ahead_end = p.group_bytes();
  b.scales_ahead = b.scales + kBytesAhead / p.group_bytes() * kQuantizedOuts;
  b.y = results.first;
  b.y_stride = results.stride;
  p.run_tile(tile, b);
}

// Tiles [begin, end) against the strip of `out`, by a worker. `next`: of the strip that the same
// tiles meet then.
struct Pass {
  int64_t out;
  int64_t begin, end;
  int worker;
  QuantizedBlock next;
};

// Several tiles, stretch by stretch: each fetches its share of the next one. Their sums rest close
// together: rows of y may lie at distances at which caches hold few of them. place(i) says where
// the results of a tile go and is called before them, done(i) after.
template <typename Place, typename Done>
void run_together(const Product& p, const Pass& pass, const Place& place, const Done& done) {
  QuantizedBlock b = p.strip(pass.out, kStripOuts);
  b.sums_stride = kStripOuts;
  const uint8_t* const weights = b.w;
  const int64_t tiles = pass.end - pass.begin, lines = p.group_bytes() / kLineBytes;
  const int64_t spans = divide_up(b.groups, p.span());
  const int64_t stretches =
      std::min(spans, divide_up(2 * b.groups * p.group_bytes(), kStretchBytes));
  for (int64_t stretch = 0; stretch < stretches; ++stretch) {
    b.begin = b.end;
    b.end = std::min(b.groups, spans * (stretch + 1) / stretches * p.span());
    const bool inside = b.end < b.groups;
    b.ahead = inside ? weights + b.end * p.group_bytes() : pass.next.w;
    b.scales_ahead = inside ? b.scales + b.end * kQuantizedOuts : pass.next.scales;
    b.sums = p.sums.row<float>(pass.worker);
    for (int64_t i = pass.begin; i < pass.end; ++i, b.sums += p.sums_of_tile()) {
      // Where tiles are more than lines, some fetch what one before did: always one is a branch
      // less for the tile to guess.
      const int64_t at = i - pass.begin, from = lines * at / tiles, to = lines * (at + 1) / tiles;
      b.ahead_begin = from * kLineBytes;
      b.ahead_end = std::max(to, from + 1) * kLineBytes;
      if (!inside) {
        const Results results = place(i);
        b.y = results.first;
        b.y_stride = results.stride;
      }
      p.run_tile(i, b);
      if (!inside) done(i);
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

// What a task is: tiles [first, last) against outputs [begin, end).
struct Range {
  int64_t first, last;
  int64_t begin, end;
};

Range range_of(const Product& p, const Tasks& tasks, int64_t task) {
  const int64_t part = task / tasks.panels, begin = task % tasks.panels * tasks.panel;
  return {p.tiles() * part / tasks.parts, p.tiles() * (part + 1) / tasks.parts, begin,
          std::min(p.weight.out, begin + tasks.panel)};
}

void run_task(const Product& p, const Range& range, int worker) {
  if (range.last - range.first == 1) {
    for (int64_t out = range.begin; out < range.end; out += kQuantizedOuts) {
      run_alone(p, out, range.first, p.results(range.first, out));
    }
    return;
  }
  for (int64_t out = range.begin; out < range.end; out += kStripOuts) {
    const QuantizedBlock next = p.strip(out + kStripOuts, kStripOuts);
    run_together(
        p, {out, range.first, range.last, worker, next},
        [&](int64_t tile) { return p.results(tile, out); }, [](int64_t) {});
  }
}

// Gate and up of the same outputs, one after the other.
struct Gated {
  const Product& gate;
  const Product& up;
  void (*activate)(const float* gate, const float* up, float* y, int64_t n);
  TensorView results;  // [workers, floats]: of a tile of up, and of all tiles of a part of gate

  // Asks for the lines of y that a tile is to fill, or its stores would wait for them.
  void expect(int64_t tile, int64_t out) const {
    const Results y = gate.results(tile, out);
    for (int64_t r = 0; r < gate.tile_rows(tile); ++r) {
      __builtin_prefetch(y.first + r * y.stride, 1);
      __builtin_prefetch(y.first + r * y.stride + kStripOuts / 2, 1);
    }
  }
  // `outs` of the results of a tile become y.
  void finish(int64_t tile, Results gates, Results ups, int64_t out, int64_t outs) const {
    const Results y = gate.results(tile, out);
    for (int64_t r = 0; r < gate.tile_rows(tile); ++r) {
      activate(gates.first + r * gates.stride, ups.first + r * ups.stride, y.first + r * y.stride,
               outs);
    }
  }
};

// A strip of the gate meets all tiles, and their results rest side by side until up's are there.
void run_gated(const Gated& g, const Range& range, int worker) {
  const int64_t size = g.gate.sums_of_tile();
  float* const all = g.results.row<float>(worker);
  const Results ups{all, kStripOuts};
  const auto gates = [&](int64_t tile) {
    return Results{all + (tile - range.first + 1) * size, kStripOuts};
  };
  for (int64_t out = range.begin; out < range.end; out += kStripOuts) {
    const QuantizedBlock up = g.up.strip(out, kStripOuts);
    run_together(g.gate, {out, range.first, range.last, worker, up}, gates, [](int64_t) {});
    const QuantizedBlock next = g.gate.strip(out + kStripOuts, kStripOuts);
    const auto place = [&](int64_t tile) {
      g.expect(tile, out);
      return ups;
    };
    run_together(g.up, {out, range.first, range.last, worker, next}, place,
                 [&](int64_t tile) { g.finish(tile, gates(tile), ups, out, up.outs); });
  }
}

// What the products of a call have in common: the rows of x, quantised, in tiles.
struct Rows {
  const QuantizedTile& tile;
  std::span<const int64_t> begins;
  QuantizedGroup* packed;
};

Rows rows_for(ops::Context& ctx, int64_t rows, int64_t in) {
  const QuantizedTile& tile = *cpu_kernels(ctx).quantized;
  const int64_t groups = rows * ops::quant_groups(in) + tile.rows_max;
  return {tile, tile_begins(ctx.arena, rows, tile.rows_max),
          static_cast<QuantizedGroup*>(
              ctx.arena.allocate(static_cast<size_t>(groups) * sizeof(QuantizedGroup)))};
}

// Of all weights that a loop reads, those of a task.
int64_t panel_bytes(const ops::Context& ctx, int64_t weight_bytes) {
  return std::min(kPanelBytes, weight_bytes / (kPanelsPerThread * ctx.workers.count()));
}

TensorView by_worker(ops::Context& ctx, int64_t floats) {
  return ctx.arena.tensor(DType::kF32, {ctx.workers.count(), floats});
}

}  // namespace

void quantized_tiled(ops::Context& ctx, const ops::LinearInput& x,
                     std::span<const ops::LinearOutput> outputs) {
  ops::ArenaScope scope(ctx.arena);
  const Rows rows = rows_for(ctx, x.x.rows(), x.x.cols());
  int64_t bytes = 0;
  for (const ops::LinearOutput& each : outputs) bytes += each.weight->bytes();
  std::vector<Product> products;
  std::vector<Tasks> tasks;
  std::vector<int64_t> counts;
  for (const ops::LinearOutput& each : outputs) {
    products.push_back(
        {rows.tile, *each.weight, each.bias.as<float>(), each.y, rows.begins, rows.packed, {}});
    tasks.push_back(tasks_of(products.back(), panel_bytes(ctx, bytes)));
    counts.push_back(tasks.back().count());
  }
  const TensorView sums = by_worker(ctx, products.front().sums_size());
  for (Product& each : products) each.sums = sums;
  pack_tiles(ctx, products.front(), x, rows.packed);
  run_joined(ctx, counts, [&](size_t i, int64_t task, int worker) {
    run_task(products[i], range_of(products[i], tasks[i], task), worker);
    products[i].end_task();
  });
}

void quantized_gated_tiled(ops::Context& ctx, const ops::LinearInput& x,
                           const ops::GatedLinear& gated, TensorView y) {
  ops::ArenaScope scope(ctx.arena);
  const Rows rows = rows_for(ctx, x.x.rows(), x.x.cols());
  Product gate{rows.tile,   *gated.gate, gated.gate_bias.as<float>(), y, rows.begins,
               rows.packed, {}};
  gate.sums = by_worker(ctx, gate.sums_size());
  const Product up{rows.tile,   *gated.up, gated.up_bias.as<float>(), y, rows.begins,
                   rows.packed, gate.sums};
  const Tasks tasks = tasks_of(gate, panel_bytes(ctx, gated.gate->bytes() + gated.up->bytes()) / 2);
  const auto activation = static_cast<size_t>(gated.activation);
  const Gated both{gate, up, cpu_kernels(ctx).rows->gated[activation],
                   by_worker(ctx, gate.sums_of_tile() + gate.sums_size())};
  pack_tiles(ctx, gate, x, rows.packed);
  ctx.workers.run(tasks.count(), [&](int64_t task, int worker) {
    run_gated(both, range_of(gate, tasks, task), worker);
    gate.end_task();
  });
}

}  // namespace hearth::backend::cpu
