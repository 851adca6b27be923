#include "runner/logit_row.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>

namespace hearth::runner {
namespace {

// Four numbers at once, the vectors of every x86-64, in the extension that GCC and clang share.
// Wider ones would be lowered piece by piece through memory.
constexpr size_t kLanes = 4;
typedef float Floats __attribute__((vector_size(kLanes * sizeof(float))));
typedef int32_t Ints __attribute__((vector_size(kLanes * sizeof(int32_t))));

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kLowest = -87.0f;  // exp of it is the smallest normal float, roughly

Floats load(const float* from) {
  Floats x;
  std::memcpy(&x, from, sizeof(x));
  return x;
}

// The last, incomplete lanes of a row; what lies beyond its end is `beyond`.
Floats load_tail(std::span<const float> rest, float beyond) {
  Floats x = beyond - Floats{};
  std::memcpy(&x, rest.data(), rest.size_bytes());
  return x;
}

// Calls visit(index, lanes, count) over the row.
template <typename Visit>
void for_lanes(std::span<const float> row, float beyond, const Visit& visit) {
  size_t i = 0;
  for (; i + kLanes <= row.size(); i += kLanes) visit(i, load(row.data() + i), kLanes);
  if (i < row.size()) visit(i, load_tail(row.subspan(i), beyond), row.size() - i);
}

// exp(x) for x in [kLowest, 0]: 2^n · e^r with |r| <= ln 2 / 2, e^r by its Taylor terms to r^6.
Floats exp_of(Floats x) {
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
  constexpr float kLog2E = 1.44269504f;
  constexpr float kLn2High = 0.693359375f;  // few bits, so that n times it is exact
  constexpr float kLn2Low = -2.12194440e-4f;
  const Floats shifted = x * kLog2E + kRound;
  const Floats n = shifted - kRound;
  const Floats r = (x - n * kLn2High) - n * kLn2Low;
  Floats e = r * (1.0f / 720) + 1.0f / 120;
  e = e * r + 1.0f / 24;
  e = e * r + 1.0f / 6;
  e = e * r + 0.5f;
  e = e * r + 1.0f;
  e = e * r + 1.0f;
  // The low bits of `shifted` hold n; moved to the exponent's place they multiply by 2^n.
  return reinterpret_cast<Floats>(reinterpret_cast<Ints>(e) +
                                  (reinterpret_cast<Ints>(shifted) << 23));
}

float largest(std::span<const float> logits) {
  Floats top = -kInfinity - Floats{};
  for_lanes(logits, -kInfinity, [&](size_t, Floats x, size_t) { top = x > top ? x : top; });
  float result = -kInfinity;
  for (size_t lane = 0; lane < kLanes; ++lane) result = std::max(result, top[lane]);
  return result;
}

double sum_of(std::span<const float> weights) {
  Floats lanes{};
  for_lanes(weights, 0, [&](size_t, Floats x, size_t) { lanes += x; });
  double sum = 0;
  for (size_t lane = 0; lane < kLanes; ++lane) sum += lanes[lane];
  return sum;
}

}  // namespace

size_t argmax(std::span<const float> logits) {
  const auto it = std::find(logits.begin(), logits.end(), largest(logits));
  return it == logits.end() ? 0 : static_cast<size_t>(it - logits.begin());
}

size_t count_above(std::span<const float> logits, float logit) {
  Ints counts{};
  for_lanes(logits, -kInfinity, [&](size_t, Floats x, size_t) { counts -= x > logit; });
  size_t count = 0;
  for (size_t lane = 0; lane < kLanes; ++lane) count += static_cast<size_t>(counts[lane]);
  return count;
}

void RowWeights::compute(std::span<const float> logits, float top, float temperature) {
  weights_.resize(logits.size());
  const float inverse = 1.0f / temperature;
  for_lanes(logits, -kInfinity, [&](size_t i, Floats logit, size_t count) {
    const Floats x = (logit - top) * inverse;
    const Floats nothing{};
    const Floats weight = x > kLowest ? exp_of(x > kLowest ? x : nothing) : nothing;
    std::memcpy(weights_.data() + i, &weight, count * sizeof(float));
  });
  block_sums_.clear();
  total_ = 0;
  for (size_t begin = 0; begin < logits.size(); begin += kBlock) {
    const size_t count = std::min(kBlock, logits.size() - begin);
    block_sums_.push_back(sum_of(std::span(weights_).subspan(begin, count)));
    total_ += block_sums_.back();
  }
}

size_t RowWeights::find(double share) const {
  const double target = share * total_;
  double before = 0;
  size_t block = 0;
  while (block + 1 < block_sums_.size() && before + block_sums_[block] <= target) {
    before += block_sums_[block++];
  }
  const size_t end = std::min(weights_.size(), (block + 1) * kBlock);
  size_t last = block * kBlock;
  for (size_t i = last; i < end; ++i) {
    if (weights_[i] == 0.0f) continue;  // rounding must not draw what cannot come
    last = i;
    before += weights_[i];
    if (before > target) break;
  }
  return last;
}

}  // namespace hearth::runner
