// One forward pass over a ragged batch: what every block of a model is given.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ops/attention.h"
#include "ops/context.h"

namespace hearth::nn {

// The pages of all layers; the runner owns their memory.
struct KvCache {
  std::vector<ops::KvPages> layers;
};

// What adapters add to a projection: the rows of a batch may belong to different adapters, and the
// implementation knows which. `slot` is Linear::slot.
class LowRank {
 public:
  virtual ~LowRank() = default;
  // Whether add() is to be called for this projection: if not, nobody but the projection needs its
  // x and y.
  virtual bool joins(int32_t slot) const = 0;
  // y += B (A x) for each row that has an adapter on this projection. x [tokens, in], y [tokens,
  // out].
  virtual void add(ops::Context& ctx, int32_t slot, TensorView x, TensorView y) = 0;
};

// Temporaries come from ops.arena, so a tensor that a block returns lives until the caller's
// ArenaScope ends.
struct Pass {
  ops::Context& ops;
  std::span<const int32_t> tokens;     // [rows] token ids
  std::span<const int32_t> positions;  // [rows] position of each row in its sequence
  std::span<const ops::KvSequence> sequences;
  KvCache& kv;
  LowRank* low_rank = nullptr;

  int64_t rows() const { return static_cast<int64_t>(tokens.size()); }
  TensorView temporary(int64_t rows, int64_t cols) const {
    return ops.arena.tensor(DType::kF32, {rows, cols});
  }
};

}  // namespace hearth::nn
