// Quantised weights back to f32 or bf16: a block of sixteen outputs a task.
#pragma once

#include "backend/cpu/internal/simd.h"
#include "ops/quantize.h"
#include "ops/unpack.h"

namespace hearth::backend::cpu {
namespace {

// One group of one output: kQuantGroup levels of `bytes`, whose outputs lie four elements apart.
inline void unpack_group(ops::WeightFormat format, const uint8_t* bytes, float scale,
                         float* values) {
  constexpr int64_t kStep = ops::kQuantOuts * 4;
  const bool narrow = format == ops::WeightFormat::kQ4;
  const int32_t zero = ops::quant_zero(format);
  for (int64_t i = 0; i < ops::kQuantGroup; ++i) {
    const int64_t quad = i / 4;
    const int32_t byte = bytes[(narrow ? quad / 2 : quad) * kStep + i % 4];
    const int32_t level = !narrow ? byte : (quad % 2 == 0 ? byte & 15 : byte >> 4);
    values[i] = static_cast<float>(level - zero) * scale;
  }
}

template <typename T>
inline void unpack_block(const ops::Weight& w, int64_t block, const TensorView& y) {
  const int64_t outs = least(ops::kQuantOuts, w.out - block * ops::kQuantOuts);
  const int64_t group_bytes = ops::quant_group_bytes(w.format);
  float values[ops::kQuantGroup];
  for (int64_t o = 0; o < outs; ++o) {
    T* row = row_of<T>(y, block * ops::kQuantOuts + o);
    for (int64_t begin = 0; begin < w.in; begin += ops::kQuantGroup) {
      const int64_t group = begin / ops::kQuantGroup;
      const uint8_t* bytes = w.matrix.row<uint8_t>(block) + group * group_bytes + o * 4;
      const uint16_t scale = w.scales.row<uint16_t>(block)[group * ops::kQuantOuts + o];
      unpack_group(w.format, bytes, f16_to_float(scale), values);
      const int64_t count = least(ops::kQuantGroup, w.in - begin);
      for (int64_t i = 0; i < count; ++i) row[begin + i] = from_float<T>(values[i]);
    }
  }
}

void unpack(ops::TrainContext& ctx, const ops::Weight& weight, TensorView y) {
  with_element(y.dtype, [&](auto element) {
    using T = decltype(element);
    ctx.workers.run((weight.out + ops::kQuantOuts - 1) / ops::kQuantOuts,
                    [&](int64_t block, int) { unpack_block<T>(weight, block, y); });
  });
}

}  // namespace
}  // namespace hearth::backend::cpu
