#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

#include "backend/cpu/quantized.h"
#include "ops/quantize.h"

namespace hearth::backend::cpu {
namespace {

struct Span {
  std::vector<int32_t> levels;
  float scale = 0.0f;
};

int64_t span_size(ops::WeightFormat format) {
  return ops::kQuantGroup * (format == ops::WeightFormat::kQ8 ? kQ8Span : kQ4Span);
}

// Magnitudes are compared by their bits, among which a NaN is the greatest.
Span quantize_span(const float* x, int64_t count, int64_t size) {
  int32_t most = 0;
  for (int64_t i = 0; i < count; ++i) most = std::max(most, std::bit_cast<int32_t>(std::abs(x[i])));
  const float magnitude = std::bit_cast<float>(most);
  const float inverse = magnitude < kQuantizedTiny ? 0.0f : 127.0f / magnitude;
  Span span{std::vector<int32_t>(static_cast<size_t>(size)), magnitude / 127.0f};
  if (!std::isfinite(magnitude)) return span;
  for (int64_t i = 0; i < count; ++i) {
    span.levels[static_cast<size_t>(i)] =
        static_cast<int32_t>(std::nearbyint(std::clamp(x[i] * inverse, -127.0f, 127.0f)));
  }
  return span;
}

std::vector<Span> quantize_row(const float* x, int64_t in, int64_t size) {
  std::vector<Span> spans;
  for (int64_t i = 0; i < in; i += size) {
    spans.push_back(quantize_span(x + i, std::min(size, in - i), size));
  }
  return spans;
}

// A span of x, whose first element is `begin` of the row, times the weights of output o: without
// the scale of x.
float dot_span(const Span& span, int64_t begin, const ops::Weight& weight, int64_t o) {
  float total = 0.0f;
  const int64_t size = std::ssize(span.levels);
  for (int64_t g = 0; g < size && begin + g < weight.in; g += ops::kQuantGroup) {
    int32_t sum = 0;
    for (int64_t i = g; i < g + ops::kQuantGroup; ++i) {
      sum += span.levels[static_cast<size_t>(i)] * ops::quant_level(weight, o, begin + i);
    }
    total = std::fma(static_cast<float>(sum), ops::quant_scale(weight, o, begin + g), total);
  }
  return total;
}

}  // namespace

void quantized_reference(ops::Context& ctx, TensorView x, const ops::Weight& weight,
                         TensorView bias, TensorView y) {
  const int64_t size = span_size(weight.format);
  ctx.workers.run(x.rows(), [&](int64_t t, int) {
    const std::vector<Span> spans = quantize_row(x.row<float>(t), weight.in, size);
    for (int64_t o = 0; o < weight.out; ++o) {
      float total = 0.0f;
      for (size_t s = 0; s < spans.size(); ++s) {
        const float part = dot_span(spans[s], static_cast<int64_t>(s) * size, weight, o);
        total = std::fma(part, spans[s].scale, total);
      }
      y.row<float>(t)[o] = bias.empty() ? total : total + bias.as<float>()[o];
    }
  });
}

}  // namespace hearth::backend::cpu
