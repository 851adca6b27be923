// The inner functions of linear() that an instruction set brings. Plain pointers only: this header
// is included by files that are compiled for one instruction set.
#pragma once

#include <cstdint>

namespace hearth::backend::cpu {

// Outputs of a tile of vectors, and outputs of one call at most.
constexpr int64_t kLinearTileOuts = 4;
constexpr int64_t kLinearOutsMax = 64;
// Packed rows are padded with zeros to a multiple of this many elements.
constexpr int64_t kPackedMultiple = 32;

// y[r][o] = sum over i of x[r][i] * w[o][i], plus bias[o], for the rows of one tile.
//
// For each output the sum has one order: lane l of one accumulator takes the elements i = l, l + L,
// l + 2L, ... (L lanes, or L pairs), then one fixed tree adds the lanes, then the bias. It does not
// depend on the number of rows or outputs, nor on how x and w are laid out.
//
// Packed means that what a step of the inner loop reads lies side by side, zeros at the end:
//
//   rows of x:    [in / step][rows][step]
//   weights:      [outs / 4][in / step][4][step]
//
// With AMX the order and the layouts are others: see linear_amx.cpp.
struct LinearBlock {
  const void* x = nullptr;      // packed
  const void* w = nullptr;      // packed; or [outs, in] as it is in the file, at any alignment
  int64_t w_stride = 0;         // elements from output to output; packed: of `in`, padded
  const float* bias = nullptr;  // [outs] or null
  float* y = nullptr;           // [rows, outs]
  int64_t y_stride = 0;
  int64_t in = 0;
  int64_t outs = 0;
  const void* ahead = nullptr;  // memory to have in the cache soon
};

using RunLinear = void (*)(const LinearBlock&);

// How one combination of weight format and arithmetic is computed.
struct LinearTile {
  const char* variant = nullptr;
  int64_t rows_max = 0;
  int64_t packed_bytes = 0;  // of an element of packed x or w
  void (*pack_rows)(const float* x, int64_t x_stride, int64_t rows, int64_t in,
                    void* packed) = nullptr;
  void (*pack_weights)(const void* w, int64_t w_stride, int64_t outs, int64_t in,
                       void* packed) = nullptr;
  // direct[r - 1] computes r rows with weights as they are in the file.
  const RunLinear* direct = nullptr;
  // packed[a][r - 1] computes r rows with packed weights and fetches `a` cache lines of
  // LinearBlock::ahead in each step.
  // Null beyond [0]: packed weights are fetched by packing, whole panels of them.
  const RunLinear* packed[3] = {};
  int64_t outs = kLinearTileOuts;  // outputs that it takes at a time: packed weights are padded to
  int64_t bytes_beyond = 0;        // that calls may read after packed rows, and use none of
  void (*end_task)() = nullptr;    // what a thread calls when a task is done
};

struct LinearTiles {
  LinearTile f32;
  LinearTile f16;
  LinearTile bf16;       // inputs in f32
  LinearTile bf16_fast;  // bf16 arithmetic; rows_max is 0 where there is none
};

extern const LinearTiles kLinearAvx2;
extern const LinearTiles kLinearAvx512;
extern const LinearTile kLinearAvx512Bf16;  // for LinearTiles::bf16_fast
extern const LinearTile kLinearAmx;         // likewise

}  // namespace hearth::backend::cpu
