#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

#include "backend/cpu/quantized.h"
#include "ops/quantize.h"

namespace hearth::backend::cpu {
namespace {

constexpr int64_t kSpan = kQuantizedSpan * ops::kQuantGroup;

struct Span {
  int32_t levels[kSpan] = {};
  float scale = 0.0f;
};

// Magnitudes are compared by their bits, among which a NaN is the greatest.
Span quantize_span(const float* x, int64_t count) {
  int32_t most = 0;
  for (int64_t i = 0; i < count; ++i) most = std::max(most, std::bit_cast<int32_t>(std::abs(x[i])));
  const float magnitude = std::bit_cast<float>(most);
  const float inverse = magnitude < kQuantizedTiny ? 0.0f : 127.0f / magnitude;
  Span span;
  span.scale = magnitude / 127.0f;
  if (!std::isfinite(magnitude)) return span;
  for (int64_t i = 0; i < count; ++i) {
    span.levels[i] =
        static_cast<int32_t>(std::nearbyint(std::clamp(x[i] * inverse, -127.0f, 127.0f)));
  }
  return span;
}

std::vector<Span> quantize_row(const float* x, int64_t in) {
  std::vector<Span> spans;
  for (int64_t i = 0; i < in; i += kSpan) {
    spans.push_back(quantize_span(x + i, std::min(kSpan, in - i)));
  }
  return spans;
}

// A span of x, whose first element is `begin` of the row, times the weights of output o: without
// the scale of x.
float dot_span(const Span& span, int64_t begin, const ops::Weight& weight, int64_t o) {
  float total = 0.0f;
  for (int64_t g = 0; g < kSpan && begin + g < weight.in; g += ops::kQuantGroup) {
    int32_t sum = 0;
    for (int64_t i = g; i < g + ops::kQuantGroup; ++i) {
      sum += span.levels[i] * ops::quant_level(weight, o, begin + i);
    }
    total = std::fma(static_cast<float>(sum), ops::quant_scale(weight, o, begin + g), total);
  }
  return total;
}

}  // namespace

void quantized_reference(ops::Context& ctx, TensorView x, const ops::Weight& weight,
                         TensorView bias, TensorView y) {
  ctx.workers.run(x.rows(), [&](int64_t t, int) {
    const std::vector<Span> spans = quantize_row(x.row<float>(t), weight.in);
    for (int64_t o = 0; o < weight.out; ++o) {
      float total = 0.0f;
      for (size_t s = 0; s < spans.size(); ++s) {
        const float part = dot_span(spans[s], static_cast<int64_t>(s) * kSpan, weight, o);
        total = std::fma(part, spans[s].scale, total);
      }
      y.row<float>(t)[o] = bias.empty() ? total : total + bias.as<float>()[o];
    }
  });
}

}  // namespace hearth::backend::cpu
