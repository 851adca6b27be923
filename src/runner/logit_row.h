// Passes over a whole row of logits. A vocabulary has up to a few hundred thousand entries and
// every generated token pays for each pass, so these are loops without branches that compilers turn
// into vector instructions.
//
// What a pass gives depends on its row alone: sums have a fixed order.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace hearth::runner {

// The first of the largest; NaN is never the largest. 0 where there is none.
size_t argmax(std::span<const float> logits);

// How many are above `logit`.
size_t count_above(std::span<const float> logits, float logit);

// The weights exp((logit - top) / temperature) of a row, and their sums by block, from which a
// share of the whole is found without a walk over the row.
class RowWeights {
 public:
  static constexpr size_t kBlock = 64;

  // Relative error of a weight: 2e-7. What lies 87 nats under the top, and NaN, weighs nothing.
  void compute(std::span<const float> logits, float top, float temperature);
  double total() const { return total_; }
  std::span<const float> weights() const { return weights_; }
  // The entry in which the running sum of weights first exceeds `share` of the total, in [0, 1).
  size_t find(double share) const;

 private:
  std::vector<float> weights_;
  std::vector<double> block_sums_;
  double total_ = 0;
};

}  // namespace hearth::runner
