#include "ops/weight.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "ops/quantize.h"

namespace hearth::ops {

const char* to_string(WeightFormat format) {
  switch (format) {
    case WeightFormat::kF32:
      return "f32";
    case WeightFormat::kF16:
      return "f16";
    case WeightFormat::kBF16:
      return "bf16";
    case WeightFormat::kQ8:
      return "q8";
    case WeightFormat::kQ4:
      return "q4";
  }
  return "?";
}

WeightFormat weight_format(DType dtype) {
  CHECK(dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16,
        "a matrix is read in place as f32, f16 or bf16, not {}", to_string(dtype));
  if (dtype == DType::kF32) return WeightFormat::kF32;
  return dtype == DType::kF16 ? WeightFormat::kF16 : WeightFormat::kBF16;
}

int64_t Weight::bytes() const {
  const auto bytes = [](const TensorView& view) {
    return view.empty() ? 0 : view.shape.count() * static_cast<int64_t>(dtype_bytes(view.dtype));
  };
  return bytes(matrix) + bytes(scales);
}

Weight weight_view(TensorView matrix) {
  CHECK(matrix.shape.rank() == 2 && matrix.data != nullptr, "expected [out, in], came {}",
        matrix.shape.to_string());
  Weight weight;
  weight.format = weight_format(matrix.dtype);
  weight.out = matrix.shape[0];
  weight.in = matrix.shape[1];
  weight.matrix = matrix;
  return weight;
}

Weight view_of(const Weight& weight) {
  Weight view;
  view.format = weight.format;
  view.out = weight.out;
  view.in = weight.in;
  view.matrix = weight.matrix;
  view.scales = weight.scales;
  view.compute = weight.compute;
  return view;
}

std::optional<Weight> view_of_outputs(const Weight& weight, int64_t begin, int64_t end) {
  CHECK(0 <= begin && begin <= end && end <= weight.out, "outputs [{}, {}) of {}", begin, end,
        weight.out);
  Weight view = view_of(weight);
  view.out = end - begin;
  if (!quantized(weight.format)) {
    view.matrix = weight.matrix.slice_rows(begin, end);
    return view;
  }
  if (begin % kQuantOuts != 0) return std::nullopt;
  const int64_t first = begin / kQuantOuts, last = quant_blocks(end);
  view.matrix = weight.matrix.slice_rows(first, last);
  view.scales = weight.scales.slice_rows(first, last);
  return view;
}

namespace {

// The four elements of a quad lie together, the quads of a row a block's width apart.
void read_packed_row(const Weight& w, int64_t o, float* row) {
  const bool q4 = w.format == WeightFormat::kQ4;
  const auto zero = quant_zero(w.format);
  const auto* levels = w.matrix.row<uint8_t>(o / kQuantOuts) + o % kQuantOuts * 4;
  const auto* scales = w.scales.row<uint16_t>(o / kQuantOuts) + o % kQuantOuts;
  for (int64_t g = 0; g < quant_groups(w.in); ++g) {
    const float scale = f16_to_float(scales[g * kQuantOuts]);
    const auto* group = levels + g * quant_group_bytes(w.format);
    const int64_t from = g * kQuantGroup, count = std::min(kQuantGroup, w.in - from);
    for (int64_t i = 0; i < count; ++i) {
      const int64_t quad = i / 4;
      const int byte = group[(q4 ? quad / 2 : quad) * kQuantOuts * 4 + i % 4];
      const int level = !q4 ? byte : quad % 2 == 0 ? byte & 15 : byte >> 4;
      row[from + i] = static_cast<float>(level - zero) * scale;
    }
  }
}

}  // namespace

void read_row(const Weight& weight, int64_t o, float* row) {
  if (quantized(weight.format)) return read_packed_row(weight, o, row);
  if (weight.format == WeightFormat::kF32) {
    std::memcpy(row, weight.matrix.row<float>(o), static_cast<size_t>(weight.in) * sizeof(float));
    return;
  }
  const auto* bits = weight.matrix.row<uint16_t>(o);
  const bool f16 = weight.format == WeightFormat::kF16;
  for (int64_t i = 0; i < weight.in; ++i) {
    row[i] = f16 ? f16_to_float(bits[i]) : bf16_to_float(bits[i]);
  }
}

}  // namespace hearth::ops
