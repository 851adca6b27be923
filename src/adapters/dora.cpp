#include "adapters/dora.h"

#include <cmath>

#include "adapters/elements.h"

namespace hearth::adapters {

DoraGain dora_gain(const BoundPart& part, const nn::Projection& projection) {
  const StoredModule& module = *part.module;
  const auto in = static_cast<size_t>(projection.in);
  const auto rank = static_cast<size_t>(module.rank);
  std::vector<float> a(rank * in), b(rank), row(in);
  for (size_t i = 0; i < a.size(); ++i) a[i] = element(module.a, static_cast<int64_t>(i));
  DoraGain result;
  for (int64_t o = 0; o < part.out; ++o) {
    const int64_t out = part.begin + o;
    const int64_t source = source_row(projection, part, o);
    ops::read_row(projection.weight, out, row.data());
    for (size_t k = 0; k < rank; ++k) {
      const float factor =
          module.scale * element(module.b, source * module.rank + static_cast<int64_t>(k));
      for (size_t i = 0; i < in; ++i) row[i] += factor * a[k * in + i];
    }
    double squares = 0;
    for (float value : row) squares += double{value} * double{value};
    const double length = std::sqrt(squares);
    const double magnitude = double{element(module.magnitude, source)};
    const float gain = length > 0 ? static_cast<float>(magnitude / length) : 0.0f;
    const float bias = projection.bias.empty() ? 0.0f : projection.bias.as<float>()[out];
    result.gain.push_back(gain);
    result.shift.push_back((1.0f - gain) * bias);
  }
  return result;
}

}  // namespace hearth::adapters
