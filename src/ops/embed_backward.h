// Embedding look-up for training, and its gradient: rows are added to the rows of the table they
// came from.
#pragma once

#include <cstdint>
#include <span>

#include "ops/train_context.h"

namespace hearth::ops {

// y[t] = table[ids[t]]; table [vocab, n] f32, y [tokens, n] f32.
void embed_rows(TrainContext& ctx, std::span<const int32_t> ids, TensorView table, TensorView y);

struct EmbedBackward {
  std::span<const int32_t> ids;  // [tokens], inside the table
  TensorView dy;                 // [tokens, n] f32
  TensorView dtable;             // [vocab, n] f32, added to in the order of tokens
};
void embed_backward(TrainContext& ctx, const EmbedBackward& args);

}  // namespace hearth::ops
