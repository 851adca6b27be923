// The quantised weight formats: levels of 8 or 4 bits in groups of 32 along `in`, each with one f16
// scale.
//
//   q8   value = (level - 128) * scale, 8.5 bits a weight
//   q4   value = (level - 8) * scale,   4.5 bits a weight
//
// One packed layout for every machine. Sixteen outputs lie side by side, so that a sum never
// crosses lanes, and four elements of an output at a time, because that is what an 8-bit dot
// product takes:
//
//   levels of q8   [out / 16][in / 32][8 quads][16 outputs][4 elements]  one byte a level
//   levels of q4   [out / 16][in / 32][4 pairs of quads][16][4]          low half: the even quad
//   scales         [out / 16][in / 32][16 outputs]                       f16
//
// Outputs and elements that pad the ends have a scale of zero, and the level that stands for zero.
#pragma once

#include <cstdint>

#include "ops/weight.h"

namespace hearth::ops {

constexpr int64_t kQuantGroup = 32;
constexpr int64_t kQuantOuts = 16;

inline int64_t quant_groups(int64_t in) { return (in + kQuantGroup - 1) / kQuantGroup; }
inline int64_t quant_blocks(int64_t out) { return (out + kQuantOuts - 1) / kQuantOuts; }
// Bytes of the levels of one group of sixteen outputs.
inline int64_t quant_group_bytes(WeightFormat format) {
  return kQuantGroup * kQuantOuts / (format == WeightFormat::kQ4 ? 2 : 1);
}
// The level that stands for zero.
inline int32_t quant_zero(WeightFormat format) { return format == WeightFormat::kQ4 ? 8 : 128; }

// Quantises matrix [out, in] of f32, f16 or bf16. q8 scales by the greatest magnitude; q4 searches
// the scale of each group that leaves the least squared error. Rows are shared out over `threads`;
// the result does not depend on how many there are. Throws Error{kDataLoss, where} when a weight is
// not finite.
Weight quantize(TensorView matrix, WeightFormat format, int threads, const char* where);

// The signed level of element i of output o.
int32_t quant_level(const Weight& weight, int64_t o, int64_t i);
// The scale of the group of element i of output o.
float quant_scale(const Weight& weight, int64_t o, int64_t i);

}  // namespace hearth::ops
