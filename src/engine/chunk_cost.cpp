#include "engine/chunk_cost.h"

#include <algorithm>
#include <cstdlib>

namespace hearth::engine {
namespace {

constexpr int64_t kSlopeMemory = 128;
// Of the height half of what is new counts, and a surprise of a quarter at most: steps that
// something else disturbed turn little, however long they were.
constexpr Nanos kHeightMemory = 2, kHeightSurprise = 4;
// Tokens before, squared: below such a variance a slope would be that of noise.
constexpr int64_t kLeastVariance = int64_t{1} << 16;
// A chunk fitted when it missed the room by less than this part of it.
constexpr Nanos kNear = 4;
// Tokens far before those that were seen cost this part of them, at least.
constexpr Nanos kLeastPart = 4;
// So that no product of two numbers overflows; a token takes far less.
constexpr Nanos kCostMost = Nanos{1} << 34;
constexpr int64_t kBeforeMost = int64_t{1} << 24;

}  // namespace

void ChunkCost::learn(int32_t tokens, int64_t context, Nanos added, Nanos room) {
  if (tokens <= 0) return;
  const int64_t before = std::min(context / tokens, kBeforeMost);
  const Nanos cost = std::clamp<Nanos>(added / tokens, 0, kCostMost);
  if (std::abs(added - room) <= room / kNear) learn_slope(before, cost);
  const Nanos expected = cost_at(before);
  const Nanos most = expected / kHeightSurprise;
  height_ = std::max<Nanos>(expected + std::clamp(cost - expected, -most, most) / kHeightMemory, 1);
  last_before_ = before;
}

void ChunkCost::learn_slope(int64_t before, Nanos cost) {
  seen_ = std::min(seen_ + 1, kSlopeMemory);
  const int64_t further = before - mean_before_;
  const Nanos dearer = cost - mean_cost_;
  mean_before_ += further / seen_;
  mean_cost_ += dearer / seen_;
  variance_ += further * further / seen_;
  variance_ -= variance_ / seen_;
  covariance_ += further * dearer / seen_;
  covariance_ -= covariance_ / seen_;
}

Nanos ChunkCost::cost_at(int64_t before) const {
  if (covariance_ <= 0) return height_;
  const __int128 further = before - last_before_;
  const auto more = static_cast<Nanos>(further * covariance_ / (variance_ + kLeastVariance));
  return std::max(height_ + more, height_ / kLeastPart);
}

Nanos ChunkCost::time(int32_t tokens, int64_t context) const {
  return tokens > 0 ? tokens * cost_at(context / tokens) : 0;
}

}  // namespace hearth::engine
