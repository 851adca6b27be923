#include <vector>

#include "backend/cpu/lora.h"
#include "tensor/dtype.h"

namespace hearth::backend::cpu {
namespace {

double element(const void* row, DType dtype, int64_t i) {
  if (dtype == DType::kF32) return double{static_cast<const float*>(row)[i]};
  const uint16_t bits = static_cast<const uint16_t*>(row)[i];
  return double{dtype == DType::kF16 ? f16_to_float(bits) : bf16_to_float(bits)};
}

void add_part(const ops::LoraPart& part, const float* x, int64_t in, float* y) {
  std::vector<double> h(static_cast<size_t>(part.rank));
  for (size_t k = 0; k < h.size(); ++k) {
    for (int64_t i = 0; i < in; ++i) h[k] += element(part.a[k], part.dtype, i) * double{x[i]};
    h[k] *= double{part.scale};
  }
  for (int64_t o = 0; o < part.out; ++o) {
    double sum = 0;
    for (size_t k = 0; k < h.size(); ++k) sum += h[k] * element(part.b[k], part.dtype, o);
    double value = double{y[o]} + sum;
    if (part.gain != nullptr) value = double{part.gain[o]} * value + double{part.shift[o]};
    y[o] = static_cast<float>(value);
  }
}

}  // namespace

void lora_reference(ops::Context&, TensorView x, std::span<const ops::LoraGroup> groups,
                    TensorView y) {
  for (const ops::LoraGroup& group : groups) {
    for (const ops::LoraPart& part : group.parts) {
      for (int32_t row : group.rows) {
        add_part(part, x.row<float>(row), x.cols(), y.row<float>(row) + part.out_begin);
      }
    }
  }
}

}  // namespace hearth::backend::cpu
