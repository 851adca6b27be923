// The driver of lora_add(): who computes which rows of which adapter.
//
// Little work is done where it is. Many small adapters (generation) are shared out one by one, each
// shrunk and expanded by one thread. Few large ones (prompts) are cut: first all shrinks, by rows
// and ranks, then all expands, by rows and outputs. How it is cut changes no bit.
#include "backend/cpu/lora.h"

#include <algorithm>
#include <vector>

#include "backend/cpu/cpu_kernels.h"
#include "backend/cpu/parallel.h"

namespace hearth::backend::cpu {
namespace {

// Products below which waking others costs more than it brings.
constexpr int64_t kAloneMax = 64 * 1024;
// Rows that one task takes: A and B stay in the second-level cache while they pass by.
constexpr int64_t kTaskRows = 24;
constexpr int64_t kTaskRanks = 2 * kLoraRankTile;
constexpr int64_t kTaskOuts = 1024;

size_t format(DType dtype) { return static_cast<size_t>(ops::weight_format(dtype)); }

// Some rows of one adapter and its part in the layer.
struct Unit {
  const ops::LoraPart* part = nullptr;
  const int32_t* rows = nullptr;
  int64_t count = 0;
  float* h = nullptr;  // [count, rank]
};

class Product {
 public:
  Product(ops::Context& ctx, TensorView x, std::span<const ops::LoraGroup> groups, TensorView y)
      : tiles_(*cpu_kernels(ctx).lora), x_(x), y_(y) {
    for (const ops::LoraGroup& group : groups) {
      const int64_t rows = static_cast<int64_t>(group.rows.size());
      for (const ops::LoraPart& part : group.parts) {
        work_ += rows * part.rank * (x.cols() + part.out);
        float* h = ctx.arena.tensor(DType::kF32, {rows, part.rank}).as<float>();
        for (int64_t row = 0; row < rows; row += kTaskRows) {
          units_.push_back({&part, group.rows.data() + row, std::min(kTaskRows, rows - row),
                            h + row * part.rank});
        }
      }
    }
  }

  void run(ops::Context& ctx) {
    const int64_t units = static_cast<int64_t>(units_.size());
    if (work_ <= kAloneMax) {
      for (const Unit& unit : units_) run_whole(unit);
    } else if (units >= 2 * ctx.workers.count()) {
      ctx.workers.run(units, [&](int64_t i, int) { run_whole(units_[static_cast<size_t>(i)]); });
    } else {
      run_cut(ctx);
    }
  }

 private:
  struct Cut {
    const Unit* unit = nullptr;
    int64_t begin = 0;
  };

  void shrink(const Unit& unit, int64_t begin, int64_t end) const {
    const ops::LoraPart& part = *unit.part;
    tiles_.shrink[format(part.dtype)]({part.a + begin, end - begin, x_.as<float>(), x_.row_stride,
                                       unit.rows, unit.count, x_.cols(), part.scale, unit.h + begin,
                                       part.rank});
  }
  void expand(const Unit& unit, int64_t begin, int64_t end) const {
    const ops::LoraPart& part = *unit.part;
    tiles_.expand[format(part.dtype)]({part.b, part.rank, unit.h, part.rank, unit.rows, unit.count,
                                       begin, end, part.gain, part.shift,
                                       y_.as<float>() + part.out_begin, y_.row_stride});
  }
  void run_whole(const Unit& unit) const {
    shrink(unit, 0, unit.part->rank);
    expand(unit, 0, unit.part->out);
  }

  void run_cut(ops::Context& ctx) const {
    std::vector<Cut> shrinks, expands;
    for (const Unit& unit : units_) {
      for (int64_t k = 0; k < unit.part->rank; k += kTaskRanks) shrinks.push_back({&unit, k});
      for (int64_t o = 0; o < unit.part->out; o += kTaskOuts) expands.push_back({&unit, o});
    }
    ctx.workers.run(std::ssize(shrinks), [&](int64_t i, int) {
      const Cut& cut = shrinks[static_cast<size_t>(i)];
      shrink(*cut.unit, cut.begin, std::min<int64_t>(cut.unit->part->rank, cut.begin + kTaskRanks));
    });
    ctx.workers.run(std::ssize(expands), [&](int64_t i, int) {
      const Cut& cut = expands[static_cast<size_t>(i)];
      expand(*cut.unit, cut.begin, std::min(cut.unit->part->out, cut.begin + kTaskOuts));
    });
  }

  const LoraTiles& tiles_;
  const TensorView x_;
  const TensorView y_;
  std::vector<Unit> units_;
  int64_t work_ = 0;
};

}  // namespace

void lora_tiled(ops::Context& ctx, TensorView x, std::span<const ops::LoraGroup> groups,
                TensorView y) {
  const ops::ArenaScope scope(ctx.arena);
  Product(ctx, x, groups, y).run(ctx);
}

}  // namespace hearth::backend::cpu
