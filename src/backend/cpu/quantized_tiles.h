// The inner functions of linear() over quantised weights. Plain pointers only: this header is
// included by files that are compiled for one instruction set.
#pragma once

#include <cstdint>

namespace hearth::backend::cpu {

// As in ops/quantize.h, which files of one instruction set do not include.
constexpr int64_t kQuantizedGroup = 32;
constexpr int64_t kQuantizedOuts = 16;
// Groups of a row of x that share a scale: a span, by the weights that it meets. The last of a row
// may have fewer. Each scale is a product of floats for each sum; but a single large input, as
// models of a billion weights have them, costs all others of its span their last levels. Beside
// what 4 bits lose that is little, beside 8 bits most of the loss (docs/quantisation.md).
constexpr int64_t kQ8Span = 2;
constexpr int64_t kQ4Span = 4;

// A span whose greatest magnitude is below this counts as zero: the inverse of its scale could
// overflow.
constexpr float kQuantizedTiny = 1e-30f;

// A group of a row of x: x[i] = level[i] * scale, levels within ±127; `scale` is that of its span.
// `offset` is minus the sum of the levels times the weights' level of zero: a sum of unsigned
// levels of weights starts from it.
struct QuantizedGroup {
  int8_t levels[kQuantizedGroup];
  float scale;
  int32_t offset;
};

// y[r][o] = sum over spans s, in order, of x scale * sum over the groups of s, in order, of
// w scale * float(levels of x · levels of w), all added with one rounding; then plus bias[o].
// Integers are exact, and no sum crosses lanes: all variants, the reference too, give the same
// bits.
//
// One call adds the groups [begin, end), whole spans, of up to two blocks of sixteen outputs to one
// tile of rows. Between calls the sums rest in `sums`, which may be y.
struct QuantizedBlock {
  const QuantizedGroup* x = nullptr;  // [groups][rows]
  const uint8_t* w = nullptr;         // levels of the first block of outputs
  int64_t w_stride = 0;               // bytes from block to block
  const uint16_t* scales = nullptr;   // f16, of the first block
  int64_t scales_stride = 0;          // elements from block to block
  int64_t begin = 0, end = 0;         // groups; begin is that of a span, and end, or the last
  // To have in the cache soon: of each group, bytes [ahead_begin, ahead_end) of the one that lies
  // as far from `ahead` as it does from `begin`, in each block; at least a line.
  const uint8_t* ahead = nullptr;
  int64_t ahead_begin = 0, ahead_end = 0;
  // The same of scales.
  const uint16_t* scales_ahead = nullptr;
  int64_t groups = 0;           // of a whole row
  int64_t outs = 0;             // 1 to 32
  const float* bias = nullptr;  // [outs] or null
  float* y = nullptr;           // [rows, outs], written with the last group
  int64_t y_stride = 0;
  float* sums = nullptr;  // [rows, outs]
  int64_t sums_stride = 0;
};

using RunQuantized = void (*)(const QuantizedBlock&);

struct QuantizedTile {
  const char* variant = nullptr;
  int64_t rows_max = 0;
  // Rows [rows, in] of x to [in / 32][rows], padded with zeros, for weights with this level of
  // zero and spans of so many groups.
  void (*pack_rows)(const float* x, int64_t x_stride, int64_t rows, int64_t in, int32_t zero,
                    int64_t span, QuantizedGroup* packed) = nullptr;
  // q8[r - 1], q4[r - 1]: r rows.
  const RunQuantized* q8 = nullptr;
  const RunQuantized* q4 = nullptr;
  // What a thread calls when a task is done, or null. Calls may read levels of rows_max rows where
  // a tile has fewer, and use none of them.
  void (*end_task)() = nullptr;
};

extern const QuantizedTile kQuantizedAvx2;
extern const QuantizedTile kQuantizedAvxVnni;
extern const QuantizedTile kQuantizedAvx512Vnni;
extern const QuantizedTile kQuantizedAmx;

}  // namespace hearth::backend::cpu
