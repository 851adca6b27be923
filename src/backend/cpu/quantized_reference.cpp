#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

#include "backend/cpu/quantized.h"
#include "ops/quantize.h"

namespace hearth::backend::cpu {
namespace {

struct Group {
  int32_t levels[ops::kQuantGroup] = {};
  float scale = 0.0f;
};

// Magnitudes are compared by their bits, among which a NaN is the greatest.
Group quantize_group(const float* x, int64_t count) {
  int32_t most = 0;
  for (int64_t i = 0; i < count; ++i) most = std::max(most, std::bit_cast<int32_t>(std::abs(x[i])));
  const float magnitude = std::bit_cast<float>(most);
  const float inverse = magnitude < kQuantizedTiny ? 0.0f : 127.0f / magnitude;
  Group group;
  group.scale = magnitude / 127.0f;
  if (!std::isfinite(magnitude)) return group;
  for (int64_t i = 0; i < count; ++i) {
    group.levels[i] =
        static_cast<int32_t>(std::nearbyint(std::clamp(x[i] * inverse, -127.0f, 127.0f)));
  }
  return group;
}

std::vector<Group> quantize_row(const float* x, int64_t in) {
  std::vector<Group> groups;
  for (int64_t i = 0; i < in; i += ops::kQuantGroup) {
    groups.push_back(quantize_group(x + i, std::min(ops::kQuantGroup, in - i)));
  }
  return groups;
}

}  // namespace

void quantized_reference(ops::Context& ctx, TensorView x, const ops::Weight& weight,
                         TensorView bias, TensorView y) {
  ctx.workers.run(x.rows(), [&](int64_t t, int) {
    const std::vector<Group> groups = quantize_row(x.row<float>(t), weight.in);
    for (int64_t o = 0; o < weight.out; ++o) {
      float total = 0.0f;
      for (size_t g = 0; g < groups.size(); ++g) {
        const int64_t begin = static_cast<int64_t>(g) * ops::kQuantGroup;
        int32_t sum = 0;
        for (int64_t i = 0; i < ops::kQuantGroup; ++i) {
          sum += groups[g].levels[i] * ops::quant_level(weight, o, begin + i);
        }
        const float scale = ops::quant_scale(weight, o, begin) * groups[g].scale;
        total = std::fma(static_cast<float>(sum), scale, total);
      }
      y.row<float>(t)[o] = bias.empty() ? total : total + bias.as<float>()[o];
    }
  });
}

}  // namespace hearth::backend::cpu
