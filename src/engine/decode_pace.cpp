#include "engine/decode_pace.h"

#include <algorithm>
#include <cstdlib>

namespace hearth::engine {
namespace {

// After so many steps with prompts one without is worth its price: contexts have grown.
constexpr int32_t kTrustedSteps = 64;
// An eighth more or fewer sequences make the same step; others make another, but where they come
// and go all the time, prompts must get on.
constexpr int32_t kSameLoad = 8;
constexpr int32_t kStepsBetween = 8;
// Half of what is new counts, and a surprise of a quarter at most: steps that something else
// disturbed turn little, however long they were.
constexpr Nanos kMemory = 2, kSurprise = 4;

}  // namespace

void DecodePace::learn(const StepWork& work, Nanos duration) {
  if (work.generating == 0 || duration <= 0) return;
  if (work.prompt_tokens > 0) {
    since_ = std::min(since_ + 1, kTrustedSteps);
    return;
  }
  const bool other = work.generating > 2 * generating_ || 2 * work.generating < generating_;
  if (other) {
    time_ = duration;
  } else {
    const Nanos most = time_ / kSurprise;
    time_ += std::clamp(duration - time_, -most, most) / kMemory;
  }
  generating_ = work.generating;
  since_ = 0;
}

bool DecodePace::knows(int32_t generating) const {
  const bool same = std::abs(generating - generating_) <= generating_ / kSameLoad;
  return time_ > 0 && since_ < (same ? kTrustedSteps : kStepsBetween);
}

}  // namespace hearth::engine
