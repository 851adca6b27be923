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
#include <functional>
#include <span>

#include "ops/block_formats.h"
#include "ops/quantize_kernels.h"
#include "ops/weight.h"

namespace hearth::ops {

constexpr int64_t kQuantOuts = 16;

inline int64_t quant_groups(int64_t in) { return (in + kQuantGroup - 1) / kQuantGroup; }
inline int64_t quant_blocks(int64_t out) { return (out + kQuantOuts - 1) / kQuantOuts; }
// Bytes of the levels of one group of sixteen outputs.
inline int64_t quant_group_bytes(WeightFormat format) {
  return kQuantGroup * kQuantOuts / (format == WeightFormat::kQ4 ? 2 : 1);
}
// The level that stands for zero.
inline int32_t quant_zero(WeightFormat format) { return format == WeightFormat::kQ4 ? 8 : 128; }
// Bytes of all levels and of all scales of a matrix [out, in].
int64_t quant_level_bytes(WeightFormat format, int64_t out, int64_t in);
int64_t quant_scale_bytes(int64_t out, int64_t in);

// Rows of a matrix [out, in], wherever they come from; called by several threads. y has room for
// `in` elements.
struct RowSource {
  int64_t out = 0;
  int64_t in = 0;
  std::function<void(int64_t o, float* y)> read;
};
// Rows of a matrix of f32, f16 or bf16, at any address.
RowSource rows_of(TensorView matrix, const QuantizeKernels& kernels);

struct QuantizeOptions {
  int threads = 1;  // the result does not depend on how many there are
  // How much an error of each column matters [in]: the mean square of what it is multiplied with.
  // Empty: all alike. q8 needs none.
  std::span<const float> importance = {};
  const QuantizeKernels* kernels = &kQuantizePlain;
};

// q8 scales by the greatest magnitude; q4 searches the levels of each group that point most nearly
// where the weights do, and scales them so that they are as long. Throws Error{kDataLoss, where}
// when a weight is not finite.
Weight quantize(const RowSource& rows, WeightFormat format, const QuantizeOptions& options,
                const char* where);
Weight quantize(TensorView matrix, WeightFormat format, int threads, const char* where);

// A matrix [out, in] of blocks that have an exact format, packed as that, losing nothing. Row i of
// the result is row order[i] of `blocks`; an empty order: as they lie. Throws Error{kDataLoss,
// where} when a scale is not finite.
struct BlockMatrix {
  BlockFormat format = BlockFormat::kQ8_0;
  const std::byte* data = nullptr;
  int64_t out = 0;
  int64_t in = 0;
  std::span<const int64_t> order;

  const std::byte* row(int64_t o) const {
    const int64_t at = order.empty() ? o : order[static_cast<size_t>(o)];
    return data + at * block_row_bytes(format, in);
  }
};
Weight repack(const BlockMatrix& blocks, int threads, const char* where);

// A packed matrix in memory that outlives it: levels, then scales.
Weight packed_view(WeightFormat format, int64_t out, int64_t in, void* levels, void* scales);

// The signed level of element i of output o.
int32_t quant_level(const Weight& weight, int64_t o, int64_t i);
// The scale of the group of element i of output o.
float quant_scale(const Weight& weight, int64_t o, int64_t i);

}  // namespace hearth::ops
