#include "ops/quantize.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <thread>
#include <vector>

#include "base/error.h"
#include "ops/internal/quantize_groups.h"

namespace hearth::ops {
namespace {

// Where level i of output o lies: its byte, and for q4 which half.
int64_t level_offset(const Weight& w, int64_t o, int64_t i) {
  const int64_t group = o / kQuantOuts * quant_groups(w.in) + i / kQuantGroup;
  const int64_t quad = i % kQuantGroup / 4;
  const int64_t row = w.format == WeightFormat::kQ4 ? quad / 2 : quad;
  return group * quant_group_bytes(w.format) + (row * kQuantOuts + o % kQuantOuts) * 4 + i % 4;
}

int64_t scale_offset(const Weight& w, int64_t o, int64_t i) {
  const int64_t group = o / kQuantOuts * quant_groups(w.in) + i / kQuantGroup;
  return group * kQuantOuts + o % kQuantOuts;
}

uint32_t quad_at(const int8_t* levels) {
  uint32_t quad = 0;
  std::memcpy(&quad, levels, sizeof(quad));
  return quad;
}

// Levels and scales of sixteen outputs, each in a row of its own; what pads the ends is zero.
struct BlockRows {
  explicit BlockRows(int64_t in)
      : groups(quant_groups(in)),
        levels(static_cast<size_t>(groups * kQuantGroup * kQuantOuts)),
        scales(static_cast<size_t>(groups * kQuantOuts)) {}
  int8_t* levels_of(int64_t row) { return levels.data() + row * groups * kQuantGroup; }
  uint16_t* scales_of(int64_t row) { return scales.data() + row * groups; }
  void clear(int64_t row) {
    std::fill_n(levels_of(row), groups * kQuantGroup, int8_t{0});
    std::fill_n(scales_of(row), groups, uint16_t{0});
  }

  int64_t groups;
  std::vector<int8_t> levels;
  std::vector<uint16_t> scales;
};

// Lays the rows of a block side by side. Four signed levels become unsigned by one operation: zero
// is 128, so that flips their signs; it is 8, so that is added to each byte, of which none carries.
void pack_block(BlockRows& rows, Weight& w, int64_t block) {
  auto* levels = w.matrix.row<uint8_t>(block);
  auto* scales = w.scales.row<uint16_t>(block);
  const bool q8 = w.format == WeightFormat::kQ8;
  for (int64_t g = 0; g < rows.groups; ++g) {
    for (int64_t o = 0; o < kQuantOuts; ++o) {
      const int8_t* from = rows.levels_of(o) + g * kQuantGroup;
      uint8_t* to = levels + o * 4;
      for (int quad = 0; quad < 8; quad += q8 ? 1 : 2, to += kQuantOuts * 4) {
        uint32_t packed = quad_at(from + quad * 4);
        if (q8) {
          packed ^= 0x80808080u;
        } else {
          // A level of -8 to 7 in two's complement has its low half off by eight.
          const uint32_t odd = quad_at(from + quad * 4 + 4);
          packed = ((packed ^ 0x08080808u) & 0x0f0f0f0fu) | ((odd ^ 0x08080808u) & 0x0f0f0f0fu)
                                                                << 4;
        }
        std::memcpy(to, &packed, sizeof(packed));
      }
      scales[o] = rows.scales_of(o)[g];
    }
    levels += quant_group_bytes(w.format);
    scales += kQuantOuts;
  }
}

Weight packed_weight(WeightFormat format, int64_t out, int64_t in) {
  const int64_t level_bytes = quant_level_bytes(format, out, in);
  Buffer memory(static_cast<size_t>(level_bytes + quant_scale_bytes(out, in)));
  Weight w =
      packed_view(format, out, in, memory.data(), static_cast<char*>(memory.data()) + level_bytes);
  w.owned = std::move(memory);
  return w;
}

// Fills all blocks of sixteen outputs; fill(o, levels, scales) gives one row and says whether all
// its numbers are finite. The columns beyond `in` stay zero.
template <typename Fill>
Weight pack_rows(WeightFormat format, int64_t out, int64_t in, int threads, const char* where,
                 const Fill& make_fill) {
  Weight w = packed_weight(format, out, in);
  const int64_t blocks = quant_blocks(out);
  std::atomic<int64_t> next = 0;
  std::atomic<bool> finite = true;
  const auto work = [&] {
    BlockRows rows(in);
    auto fill = make_fill();
    for (int64_t block = next++; block < blocks; block = next++) {
      for (int64_t row = 0; row < kQuantOuts; ++row) {
        const int64_t o = block * kQuantOuts + row;
        if (o >= out) {
          rows.clear(row);
        } else if (!fill(o, rows.levels_of(row), rows.scales_of(row))) {
          finite = false;
        }
      }
      pack_block(rows, w, block);
    }
  };
  std::vector<std::jthread> helpers;
  for (int i = 1; i < threads && i < blocks; ++i) helpers.emplace_back(work);
  work();
  helpers.clear();
  if (!finite) {
    throw_error(ErrorCode::kDataLoss, where,
                "a weight is not a finite number, or its group is too large for a scale in f16; "
                "serve this model without --quantize");
  }
  return w;
}

bool finite_f16(uint16_t bits) { return (bits & 0x7c00) != 0x7c00; }

}  // namespace

const QuantizeKernels kQuantizePlain = quantize_kernels_named("plain");

int64_t quant_level_bytes(WeightFormat format, int64_t out, int64_t in) {
  return quant_blocks(out) * quant_groups(in) * quant_group_bytes(format);
}

int64_t quant_scale_bytes(int64_t out, int64_t in) {
  return quant_blocks(out) * quant_groups(in) * kQuantOuts * static_cast<int64_t>(sizeof(uint16_t));
}

RowSource rows_of(TensorView matrix, const QuantizeKernels& kernels) {
  CHECK(matrix.shape.rank() == 2, "expected [out, in], came {}", matrix.shape.to_string());
  const int64_t in = matrix.cols();
  return {matrix.rows(), in, [matrix, in, &kernels](int64_t o, float* y) {
            if (matrix.dtype == DType::kF32) {
              std::memcpy(y, matrix.row<float>(o), static_cast<size_t>(in) * sizeof(float));
            } else if (matrix.dtype == DType::kF16) {
              kernels.widen_f16(matrix.row<uint16_t>(o), in, y);
            } else {
              kernels.widen_bf16(matrix.row<uint16_t>(o), in, y);
            }
          }};
}

Weight quantize(const RowSource& rows, WeightFormat format, const QuantizeOptions& options,
                const char* where) {
  CHECK(quantized(format), "quantize to {}", to_string(format));
  const int64_t groups = quant_groups(rows.in);
  const auto padded = static_cast<size_t>(groups * kQuantGroup);
  std::vector<float> importance(padded, 1.0f);
  if (!options.importance.empty()) {
    CHECK(static_cast<int64_t>(options.importance.size()) == rows.in, "importance of {} for {}",
          options.importance.size(), rows.in);
    std::copy(options.importance.begin(), options.importance.end(), importance.begin());
  }
  return pack_rows(format, rows.out, rows.in, options.threads, where, [&] {
    return [&, values = std::vector<float>(padded)](int64_t o, int8_t* levels,
                                                    uint16_t* scales) mutable {
      rows.read(o, values.data());
      return format == WeightFormat::kQ8
                 ? options.kernels->q8(values.data(), groups, levels, scales)
                 : options.kernels->q4(values.data(), importance.data(), groups, levels, scales);
    };
  });
}

Weight quantize(TensorView matrix, WeightFormat format, int threads, const char* where) {
  return quantize(rows_of(matrix, kQuantizePlain), format, {.threads = threads}, where);
}

Weight repack(const BlockMatrix& blocks, int threads, const char* where) {
  const auto format = exact_format(blocks.format);
  CHECK(format, "repack of a format that is not exact");
  return pack_rows(*format, blocks.out, blocks.in, threads, where, [&] {
    return [&](int64_t o, int8_t* levels, uint16_t* scales) {
      bool finite = true;
      for (int64_t g = 0; g < quant_groups(blocks.in); ++g) {
        const BlockGroup group = block_group(blocks.format, blocks.row(o), g);
        std::memcpy(levels + g * kQuantGroup, group.levels, sizeof(group.levels));
        scales[g] = group.scale;
        finite = finite && finite_f16(group.scale);
      }
      return finite;
    };
  });
}

Weight packed_view(WeightFormat format, int64_t out, int64_t in, void* levels, void* scales) {
  Weight w;
  w.format = format;
  w.out = out;
  w.in = in;
  const int64_t blocks = quant_blocks(out), groups = quant_groups(in);
  w.matrix = {levels, DType::kU8, {blocks, groups * quant_group_bytes(format)}};
  w.scales = {scales, DType::kF16, {blocks, groups * kQuantOuts}};
  return w;
}

int32_t quant_level(const Weight& w, int64_t o, int64_t i) {
  const int32_t byte = w.matrix.as<uint8_t>()[level_offset(w, o, i)];
  const int32_t level = w.format == WeightFormat::kQ8 ? byte
                        : i / 4 % 2 == 0              ? byte & 15
                                                      : byte >> 4;
  return level - quant_zero(w.format);
}

float quant_scale(const Weight& w, int64_t o, int64_t i) {
  return f16_to_float(w.scales.as<uint16_t>()[scale_offset(w, o, i)]);
}

}  // namespace hearth::ops
