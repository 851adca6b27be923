// Embedding look-up for training, and its gradient: rows are added to the rows of the table they
// came from.
#pragma once

#include <cstdint>
#include <span>

#include "ops/matmul.h"
#include "ops/train_context.h"

namespace hearth::ops {

struct EmbedRows {
  std::span<const int32_t> ids;  // [tokens], inside the table
  TensorView table;              // [rows, n] f32 or bf16
  float factor = 1.0f;           // on every element
  TensorView y;                  // [tokens, n] f32
  Store store = Store::kReplace;
};
void embed_rows(TrainContext& ctx, const EmbedRows& args);

struct EmbedBackward {
  std::span<const int32_t> ids;  // [tokens], inside the table
  TensorView dy;                 // [tokens, n] f32
  float factor = 1.0f;           // of the look-up
  TensorView dtable;             // [rows, n] f32, added to in the order of tokens
};
void embed_backward(TrainContext& ctx, const EmbedBackward& args);

}  // namespace hearth::ops
