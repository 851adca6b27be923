#include "ops/block_formats.h"

#include <cstring>
#include <iterator>

#include "base/check.h"

namespace hearth::ops {
namespace {

constexpr int64_t kGroup = 32;
constexpr int64_t kSuper = 256;  // elements of a block of the K formats

using Byte = std::byte;

uint8_t u8(const Byte* at) { return static_cast<uint8_t>(*at); }
uint16_t u16(const Byte* at) {
  uint16_t value = 0;
  std::memcpy(&value, at, sizeof(value));
  return value;
}
uint32_t u32(const Byte* at) {
  uint32_t value = 0;
  std::memcpy(&value, at, sizeof(value));
  return value;
}
float f16(const Byte* at) { return f16_to_float(u16(at)); }

// Sixteen bytes hold the low halves of 32 levels: elements 0 to 15 below, 16 to 31 above.
void read_nibbles(const Byte* at, uint8_t* levels) {
  for (int i = 0; i < 16; ++i) {
    levels[i] = u8(at + i) & 15;
    levels[i + 16] = u8(at + i) >> 4;
  }
}

// ... and 32 bits their fifth ones.
void add_fifth_bits(uint32_t bits, uint8_t* levels) {
  for (int i = 0; i < kGroup; ++i) levels[i] |= static_cast<uint8_t>((bits >> i & 1) << 4);
}

// y = scale * level + offset.
void widen_levels(const uint8_t* levels, float scale, float offset, float* y) {
  for (int i = 0; i < kGroup; ++i) y[i] = scale * static_cast<float>(levels[i]) + offset;
}

void widen_q4_0(const Byte* block, float* y) {
  uint8_t levels[kGroup];
  read_nibbles(block + 2, levels);
  const float scale = f16(block);
  for (int i = 0; i < kGroup; ++i) y[i] = scale * static_cast<float>(int{levels[i]} - 8);
}

void widen_q4_1(const Byte* block, float* y) {
  uint8_t levels[kGroup];
  read_nibbles(block + 4, levels);
  widen_levels(levels, f16(block), f16(block + 2), y);
}

void widen_q5_0(const Byte* block, float* y) {
  uint8_t levels[kGroup];
  read_nibbles(block + 6, levels);
  add_fifth_bits(u32(block + 2), levels);
  const float scale = f16(block);
  for (int i = 0; i < kGroup; ++i) y[i] = scale * static_cast<float>(int{levels[i]} - 16);
}

void widen_q5_1(const Byte* block, float* y) {
  uint8_t levels[kGroup];
  read_nibbles(block + 8, levels);
  add_fifth_bits(u32(block + 4), levels);
  widen_levels(levels, f16(block), f16(block + 2), y);
}

void widen_q8_0(const Byte* block, float* y) {
  const float scale = f16(block);
  for (int i = 0; i < kGroup; ++i) {
    y[i] = scale * static_cast<float>(static_cast<int8_t>(u8(block + 2 + i)));
  }
}

// Twelve bytes hold eight scales and eight leasts of 6 bits: the first four of each in the lower
// bits of bytes 0-3 and 4-7, the others with their low halves in bytes 8-11 and their high bits
// above the first four's.
struct ScaleAndLeast {
  float scale;
  float least;
};
ScaleAndLeast super_scale(const Byte* packed, int i) {
  int scale, least;
  if (i < 4) {
    scale = u8(packed + i) & 63;
    least = u8(packed + i + 4) & 63;
  } else {
    scale = (u8(packed + i + 4) & 15) | (u8(packed + i - 4) >> 6) << 4;
    least = u8(packed + i + 4) >> 4 | (u8(packed + i) >> 6) << 4;
  }
  return {static_cast<float>(scale), static_cast<float>(least)};
}

// Eight groups; groups 2c and 2c + 1 share 32 bytes, the second in the upper halves.
void widen_q4_k(const Byte* block, float* y) {
  const float scale = f16(block), least = f16(block + 2);
  for (int group = 0; group < 8; ++group) {
    const Byte* at = block + 16 + group / 2 * kGroup;
    const ScaleAndLeast own = super_scale(block + 4, group);
    uint8_t levels[kGroup];
    for (int i = 0; i < kGroup; ++i) levels[i] = u8(at + i) >> (group % 2 * 4) & 15;
    widen_levels(levels, scale * own.scale, -(least * own.least), y + group * kGroup);
  }
}

// The same, with the fifth bits of all groups in 32 bytes before: bit g of byte i is group g's.
void widen_q5_k(const Byte* block, float* y) {
  const float scale = f16(block), least = f16(block + 2);
  const Byte* high = block + 16;
  for (int group = 0; group < 8; ++group) {
    const Byte* at = block + 48 + group / 2 * kGroup;
    const ScaleAndLeast own = super_scale(block + 4, group);
    uint8_t levels[kGroup];
    for (int i = 0; i < kGroup; ++i) {
      levels[i] = static_cast<uint8_t>((u8(at + i) >> (group % 2 * 4) & 15) |
                                       (u8(high + i) >> group & 1) << 4);
    }
    widen_levels(levels, scale * own.scale, -(least * own.least), y + group * kGroup);
  }
}

// Two halves of 128 elements; in each, four runs of 32 share 64 bytes of low halves and 32 bytes of
// high bit pairs. A scale for every 16 elements.
void widen_q6_k(const Byte* block, float* y) {
  const float scale = f16(block + 208);
  for (int half = 0; half < 2; ++half) {
    const Byte* low = block + half * 64;
    const Byte* high = block + 128 + half * 32;
    const Byte* scales = block + 192 + half * 8;
    for (int run = 0; run < 4; ++run) {
      for (int i = 0; i < kGroup; ++i) {
        const int bits = (u8(low + run % 2 * 32 + i) >> (run / 2 * 4) & 15) |
                         (u8(high + i) >> (run * 2) & 3) << 4;
        const auto own = static_cast<int8_t>(u8(scales + run * 2 + i / 16));
        y[half * 128 + run * 32 + i] =
            scale * static_cast<float>(own) * static_cast<float>(bits - 32);
      }
    }
  }
}

struct Format {
  const char* name;
  int64_t elements;
  int64_t bytes;
  void (*widen)(const Byte* block, float* y);
};
// In the order of BlockFormat.
constexpr Format kFormats[] = {
    {"Q4_0", kGroup, 18, widen_q4_0},  {"Q4_1", kGroup, 20, widen_q4_1},
    {"Q5_0", kGroup, 22, widen_q5_0},  {"Q5_1", kGroup, 24, widen_q5_1},
    {"Q8_0", kGroup, 34, widen_q8_0},  {"Q4_K", kSuper, 144, widen_q4_k},
    {"Q5_K", kSuper, 176, widen_q5_k}, {"Q6_K", kSuper, 210, widen_q6_k},
};

const Format& format_of(BlockFormat format) { return kFormats[static_cast<size_t>(format)]; }

}  // namespace

std::optional<BlockFormat> block_format(std::string_view name) {
  for (size_t i = 0; i < std::size(kFormats); ++i) {
    if (name == kFormats[i].name) return static_cast<BlockFormat>(i);
  }
  return std::nullopt;
}

int64_t block_elements(BlockFormat format) { return format_of(format).elements; }
int64_t block_bytes(BlockFormat format) { return format_of(format).bytes; }

void widen_blocks(BlockFormat format, const std::byte* row, int64_t n, float* y) {
  const Format& f = format_of(format);
  DCHECK(n % f.elements == 0);
  for (int64_t i = 0; i < n; i += f.elements, row += f.bytes) f.widen(row, y + i);
}

std::optional<WeightFormat> exact_format(BlockFormat format) {
  switch (format) {
    case BlockFormat::kQ4_0:
      return WeightFormat::kQ4;
    case BlockFormat::kQ5_0:
    case BlockFormat::kQ8_0:
      return WeightFormat::kQ8;
    default:
      return std::nullopt;
  }
}

BlockGroup block_group(BlockFormat format, const std::byte* row, int64_t group) {
  const Byte* block = row + group * format_of(format).bytes;
  BlockGroup result;
  result.scale = u16(block);
  if (format == BlockFormat::kQ8_0) {
    std::memcpy(result.levels, block + 2, sizeof(result.levels));
    return result;
  }
  CHECK(exact_format(format), "{} has no exact groups", format_of(format).name);
  uint8_t levels[kGroup];
  const bool five = format == BlockFormat::kQ5_0;
  read_nibbles(block + (five ? 6 : 2), levels);
  if (five) add_fifth_bits(u32(block + 2), levels);
  for (int i = 0; i < kGroup; ++i) {
    result.levels[i] = static_cast<int8_t>(int{levels[i]} - (five ? 16 : 8));
  }
  return result;
}

void append_block(BlockFormat format, const int8_t* levels, uint16_t scale,
                  std::vector<std::byte>& row) {
  CHECK(format == BlockFormat::kQ8_0 || format == BlockFormat::kQ4_0,
        "blocks of {} are not written", format_of(format).name);
  row.push_back(static_cast<Byte>(scale & 255));
  row.push_back(static_cast<Byte>(scale >> 8));
  if (format == BlockFormat::kQ8_0) {
    for (int i = 0; i < kGroup; ++i) row.push_back(static_cast<Byte>(levels[i]));
    return;
  }
  for (int i = 0; i < kGroup / 2; ++i) {
    const int low = levels[i] + 8, high = levels[i + kGroup / 2] + 8;
    row.push_back(static_cast<Byte>(low | high << 4));
  }
}

}  // namespace hearth::ops
