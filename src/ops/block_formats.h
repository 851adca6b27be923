// The block formats of GGUF files: rows of 32 or 256 elements a block, widened to f32, or repacked
// for the kernels (ops/quantize.h).
//
//   Q8_0, Q5_0, Q4_0     level * scale, groups of 32             a group of q8 or q4 as it stands
//   Q5_1, Q4_1           level * scale + least, groups of 32     |
//   Q5_K, Q4_K           the same; scales and leasts in 6 bits   | q8 by the greatest magnitude
//   Q6_K                 level * scale, groups of 16             |
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "ops/weight.h"

namespace hearth::ops {

enum class BlockFormat : uint8_t { kQ4_0, kQ4_1, kQ5_0, kQ5_1, kQ8_0, kQ4K, kQ5K, kQ6K };

// "Q4_K" and so on; nothing for a name that is none of these.
std::optional<BlockFormat> block_format(std::string_view name);

int64_t block_elements(BlockFormat format);
int64_t block_bytes(BlockFormat format);
// Bytes of a row of n elements; n fills whole blocks.
inline int64_t block_row_bytes(BlockFormat format, int64_t n) {
  return n / block_elements(format) * block_bytes(format);
}

// y [n] = the row.
void widen_blocks(BlockFormat format, const std::byte* row, int64_t n, float* y);

// The packed format that holds every value of this one exactly; nothing where none does.
std::optional<WeightFormat> exact_format(BlockFormat format);

// A group of 32 elements as signed levels and the bits of their f16 scale; for formats that have an
// exact one. `group` counts groups of the row.
struct BlockGroup {
  int8_t levels[32];
  uint16_t scale;
};
BlockGroup block_group(BlockFormat format, const std::byte* row, int64_t group);
// The way back, for Q8_0 and Q4_0: 32 levels and their scale become a block at the end of `row`.
void append_block(BlockFormat format, const int8_t* levels, uint16_t scale,
                  std::vector<std::byte>& row);

}  // namespace hearth::ops
