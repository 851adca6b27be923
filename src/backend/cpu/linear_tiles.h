// The inner functions of linear() that an instruction set brings. Plain pointers only: this header
// is included by files that are compiled for one instruction set.
#pragma once

#include <cstdint>

namespace hearth::backend::cpu {

// y[r][o] = sum over i of x[r][i] * w[o][i], plus bias[o].
//
// For each output the sum has one order: lane l of one accumulator takes the elements i = l, l + L,
// l + 2L, ... (L lanes, or L pairs), then one fixed tree adds the lanes, then the bias. It does not
// depend on `rows` or `outs`.
struct LinearBlock {
  const void* x = nullptr;      // [rows, in] packed as the format wants it
  int64_t x_stride = 0;         // elements
  const void* w = nullptr;      // [outs, in], any alignment
  int64_t w_stride = 0;         // elements
  const float* bias = nullptr;  // [outs] or null
  float* y = nullptr;           // [rows, outs]
  int64_t y_stride = 0;
  int64_t in = 0;
  int64_t outs = 0;
};

// How one combination of weight format and arithmetic is computed.
struct LinearTile {
  const char* variant = nullptr;
  // Rows of x in the type that `run` reads; null: f32 as they are.
  void (*pack)(const float* x, int64_t in, void* packed) = nullptr;
  int64_t rows_max = 0;
  // run[r - 1] computes r rows, 1 <= r <= rows_max.
  void (*const* run)(const LinearBlock&) = nullptr;
  // With more than rows_max rows it pays to widen the weights once and use the tile of f32: the
  // arithmetic is the same.
  enum class ManyRows : uint8_t { kSame, kWidenFirst } many_rows = ManyRows::kSame;
};

struct LinearTiles {
  LinearTile f32;
  LinearTile f16;
  LinearTile bf16;       // inputs in f32
  LinearTile bf16_fast;  // bf16 arithmetic; run is null where there is none
};

// Packed rows of bf16 are padded with zeros to a multiple of this many elements.
constexpr int64_t kPackedRowMultiple = 32;

extern const LinearTiles kLinearAvx2;
extern const LinearTiles kLinearAvx512;
extern const LinearTile kLinearAvx512Bf16;  // for LinearTiles::bf16_fast

}  // namespace hearth::backend::cpu
